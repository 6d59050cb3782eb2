"""The command `people`."""

import json
from typing import Any

from django.core.management.base import BaseCommand

from homeserver_door import home, sync
from homeserver_door.accounts import state
from homeserver_door.models import Person


class Command(BaseCommand):
    """Show who can log in."""

    help = "Print who has a passkey, an open invitation, or neither, as JSON."
    requires_system_checks = ()

    def handle(self, *_: Any, **__: Any) -> None:
        """Print the people."""
        sync.apply(home.current())
        people = [state(person) for person in Person.objects.order_by("name") if person.is_active]
        self.stdout.write(json.dumps(people))
