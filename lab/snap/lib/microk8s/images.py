"""Imports images into containerd, by command or from archives in a directory."""

import http.client
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from . import arguments, console, kubernetes, paths, peers, programs, tokens

SCAN_INTERVAL = 5
AGENT_PORT = 25000
TOKEN_HEADER = "x-microk8s-callback-token"  # noqa: S105  # the name of a header
IMPORT_PATH = "/cluster/api/v2.0/image/import"


def ctr(*words: str) -> list[str]:
    """Return the command line of ctr for this node's containerd."""
    return [programs.path("ctr"), *arguments.load("ctr"), *words]


def load_sideloaded(directory: Path) -> None:
    """Import every archive in the sideload directory and mark it as loaded.

    A failed archive keeps its name, so the next scan retries it.

    Smallest first: pods need the pause image before any other.
    """
    for archive in sorted(directory.glob("*.tar"), key=lambda file: file.stat().st_size):
        command = ctr("images", "import", str(archive))
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            console.say(f"Failed to import {archive}: {done.stderr.strip()}")
        else:
            archive.rename(f"{archive}.loaded")
            console.say(f"Imported {archive}")


def watch_sideloaded() -> None:
    """Import archives from the sideload directory forever, as Canonical's containerd does itself."""
    while not paths.containerd_socket().exists():
        time.sleep(0.1)
    while True:
        load_sideloaded(paths.common() / "etc/sideload")
        time.sleep(SCAN_INTERVAL)


def import_on_every_node(source: str) -> None:
    """Send an archive, or standard input, to every node; failed nodes are reported and skipped."""
    with tempfile.TemporaryFile() as spool:
        if source == "-":
            shutil.copyfileobj(sys.stdin.buffer, spool)
        else:
            _copy(source, spool)
        for address in kubernetes.node_addresses():
            console.say(f"Pushing OCI images to {address}:{AGENT_PORT}")
            spool.seek(0)
            try:
                _push(address, spool)
            except (OSError, http.client.HTTPException) as error:
                console.say(f"Failed to reach {address}:{AGENT_PORT}: {error}")


def _copy(source: str, spool: IO[bytes]) -> None:
    try:
        with Path(source).open("rb") as file:
            shutil.copyfileobj(file, spool)
    except OSError as error:
        console.warn(f"Error: failed to read {source}: {error}")
        sys.exit(1)


def _push(address: str, archive: IO[bytes]) -> None:
    connection = peers.connection(address, AGENT_PORT)
    size = archive.seek(0, 2)
    archive.seek(0)
    headers = {TOKEN_HEADER: tokens.callback(), "Content-Length": str(size)}
    connection.request("POST", IMPORT_PATH, archive, headers)
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        console.say(f"Failed to import images on {address}:{AGENT_PORT}: {answer.read().decode()}")


def export(output: str, names: list[str]) -> None:
    """Write images of this node, or all of them, to an archive or to standard output.

    Raises:
        SystemExit: With ctr's exit code.
    """
    listed = subprocess.run(ctr("images", "list", "--quiet"), check=True, capture_output=True, text=True)
    wanted = names or [name for name in listed.stdout.split() if not name.startswith("sha256:")]
    sys.exit(subprocess.run(ctr("images", "export", output, *wanted), check=False).returncode)
