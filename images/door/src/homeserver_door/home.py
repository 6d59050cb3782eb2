"""The configuration of the home that this process serves, and the files beside it."""

import os
from pathlib import Path

from homeserver_door.config import ConfigError, Watched

DIRECTORY = Path(os.environ.get("HOMESERVER_DOOR_CONFIG", "/etc/door"))
DATA = Path(os.environ.get("HOMESERVER_DOOR_DATA", "/data"))

watched = Watched(DIRECTORY / "config.json")
current = watched.current


def secret(name: str) -> str:
    """Return a secret of the role.

    Raises:
        ConfigError: It is missing or empty.
    """
    file = DIRECTORY / "secrets" / name
    try:
        content = file.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read ({error.strerror}) -> mount the Secret there") from error
    if not content:
        raise ConfigError(f"{file} is empty -> put the secret in it")
    return content
