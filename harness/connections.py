"""SSH connections that the commands of a test run share, because a new one takes a quarter of a second."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The tests' own commands have it as well as Ansible's.
_OPTIONS = "ANSIBLE_SSH_EXTRA_ARGS"
_PREFIX = "homeserver-"  # with the rest, short enough for the address of a socket


@contextmanager
def shared() -> Iterator[None]:
    """Share one connection to each machine."""
    directory = tempfile.mkdtemp(prefix=_PREFIX)
    os.environ[_OPTIONS] = f"-o ControlPath={directory}/%C"
    try:
        yield
    finally:
        del os.environ[_OPTIONS]
        shutil.rmtree(directory)


def forget() -> None:
    """Connect anew from now on: a connection to a machine without power ends only after minutes."""
    directory = os.environ.get(_OPTIONS, "").removeprefix("-o ControlPath=").removesuffix("/%C")
    for socket in Path(directory).iterdir() if directory else ():
        socket.unlink()
