"""The command line of the door: `python3 manage.py serve`, `invite`, `people`."""

import os
import sys

from homeserver_door.config import ConfigError


def main() -> None:
    """Run a command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "homeserver_door.settings")
    try:
        from django.core.management import execute_from_command_line

        execute_from_command_line(sys.argv)
    except ConfigError as error:
        sys.exit(f"The door cannot start: {error}")


if __name__ == "__main__":
    main()
