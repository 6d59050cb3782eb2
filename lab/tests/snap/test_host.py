import subprocess
from pathlib import Path

import pytest
from microk8s import certificates, host
from microk8s.host import run_with_sudo

from .conftest import Node


@pytest.fixture
def applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that were run; the directory of kernel settings is the temporary one."""
    monkeypatch.setattr(host, "SYSCTL_DIRECTORY", tmp_path)
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    return commands


def test_a_kernel_setting_that_no_file_has_is_written_and_all_files_are_applied(
    tmp_path: Path, applied: list[list[str]]
) -> None:
    (tmp_path / "50-owner.conf").write_text("fs.aio-max-nr=2000000\nfs.inotify.max_user_watches=1\n")
    host.raise_kernel_settings()
    written = (tmp_path / "10-microk8s.conf").read_text().splitlines()
    assert written == ["fs.inotify.max_user_instances=1024", "fs.inotify.max_user_watches=1048576"]
    assert applied == [["sysctl", "--quiet", "--system"]] * 2

    applied.clear()
    host.raise_kernel_settings()
    assert applied == []


def test_without_sudo_the_hook_fails_and_shows_a_key(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit) as stopped:
        run_with_sudo("touch", "x")
    assert stopped.value.code == 127
    shown = capsys.readouterr().err
    assert "line 103: sudo: command not found" in shown
    assert certificates.embedded(node.data / "certs/client.key") in shown
