"""What a host with systemd is told, and what belongs to other machines: without a machine."""

from pathlib import Path

import pytest

from lab import network, nspawn, process
from lab.host import LabError
from lab.machine import Machine, check_name, save, unique_name

MACHINE = Machine("labtest-s", "nspawn", "10.214.0.2", 22, memory_mib=512)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """A host with systemd: the commands that it is given."""
    given: list[tuple[str, ...]] = []

    def run(*command: str) -> str:
        given.append(command)
        if command[0] == "systemctl":
            raise LabError("Unit homeserver-lab-labtest-s.service not loaded.")
        return ""

    monkeypatch.setattr(nspawn, "run", run)
    monkeypatch.setattr(nspawn, "_has_systemd", lambda: True)
    monkeypatch.setattr(network, "ensure", lambda _bridge: None)
    monkeypatch.setattr(network, "forget_neighbours", lambda _bridge: None)
    monkeypatch.setattr(network, "remove_if_unused", lambda _bridge: given.append(("bridge",)))
    return given


@pytest.mark.usefixtures("lab_directory")
def test_systemd_boots_a_machine_again_after_a_reboot_with_the_same_limit(
    commands: list[tuple[str, ...]],
) -> None:
    nspawn.Nspawn().start(MACHINE)

    (command,) = commands
    assert command[0] == "systemd-run"
    service = set(command[: command.index("--")])
    assert service >= {
        f"--unit=homeserver-lab-{unique_name(MACHINE.name)}",
        "--property=RestartForceExitStatus=133",
        "--property=SuccessExitStatus=133",
        "--property=MemoryMax=512M",
    }
    assert command[command.index("--") + 1] == "systemd-nspawn"


@pytest.mark.usefixtures("lab_directory")
def test_the_service_has_ended_before_its_name_is_used_again(commands: list[tuple[str, ...]]) -> None:
    nspawn.Nspawn().clear(MACHINE.name)

    assert ("systemctl", "stop", f"homeserver-lab-{unique_name(MACHINE.name)}") in commands


@pytest.mark.parametrize(
    ("argument", "removed"), [("--network-bridge=labtest0", False), ("--network-bridge=labtest01", True)]
)
def test_the_bridge_of_a_machine_that_is_about_to_boot_stays(
    commands: list[tuple[str, ...]],
    monkeypatch: pytest.MonkeyPatch,
    lab_directory: Path,
    argument: str,
    removed: bool,
) -> None:
    save(MACHINE)
    assert (lab_directory / MACHINE.name).is_dir()
    booting = process.Process(2**22 + 1, ("sh", "-c", "loop", "sh", "systemd-nspawn", argument), None)
    monkeypatch.setattr(process, "processes", lambda: iter([booting]))

    nspawn.Nspawn().clear(MACHINE.name)

    assert (("bridge",) in commands) == removed


def test_in_the_usual_directory_the_name_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOMESERVER_LAB_DIR", raising=False)

    assert (nspawn._link("home-2"), nspawn._group_name("home-2")) == ("vb-home-2", "homeserver-lab-home-2")


def test_machines_of_one_name_in_two_directories_have_nothing_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = set()
    for directory in ("/var/lib/homeserver-lab", "/var/lib/a", "/var/lib/b"):
        monkeypatch.setenv("HOMESERVER_LAB_DIR", directory)
        for name in ("molecule", "molecule-2", "molecule-3"):
            check_name(name)
            found |= {nspawn._link(name), nspawn._group_name(name)}

    assert len(found) == 3 * 3 * 2
    assert max(len(name) for name in found if name.startswith("vb-")) <= 15  # Linux' limit
