"""A host's journal is kept as JSON, without a gap after restarts and within its size limit."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from harness.rendering import ROOT

# Kilobytes of memory for data that it may use in a test: Python itself takes some 15,000.
MEMORY = 40_000
PROGRAM = ROOT / "roles/elk/files/journal.py"
# Prints its arguments, then the entries after the given cursor.
JOURNALCTL = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
from=$(echo "$@" | sed -n 's/.*--after-cursor=\\([0-9]*\\).*/\\1/p')
i=$((${from:-0} + 1))
end=$((i + 100))
while [ $i -lt $end ]; do echo "{\\"__CURSOR\\": \\"$i\\", \\"MESSAGE\\": \\"line $i\\"}"; i=$((i + 1)); done
"""


@pytest.fixture(scope="module")
def journal() -> ModuleType:
    specification = importlib.util.spec_from_file_location("journal", PROGRAM)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def _cursors(*paths: Path) -> list[int]:
    lines = [line for path in paths if path.exists() for line in path.read_bytes().splitlines()]
    return [int(json.loads(line)["__CURSOR"]) for line in lines]


def _run(directory: Path, largest: int, journalctl: str = JOURNALCTL) -> subprocess.CompletedProcess[str]:
    programs = directory / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "journalctl").write_text(journalctl)
    (programs / "journalctl").chmod(0o755)
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"}
    limited = ["sh", "-c", f'ulimit -d {MEMORY}; exec "$@"', "-"]
    command = [*limited, sys.executable, str(PROGRAM), str(directory), str(largest)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_it_continues_where_it_stopped(tmp_path: Path) -> None:
    for _ in range(3):
        ended = _run(tmp_path, 1 << 20)
        assert ended.returncode == 1  # so that systemd starts it again
        assert ended.stderr == "the journal has ended\n"

    asked = (tmp_path / "bin/asked").read_text().splitlines()
    assert ["--since=-1h" in asked[0], *("--after-cursor=" in line for line in asked[1:])] == [True] * 3
    assert _cursors(tmp_path / "journal.json") == list(range(1, 301))


def test_it_stays_within_its_size_limit(tmp_path: Path) -> None:
    for _ in range(5):
        _run(tmp_path, 5000)
    newer, older = tmp_path / "journal.json", tmp_path / "journal.1.json"

    assert newer.stat().st_size <= 5000
    assert older.stat().st_size <= 5000
    kept = _cursors(older, newer)
    assert kept == list(range(kept[0], 501))
    assert newer.stat().st_mode & 0o777 == 0o640


def test_a_large_file_takes_no_memory(tmp_path: Path) -> None:
    """The service may use less than one of its files has."""
    with (tmp_path / "journal.json").open("wb") as file:
        file.truncate(100 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"__CURSOR": "700"}\n{"__CURSOR": "70')

    assert _run(tmp_path, 1 << 30).stderr == "the journal has ended\n"
    assert _cursors_after(tmp_path / "journal.json", "700") == list(range(701, 801))


def test_an_endless_entry_is_left_out(tmp_path: Path) -> None:
    endless = "head -c 100000000 /dev/zero | tr '\\0' x; echo\n"
    ended = _run(tmp_path, 1 << 20, JOURNALCTL.replace("while ", endless + "while ", 1))

    assert "left out an entry" in ended.stderr
    assert _cursors(tmp_path / "journal.json") == list(range(1, 101))


def _cursors_after(path: Path, cursor: str) -> list[int]:
    lines = path.read_bytes().rpartition(f'{{"__CURSOR": "{cursor}"}}\n'.encode())[2].splitlines()
    return [int(json.loads(line)["__CURSOR"]) for line in lines if line.endswith(b"}")]


@pytest.mark.parametrize(
    ("content", "cursor"),
    [
        (b"", ""),
        (b'{"__CURSOR": "a"}\n', "a"),
        (b'{"__CURSOR": "a"}\n{"__CURSOR": "b', "a"),
        (b'{"__CURSOR": "a"}\n\x00\x00\n[]\n', "a"),
        (b"\x00" * 100, ""),
    ],
)
def test_a_partly_written_entry_is_ignored(
    journal: ModuleType, tmp_path: Path, content: bytes, cursor: str
) -> None:
    (tmp_path / "journal.json").write_bytes(content)
    keeper = journal.Keeper(tmp_path, 1000)

    assert keeper.cursor() == cursor
    keeper.write(b'{"__CURSOR": "z"}\n')
    assert (tmp_path / "journal.json").read_bytes().splitlines()[-1] == b'{"__CURSOR": "z"}'


def test_a_new_file_continues_from_the_older_one(journal: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "journal.1.json").write_bytes(b'{"__CURSOR": "a"}\n')

    assert journal.Keeper(tmp_path, 1000).cursor() == "a"
