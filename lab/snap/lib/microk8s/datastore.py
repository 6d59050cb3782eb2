"""The files of the datastore, with dqlite's names; etcd keeps its own in a directory beside them."""

import re
import shutil
from pathlib import Path

from . import certificates, paths, services

ALONE = "127.0.0.1"
PORT = 19001
MEMBER = "Address: {address}:{port}\n  ID: 3297041220608546238\n  Role: 0\n"


def _backend() -> Path:
    return paths.data() / "var/kubernetes/backend"


def create() -> None:
    """Create the files of a datastore that other nodes do not reach, like dqlite's before the first join."""
    _backend().mkdir(parents=True)
    _write(ALONE)


def wipe() -> None:
    """Replace the datastore with an empty one."""
    shutil.rmtree(_backend())
    create()


def address() -> str:
    """Return the address at which other members would reach this one."""
    found = re.search(r"Address: (\S+):\d+", (_backend() / "info.yaml").read_text())
    return found[1] if found else ALONE


def open_to_members(new: str) -> None:
    """Bind the datastore, at the first join, to the address that the joining node has contacted."""
    if address() == ALONE:
        (_backend() / "update.yaml").write_text(f"Address: {new}:{PORT}\n")
        services.restart("k8s-dqlite")


def take_update() -> None:
    """Apply the change of address that waits for a start of the datastore."""
    update = _backend() / "update.yaml"
    if found := re.search(r"Address: (\S+):\d+", update.read_text() if update.exists() else ""):
        _write(found[1])
        update.unlink()


def _write(own: str) -> None:
    member = MEMBER.format(address=own, port=PORT)
    (_backend() / "info.yaml").write_text(member.replace("  ", ""))
    (_backend() / "cluster.yaml").write_text(f"- {member}")
    certificates.give_to_group(_backend(), *_backend().glob("*.yaml"))
