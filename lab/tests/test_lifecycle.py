import json
import os
from concurrent.futures import ThreadPoolExecutor, wait
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from lab import lifecycle
from lab.build import Report
from lab.host import LabError
from lab.machine import Machine, Supplies, load
from lab.tests.conftest import run_lab


class Pretended:
    """A backend whose machines are a file that says they run, and whose ssh is `true` or `false`."""

    subnet = IPv4Network("10.214.0.0/29")
    boot_seconds = 0
    ssh_port = 22
    ready = "true"

    def __init__(self) -> None:
        self.created: list[str] = []
        self.cleared: list[str] = []

    def prepare(self, report: Report) -> Supplies:
        report("prepared")
        return Supplies(Path("/dev/null"), "homeserver_domain: home.arpa\n")

    def create(self, machine: Machine, system: Path) -> None:
        assert system == Path("/dev/null")
        assert machine.key.exists()
        self.created.append(machine.name)
        machine.console.write_text("kernel panic\n")
        (machine.directory / "runs").touch()

    def is_running(self, machine: Machine) -> bool:
        return (machine.directory / "runs").exists()

    def clear(self, name: str) -> None:
        self.cleared.append(name)


@pytest.fixture
def backend(lab_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Pretended:
    assert not lab_directory.exists()
    pretended = Pretended()
    monkeypatch.setattr(lifecycle, "BACKENDS", {"nspawn": pretended, "other": Pretended()})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    answering(monkeypatch, "true")
    return pretended


def answering(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(Machine, "ssh", lambda *_: [program])


def up(name: str, backend: str | None = None) -> Machine:
    return lifecycle.up(name, backend, lambda _: None)


def test_a_new_machine_gets_the_next_address_and_an_inventory(backend: Pretended) -> None:
    assert up("a").address == "10.214.0.2"
    assert up("b").address == "10.214.0.3"
    lifecycle.down("a")
    assert up("c").address == "10.214.0.2"
    assert (load("c") or Machine("", "", "", 0)).inventory.joinpath("hosts.yml").exists()
    assert backend.created == ["a", "b", "c"]


def test_a_running_machine_is_used_again(backend: Pretended) -> None:
    assert up("a") == up("a")
    assert backend.created == ["a"]


def test_a_wreck_is_cleared_before_its_name_is_used_again(backend: Pretended) -> None:
    stray = up("a").directory / "stray"
    stray.touch()
    (stray.parent / "runs").unlink()
    backend.cleared.clear()
    up("a")
    assert backend.cleared == ["a"]
    assert backend.created == ["a", "a"]
    assert not stray.exists()


def test_nothing_remains_of_the_last_machine(backend: Pretended, lab_directory: Path) -> None:
    up("a")
    up("b")
    lifecycle.down("a")
    assert [path.name for path in lab_directory.iterdir()] == ["b"]
    lifecycle.down("b")
    assert not lab_directory.exists()
    assert backend.cleared[-2:] == ["a", "b"]


def test_what_is_not_there_can_be_removed_too(backend: Pretended, lab_directory: Path) -> None:
    lifecycle.down("a")
    assert not lab_directory.exists()
    assert backend.cleared == ["a"]


def test_another_backend_than_the_machines_is_refused(backend: Pretended) -> None:
    up("a", "other")
    assert up("a").backend == "other"
    with pytest.raises(
        LabError, match="a is a machine of other: remove it with `python -m lab down --name a`"
    ):
        up("a", "nspawn")
    assert backend.created == []


@pytest.mark.parametrize(
    ("runs", "message"), [(False, "machine a has stopped"), (True, "machine a is not ready after 0 s")]
)
def test_a_machine_that_does_not_answer_shows_its_console(
    backend: Pretended, monkeypatch: pytest.MonkeyPatch, runs: bool, message: str
) -> None:
    answering(monkeypatch, "false")
    monkeypatch.setattr(backend, "is_running", lambda _machine: runs)
    with pytest.raises(LabError, match=message) as raised:
        up("a")
    assert "kernel panic" in str(raised.value)
    assert "lab down --name a" in str(raised.value)


def test_only_root_may(backend: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for change in (up, lifecycle.down):
        with pytest.raises(LabError, match="root"):
            change("a")
    assert not backend.created + backend.cleared


def test_machines_change_one_at_a_time(backend: Pretended, lab_directory: Path) -> None:
    """Also when what is locked, the directory of all machines, is removed by who holds the lock."""
    with ThreadPoolExecutor() as pool:
        with lifecycle._alone():
            ups = [pool.submit(up, name) for name in ("a", "b", "c")]
            assert not wait(ups, timeout=0.3).done
            assert not backend.created
            lab_directory.rmdir()
        assert {machine.result().address for machine in ups} == {"10.214.0.2", "10.214.0.3", "10.214.0.4"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["up", "--name", "Home"], "'Home' cannot name a machine"),
        (["ssh", "--name", "absent"], "no machine absent is running: `python -m lab up --name absent`"),
        (["up", "--backend", "xen"], "invalid choice: 'xen'"),
        ([], "required: COMMAND"),
    ],
)
def test_the_command_line_says_in_one_line_what_is_wrong(
    lab_directory: Path, arguments: list[str], said: str
) -> None:
    done = run_lab(*arguments, check=False)
    assert done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not lab_directory.exists()


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"]])
def test_status_prints_one_json_object(lab_directory: Path, arguments: list[str]) -> None:
    assert not lab_directory.exists()
    assert json.loads(run_lab(*arguments).stdout)["machines"] == []


def test_status_needs_no_machine_and_no_option(lab_directory: Path) -> None:
    done = run_lab("status")
    assert done.stdout == "no machine; create one with `python -m lab up`\n"
    assert not lab_directory.exists()
