"""The command `invite`."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from homeserver_door import home, sync
from homeserver_door.models import Invitation, Person


class Command(BaseCommand):
    """Invite a person."""

    help = "Invite a person of the configuration; print the link once, as JSON."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare what the command takes."""
        parser.add_argument("name", help="the person")
        parser.add_argument(
            "--reset", action="store_true", help="also remove the person's passkeys and sessions"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Print the invitation."""
        now = home.current()
        sync.apply(now)
        name = options["name"]
        if name not in now.people:
            known = ", ".join(sorted(now.people)) or "nobody"
            raise CommandError(f"{name!r} is not in the configuration (expected one of: {known})")
        person = Person.objects.get(name=name)
        if options["reset"]:
            person.forget_keys()
        invitation, code = Invitation.make(person)
        link = f"{now.issuer}/invitation/#{code}"
        self.stdout.write(json.dumps({"name": name, "url": link, "expires": invitation.expires.isoformat()}))
