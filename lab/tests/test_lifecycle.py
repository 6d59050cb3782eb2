import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from lab import inventory, lifecycle
from lab.build import Report
from lab.host import LabError
from lab.machine import Machine, Supplies, lab_directory, load, save
from lab.tests.conftest import run_lab


class FakeBackend:
    """A backend whose machines are a file that marks them as running, and whose ssh is `true` or `false`."""

    subnet = IPv4Network("10.214.0.0/29")
    connects = True
    boot_seconds = 0
    ssh_port = 22
    ready = "true"

    def __init__(self) -> None:
        self.created: list[str] = []
        self.started: list[Machine] = []
        self.moved: list[str] = []
        self.cleared: list[str] = []

    def prepare(self, report: Report) -> Supplies:
        report("prepared")
        return Supplies(Path("/dev/null"), "homeserver_domain: home.arpa\n")

    def create(self, machine: Machine, system: Path) -> None:
        assert system == Path("/dev/null")
        assert machine.key.exists()
        self.created.append(machine.name)

    def start(self, machine: Machine) -> None:
        self.started.append(machine)
        machine.console.write_text("kernel panic\n")
        (machine.directory / "runs").touch()

    def move(self, machine: Machine) -> None:
        self.moved.append(machine.address)

    def is_running(self, machine: Machine) -> bool:
        return (machine.directory / "runs").exists()

    def clear(self, name: str) -> None:
        self.cleared.append(name)
        (lab_directory() / name / "runs").unlink(missing_ok=True)


@pytest.fixture
def backend(lab_directory: Path, monkeypatch: pytest.MonkeyPatch) -> FakeBackend:
    assert not lab_directory.exists()
    fake = FakeBackend()
    other = FakeBackend()
    other.connects = False
    monkeypatch.setattr(lifecycle, "BACKENDS", {"nspawn": fake, "other": other})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    answering(monkeypatch, "true")
    return fake


def answering(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(Machine, "ssh", lambda *_: [program])


def up(name: str, backend: str | None = None, nodes: int = 1) -> Machine:
    return lifecycle.up(name, backend, lambda _: None, nodes)


def workers(home: str) -> dict[str, str]:
    """Return the workers of a home's inventory with their addresses."""
    text = (lab_directory() / home / "inventory/hosts.yml").read_text()
    hosts = yaml.safe_load(text)["all"]["children"]["home_servers"]["children"]["workers"]["hosts"]
    return {name: server["ansible_host"] for name, server in hosts.items()}


def test_a_new_machine_gets_the_next_address_and_an_inventory(backend: FakeBackend) -> None:
    assert up("a").address == "10.214.0.2"
    assert up("b").address == "10.214.0.3"
    lifecycle.down("a")
    assert up("c").address == "10.214.0.2"
    assert (load("c") or Machine("", "", "", 0)).inventory.joinpath("hosts.yml").exists()
    assert backend.created == ["a", "b", "c"]


def test_a_home_grows_to_as_many_machines_as_asked_for(backend: FakeBackend) -> None:
    assert up("a", nodes=2).name == "a"
    assert backend.created == ["a", "a-2"]
    assert list(workers("a")) == ["a-2"]
    up("a", nodes=3)
    assert backend.created == ["a", "a-2", "a-3"]
    assert list(workers("a")) == ["a-2", "a-3"]
    up("a")
    assert list(workers("a")) == ["a-2", "a-3"]
    assert len(backend.created) == 3


def test_a_machine_leaves_its_home_and_the_last_name_removes_all(
    backend: FakeBackend, lab_directory: Path
) -> None:
    up("a", nodes=3)
    up("a-4")
    lifecycle.down("a-2")
    assert list(workers("a")) == ["a-3"]
    (lab_directory / "a-2").mkdir()  # an attempt that ended before its record was written
    backend.cleared.clear()
    lifecycle.down("a")
    assert [path.name for path in lab_directory.iterdir()] == ["a-4"]
    assert sorted(backend.cleared) == ["a", "a-2", "a-3"]
    assert backend.cleared[-1] == "a"


def test_a_machine_can_leave_before_its_home_has_an_inventory(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, lab_directory: Path
) -> None:
    monkeypatch.setattr(inventory, "write", lambda *_: None)
    up("a", nodes=2)
    lifecycle.down("a-2")
    assert backend.created == ["a", "a-2"]
    assert not (lab_directory / "a/inventory").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("a", None, 2), "a-2 is a machine of the home a-2: remove it with `python -m lab down --name a-2`"),
        (("b-2", None, 1), "b-2 is a machine of the home b: "),
        (("c", "other", 2), "machines of other do not reach each other"),
        (("abcdefghi", None, 2), "'abcdefghi-2' cannot name a machine"),
    ],
)
def test_a_home_that_cannot_be_is_refused(
    backend: FakeBackend, asked: tuple[str, str | None, int], message: str
) -> None:
    up("a-2")
    up("b", nodes=2)
    backend.created.clear()
    with pytest.raises(LabError, match=message):
        up(*asked)
    assert backend.created == []


def test_a_running_machine_is_reused(backend: FakeBackend) -> None:
    assert up("a") == up("a")
    assert backend.created == ["a"]


def test_a_broken_machine_is_removed_before_its_name_is_reused(backend: FakeBackend) -> None:
    stray = up("a").directory / "stray"
    stray.touch()
    (stray.parent / "runs").unlink()
    backend.cleared.clear()
    up("a")
    assert backend.cleared == ["a"]
    assert backend.created == ["a", "a"]
    assert not stray.exists()


def test_nothing_remains_of_the_last_machine(backend: FakeBackend, lab_directory: Path) -> None:
    up("a")
    up("b")
    lifecycle.down("a")
    assert [path.name for path in lab_directory.iterdir()] == ["b"]
    lifecycle.down("b")
    assert not lab_directory.exists()
    assert backend.cleared[-2:] == ["a", "b"]


def test_a_login_to_a_removed_machine_ends(backend: FakeBackend) -> None:
    options = up("a").directory / "known_hosts", up("b").directory / "known_hosts"
    program = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    logins = [
        subprocess.Popen([*program, f"UserKnownHostsFile={path}"], stdout=subprocess.PIPE) for path in options
    ]
    for login in logins:
        assert login.stdout
        login.stdout.readline()
    lifecycle.down("a")
    assert logins[0].wait(timeout=5) == -signal.SIGKILL
    assert logins[1].poll() is None
    lifecycle.down("b")
    assert logins[1].wait(timeout=5) == -signal.SIGKILL
    assert backend.cleared[-2:] == ["a", "b"]


def test_a_missing_machine_can_be_removed_too(backend: FakeBackend, lab_directory: Path) -> None:
    lifecycle.down("a")
    assert not lab_directory.exists()
    assert backend.cleared == ["a"]


def test_another_backend_is_rejected(backend: FakeBackend) -> None:
    up("a", "other")
    assert up("a").backend == "other"
    with pytest.raises(
        LabError, match="a is a machine of other: remove it with `python -m lab down --name a`"
    ):
        up("a", "nspawn")
    assert backend.created == []


def test_a_machine_is_switched_off_and_on_with_its_disk_and_its_memory(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_MEMORY", "512")
    monkeypatch.setenv("HOMESERVER_LAB_DISK", "30")
    stray = up("a").directory / "stray"
    stray.touch()
    monkeypatch.delenv("HOMESERVER_LAB_MEMORY")
    monkeypatch.delenv("HOMESERVER_LAB_DISK")
    lifecycle.cut("a")
    assert backend.cleared[-1] == "a"
    assert not lifecycle.running("a")
    backend.cleared.clear()
    for _ in range(2):  # the second time it runs
        lifecycle.start("a", lambda _: None)
    assert stray.exists()
    assert backend.cleared == ["a"], "what a machine left that ended by itself"
    assert [(machine.memory_mib, machine.disk_gib) for machine in backend.started] == [(512, 30)] * 2
    assert backend.created == ["a"]


@pytest.mark.parametrize(
    ("asked", "given"), [("10.214.0.6", "10.214.0.6"), (None, "10.214.0.4"), ("10.214.0.3", "10.214.0.3")]
)
def test_record_known_hosts_and_inventory_follow_an_address(
    backend: FakeBackend, asked: str | None, given: str
) -> None:
    up("a", nodes=2)
    lifecycle.move("a-2", asked, lambda _: None)
    moved = lifecycle.existing("a-2")
    assert moved.address == given
    assert backend.moved == [given]
    assert moved.known_hosts.read_text().startswith(f"{given} ssh-ed25519 ")
    assert workers("a") == {"a-2": given}
    assert [path.name for path in moved.directory.glob("machine*")] == ["machine.json"]


def test_an_address_of_another_machine_is_refused(backend: FakeBackend) -> None:
    up("a", nodes=2)
    with pytest.raises(LabError, match=r"10\.214\.0\.2 is another machine's address"):
        lifecycle.move("a-2", "10.214.0.2", lambda _: None)
    assert backend.moved == []
    assert workers("a") == {"a-2": "10.214.0.3"}


@pytest.mark.parametrize(
    ("runs", "message"), [(False, "machine a has stopped"), (True, "machine a is not ready after 0 s")]
)
def test_a_machine_that_does_not_respond_shows_its_console(
    backend: FakeBackend, monkeypatch: pytest.MonkeyPatch, runs: bool, message: str
) -> None:
    answering(monkeypatch, "false")
    monkeypatch.setattr(backend, "is_running", lambda _machine: runs)
    with pytest.raises(LabError, match=message) as raised:
        up("a")
    assert "kernel panic" in str(raised.value)
    assert "lab down --name a" in str(raised.value)


def test_root_is_required(backend: FakeBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    changes: list[Callable[[str], object]] = [
        *(up, lifecycle.down, lifecycle.cut),
        *(lambda name: lifecycle.start(name, print), lambda name: lifecycle.move(name, None, print)),
    ]
    for change in changes:
        with pytest.raises(LabError, match="root"):
            change("a")
    assert not backend.created + backend.cleared


def test_machines_change_one_at_a_time(backend: FakeBackend, lab_directory: Path) -> None:
    """Also if the lock's holder removes the locked directory of all machines."""
    with ThreadPoolExecutor() as pool:
        with lifecycle.exclusive_lock():
            ups = [pool.submit(up, name) for name in ("a", "b", "c")]
            assert not wait(ups, timeout=0.3).done
            assert not backend.created
            lab_directory.rmdir()
        assert {machine.result().address for machine in ups} == {"10.214.0.2", "10.214.0.3", "10.214.0.4"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["up", "--name", "Home"], "'Home' cannot name a machine"),
        (["ssh", "--name", "absent"], "no machine absent: create it with `python -m lab up --name absent`"),
        (["cut", "--name", "absent"], "no machine absent: create it with `python -m lab up --name absent`"),
        (["address", "--name", "absent"], "no machine absent: create it with"),
        (["start", "--name", "absent"], "no machine absent: create it with `python -m lab up --name absent`"),
        (["up", "--backend", "xen"], "invalid choice: 'xen'"),
        (["up", "--nodes", "0"], "argument --nodes: invalid choice: "),
        ([], "required: COMMAND"),
    ],
)
def test_the_command_line_reports_errors_in_one_line(
    lab_directory: Path, arguments: list[str], error: str
) -> None:
    done = run_lab(*arguments, check=False)
    assert done.returncode
    assert error in done.stderr
    assert "Traceback" not in done.stderr
    assert not lab_directory.exists()


def test_a_machine_that_is_off_is_told(lab_directory: Path) -> None:
    save(Machine("a", "nspawn", "10.214.0.2", 22))
    assert (lab_directory / "a").is_dir()
    done = run_lab("ssh", "--name", "a", check=False)
    assert done.stderr == "error: machine a is off: switch it on with `python -m lab start --name a`\n"


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"]])
def test_status_prints_one_json_object(lab_directory: Path, arguments: list[str]) -> None:
    assert not lab_directory.exists()
    assert json.loads(run_lab(*arguments).stdout)["machines"] == []


def test_status_needs_no_machine_and_no_option(lab_directory: Path) -> None:
    done = run_lab("status")
    assert done.stdout == "no machine; create one with `python -m lab up`\n"
    assert not lab_directory.exists()
