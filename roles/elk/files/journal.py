"""Writes a host's journal as lines of JSON for Filebeat. Run by homeserver-journal.service.

After a restart, it continues after the last line that it wrote, so it misses nothing. Before the file grows
too large, it becomes the older file, and a new one is started.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

FIELDS = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT,_PID,_COMM"
FIRST = "--since=-1h"
# Filebeat cuts a message at 128 KiB, and the JSON of a byte takes up to six.
LONGEST = 1 << 20
# The end of a file of this size contains at least one complete line.
_TAIL = 2 * LONGEST


def last_cursor(path: Path) -> str:
    """Return the cursor of the last complete line that is an entry, or an empty text."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return ""
    for line in reversed(lines):
        try:
            return str(json.loads(line)["__CURSOR"])
        except (ValueError, KeyError, TypeError):
            continue
    return ""


def lines(journal: BinaryIO) -> Iterator[bytes]:
    """Return the lines of the journal, except those that are too long for the memory."""
    while line := journal.readline(LONGEST):
        if line.endswith(b"\n"):
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = journal.readline(LONGEST)
        sys.stderr.write("left out an entry that is too long or cut off\n")


class Keeper:
    """The current file and the previous one."""

    def __init__(self, directory: Path, largest: int) -> None:
        self.path = directory / "journal.json"
        self.older = directory / "journal.1.json"
        self._largest = largest
        self._file = self._open()

    def cursor(self) -> str:
        """Return the position at which to continue reading the journal."""
        return last_cursor(self.path) or last_cursor(self.older)

    def write(self, line: bytes) -> None:
        """Write an entry."""
        if self._file.tell() and self._file.tell() + len(line) > self._largest:
            self._file.close()
            self.path.replace(self.older)
            self._file = self._open()
        self._file.write(line)
        self._file.flush()

    def _open(self) -> BinaryIO:
        file = self.path.open("ab")
        # If the host went down during a write, the last line is incomplete. It stays, and gets a line break.
        if file.tell() and _last_byte(self.path) != b"\n":
            file.write(b"\n")
        return file


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read()


def main() -> None:
    """Write new entries until stopped."""
    os.umask(0o027)
    keeper = Keeper(Path(sys.argv[1]), int(sys.argv[2]))
    cursor = keeper.cursor()
    start = f"--after-cursor={cursor}" if cursor else FIRST
    command = ["journalctl", "--follow", "--no-tail", "--all", "--output=json", start]
    command.append(f"--output-fields={FIELDS}")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as journal:
        for line in lines(cast(BinaryIO, journal.stdout)):
            keeper.write(line)
    sys.exit("the journal has ended")


if __name__ == "__main__":
    main()
