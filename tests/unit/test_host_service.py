"""A service is installed with its files, changed, and removed. What systemd does, the scenarios show."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.modules import host_service
from ansible_collections.homeserver.stack.plugins.modules.host_service import Change, ServiceError

NAME, ONCE = "blinker.timer", "blinker.service"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="files are given to root")
pytestmark = as_root


class Systemd:
    """Keeps what it is asked to do."""

    def __init__(self) -> None:
        self.state = {"ActiveState": "inactive", "UnitFileState": "disabled"}
        self.asked: list[str] = []

    def run(self, command: list[str]) -> str:
        """Take a command of systemctl; others fail if their name is false."""
        if command[0] != "systemctl":
            if command[0] == "false":
                raise ServiceError(" ".join(command))
            return Path(command[-1]).read_text()
        verb = command[1]
        if verb == "show":
            return "".join(f"{name}={value}\n" for name, value in self.state.items())
        self.asked.append(" ".join(command[1:]))
        self.state |= {
            "start": {"ActiveState": "active"},
            "stop": {"ActiveState": "inactive"},
            "enable": {"UnitFileState": "enabled"},
            "disable": {"UnitFileState": "disabled"},
        }.get(verb, {})
        return ""


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Systemd:
    manager = Systemd()
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(host_service, "_UNITS", tmp_path / "units")
    monkeypatch.setattr(host_service, "_run", manager.run)
    return manager


@pytest.fixture
def play(systemd: Systemd, tmp_path: Path) -> Callable[..., Change]:
    """Install the service, or what is told of it."""

    def _play(*, check_mode: bool = False, state: str = "present", **different: Any) -> Change:
        program = {"path": str(tmp_path / "bin/blinker"), "content": "blink\n", "mode": "0755", "check": []}
        params = {
            "units": [
                {"name": ONCE, "content": "[Service]\n", "run": False},
                {"name": NAME, "content": different.pop("unit", "[Service]\n"), "run": True},
            ],
            "directories": {str(tmp_path / "data"): "0770"},
            "files": [program | different.pop("program", {})],
            "proof": [],
            **different,
        }
        systemd.asked.clear()
        change = Change(check_mode)
        {"present": host_service.present, "absent": host_service.absent}[state](params, change)
        return change

    return _play


def _mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:04o}"


def test_it_is_written_enabled_and_started_once(
    play: Callable[..., Change], systemd: Systemd, tmp_path: Path
) -> None:
    play()

    assert (tmp_path / "bin/blinker").read_text() == "blink\n"
    assert (tmp_path / f"units/{NAME}").read_text() == "[Service]\n"
    assert (_mode(tmp_path / "bin/blinker"), _mode(tmp_path / "data")) == ("0755", "0770")
    assert systemd.asked == ["daemon-reload", f"enable {NAME}", f"start {NAME}"]

    again = play()

    assert (again.paths, again.diff, again.done) == ([], [], [])


@pytest.mark.parametrize(
    ("different", "done"),
    [
        ({"program": {"content": "blink twice\n"}}, ["restart"]),
        ({"unit": "[Service]\nUser=nobody\n"}, ["daemon-reload", "restart"]),
        ({"proof": ["false"]}, ["restart"]),
        ({"proof": ["true"]}, []),
    ],
    ids=["another program", "another unit", "not what systemd says", "what systemd says"],
)
def test_it_is_restarted_for_what_changed(
    play: Callable[..., Change], different: dict[str, Any], done: list[str]
) -> None:
    play()

    assert play(**different).done == done


def test_a_mode_is_mended(play: Callable[..., Change], tmp_path: Path) -> None:
    play()
    (tmp_path / "data").chmod(0o777)

    assert play().paths == [tmp_path / "data"]
    assert _mode(tmp_path / "data") == "0770"


def test_a_directory_is_no_reason_to_restart(play: Callable[..., Change], tmp_path: Path) -> None:
    play()
    (tmp_path / "data").rmdir()

    assert play().done == []
    assert (tmp_path / "data").is_dir()


def test_a_dry_run_shows_what_would_be(play: Callable[..., Change], systemd: Systemd, tmp_path: Path) -> None:
    first = play(check_mode=True)

    assert [each["after"] for each in first.diff] == ["blink\n", "[Service]\n", "[Service]\n"]
    assert not (tmp_path / "bin").exists()
    play()
    second = play(check_mode=True, program={"content": "blink twice\n"})
    assert [(each["before"], each["after"]) for each in second.diff] == [("blink\n", "blink twice\n")]
    assert second.done == ["restart"]
    assert systemd.asked == []
    assert (tmp_path / "bin/blinker").read_text() == "blink\n"


def test_a_file_that_its_check_refuses_is_not_written(
    play: Callable[..., Change], systemd: Systemd, tmp_path: Path
) -> None:
    play(program={"check": ["cat", "%s"]})

    with pytest.raises(ServiceError):
        play(program={"content": "wrong", "check": ["false", "%s"]})

    assert (tmp_path / "bin/blinker").read_text() == "blink\n"
    assert systemd.asked == []


def test_it_is_removed_with_all_that_is_its_own(
    play: Callable[..., Change], systemd: Systemd, tmp_path: Path
) -> None:
    play()
    (tmp_path / "data/kept").touch()

    play(state="absent")

    assert systemd.asked == [f"disable {NAME}", f"stop {NAME}", f"stop {ONCE}", "daemon-reload"]
    assert not any(
        (tmp_path / name).exists() for name in ("bin/blinker", "data", f"units/{NAME}", f"units/{ONCE}")
    )
    assert play(state="absent").paths == []
    assert systemd.asked == []


def test_a_drop_in_is_read_and_removed_without_an_effect_on_what_runs(
    play: Callable[..., Change], systemd: Systemd, tmp_path: Path
) -> None:
    drop_in = {"name": "ssh.service.d/ours.conf", "content": "[Service]\n", "run": False}

    play(units=[drop_in])
    assert (tmp_path / "units/ssh.service.d/ours.conf").read_text() == "[Service]\n"
    assert systemd.asked == ["daemon-reload"]

    play(units=[drop_in], state="absent")
    assert not (tmp_path / "units/ssh.service.d/ours.conf").exists()
    assert systemd.asked == ["daemon-reload"]
