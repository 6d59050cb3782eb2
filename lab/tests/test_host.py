import os
from pathlib import Path

import pytest

from lab import host
from lab.host import LabError


def program(directory: Path, name: str, text: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{text}\n")
    (directory / name).chmod(0o755)


def test_a_programs_output_is_returned() -> None:
    assert host.run("echo", "a b") == "a b\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], "no-such-program is not installed"),
        (["false"], "false: exit code 1"),
        (["sh", "-c", "seq 9; exit 3"], r"(?s)exit code 3\n5\n6\n7\n8\n9$"),
        (["sh", "-c", "echo hint; echo cause >&2; exit 1"], "cause$"),
    ],
)
def test_a_failure_names_the_program_and_its_last_output(command: list[str], message: str) -> None:
    with pytest.raises(LabError, match=message):
        host.run(*command)


def test_an_ordinary_user_has_to_become_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="sudo"):
        host.require_root()


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [
        (["there"], []),
        (
            ["there", "absent", "gone"],
            [
                "--option=DPkg::Lock::Timeout=300 update -qq",
                "--option=DPkg::Lock::Timeout=300 install -qq --yes --no-install-recommends absent gone",
            ],
        ),
    ],
)
def test_only_missing_packages_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: list[str], calls: list[str]
) -> None:
    known = "there) printf installed;; gone) printf config-files;; *) exit 1;;"
    program(tmp_path, "dpkg-query", f'case "$3" in {known} esac')
    program(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/calls')
    (tmp_path / "calls").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    host.ensure_packages(wanted)
    assert (tmp_path / "calls").read_text().splitlines() == calls


def test_a_host_without_apt_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="Debian and Ubuntu: there is no apt to install a b with"):
        host.ensure_packages(["a", "b"])
