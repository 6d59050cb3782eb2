"""The door in this process. Django reads its settings once, so all tests share them."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.door.tests import served

_DIRECTORY = Path(tempfile.mkdtemp(prefix="door-"))
_MOUNTED = served.mount(_DIRECTORY)
os.environ |= _MOUNTED.environment | {"DJANGO_SETTINGS_MODULE": "homeserver_door.settings"}

import django  # noqa: E402

django.setup()

from django.core.cache import cache  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from homeserver_door import home, sync  # noqa: E402

from images.door.tests.inside import Inside  # noqa: E402

_DATABASE = _MOUNTED.data / "door.sqlite3"
_EMPTY = _DIRECTORY / "empty.sqlite3"


def pytest_unconfigure() -> None:
    """Remove the files."""
    shutil.rmtree(_DIRECTORY, ignore_errors=True)


@pytest.fixture(scope="session")
def _empty() -> Path:
    """A database without anybody."""
    call_command("migrate", verbosity=0)
    connection.close()
    shutil.copy(_DATABASE, _EMPTY)
    return _EMPTY


@pytest.fixture
def door(_empty: Path) -> Iterator[Inside]:
    """A door that nobody has used, with the usual configuration."""
    connection.close()
    for left in _MOUNTED.data.glob("door.sqlite3*"):
        left.unlink()
    shutil.copy(_empty, _DATABASE)
    cache.clear()
    _MOUNTED.write()
    home.watched.then(sync.apply)
    home.current()
    yield Inside(_MOUNTED)
    connection.close()
