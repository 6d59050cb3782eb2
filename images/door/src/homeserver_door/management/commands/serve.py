"""The command `serve`."""

import os
import signal
import sys
from importlib import import_module
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection

from homeserver_door import home, sync
from homeserver_door.config import ConfigError

_SERVED = (
    "gunicorn.app.wsgiapp",
    "homeserver_door.worker",
    "homeserver_door.urls.login",
    "homeserver_door.urls.home",
)
"""What only the server imports, compiled here: a process that compiles keeps 6 MiB more."""


class Command(BaseCommand):
    """Prepare the database, then serve."""

    help = "Bring the database up to date, then serve."
    requires_system_checks = ()

    def handle(self, *_: Any, **__: Any) -> None:
        """Become the server. It starts afresh, so that what only migrations need takes no memory."""
        # As the first process of a container, this one would otherwise not notice.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            call_command("migrate", interactive=False, verbosity=0)
            sync.apply(home.current())
            sync.clean()
        except DatabaseError as error:
            name = connection.settings_dict["NAME"]
            raise ConfigError(
                f"{name} cannot be brought up to date ({error}) -> make /data writable, or restore a backup"
            ) from error
        connection.close()
        for name in _SERVED:
            import_module(name)
        os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", "python:homeserver_door.server"])  # noqa: S606
