"""Real machines, created and removed with the commands that a user types."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.waiting import wait_until
from lab import lifecycle, process
from lab.host import LabError
from lab.machine import Machine, Supplies, load, unique_name
from lab.nspawn import Nspawn
from lab.tests.conftest import ROOT, Lab
from lab.tests.host_state import changes, host_state

pytestmark = pytest.mark.machine

A, B = "labtest-a", "labtest-b"
HOME, WORKER = "labtest", "labtest-2"
NAMES = [A, B, HOME, WORKER]


@pytest.fixture
def nothing_left(lab_directory: Path, lab: Lab) -> Iterator[None]:
    """Compare the host before and after the test."""
    lab("build")
    for remains in lab_directory.glob("*/"):  # of an interrupted earlier run
        lab("down", "--name", remains.name)
    before = host_state(lab_directory, NAMES)
    yield
    assert not changes(before, host_state(lab_directory, NAMES))


def machine(name: str) -> Machine:
    found = load(name)
    assert found
    return found


def in_machine(name: str, command: str) -> str:
    done = subprocess.run(machine(name).ssh(command), capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def hosts_that_answer() -> list[str]:
    """Return the hosts of the home's inventory, in order, after Ansible has reached each of them."""
    ansible = shutil.which("ansible")
    assert ansible
    command = [
        ansible,
        "all",
        "--one-line",
        "--inventory",
        str(machine(HOME).inventory),
        "--module-name=ping",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stdout + done.stderr
    return sorted(line.split(" | ")[0] for line in done.stdout.splitlines() if " | SUCCESS" in line)


@pytest.mark.usefixtures("nothing_left")
def test_a_machine_is_created_reused_and_removed_completely(lab: Lab) -> None:
    status = json.loads(lab("--json", "up", "--name", A).stdout)
    (found,) = status["machines"]
    assert (found["name"], found["state"], found["address"]) == (A, "running", "10.214.0.2")
    assert subprocess.check_output([*found["ssh"].split(), "hostname"], text=True) == f"{A}\n"
    release = os.environ.get("HOMESERVER_LAB_RELEASE", "bookworm")
    assert f"VERSION_CODENAME={release}\n" in lab("ssh", "--name", A, "cat /etc/os-release").stdout

    assert in_machine(A, "systemctl is-system-running --wait") == "running"
    assert in_machine(A, "getent hosts $(hostname)").split()[0] == "10.214.0.2"
    assert in_machine(A, "ip route show default").startswith("default via 10.214.0.1 dev host0 proto static")
    assert in_machine(A, "su owner -c 'sudo id -u'") == "0"
    assert in_machine(A, "su --login owner -c 'echo $LANG'") == "C.UTF-8"

    identity = in_machine(A, "cat /etc/machine-id")
    lab("up", "--name", A)
    assert in_machine(A, "cat /etc/machine-id") == identity

    leavings = (
        "mount -t tmpfs t /mnt",
        "iptables -A INPUT -j ACCEPT",
        "ip link add br0 type bridge",
        "ip netns add n",
    )
    in_machine(A, " && ".join(leavings))
    lab("down", "--name", A)


@pytest.mark.usefixtures("nothing_left")
def test_two_machines_created_at_once_reach_each_other(lab: Lab) -> None:
    command = [sys.executable, "-m", "lab", "up", "--name"]
    making = [subprocess.Popen([*command, name], cwd=ROOT) for name in (A, B)]
    assert [process.wait() for process in making] == [0, 0]
    for here, there in ((A, B), (B, A)):
        in_machine(here, f"ping -c 1 -W 5 {machine(there).address}")
        key = in_machine(here, f"ssh-keyscan -t ed25519 {machine(there).address} 2>/dev/null")
        assert key in machine(there).known_hosts.read_text()
    assert in_machine(A, "cat /etc/machine-id") != in_machine(B, "cat /etc/machine-id")

    in_machine(A, "mkdir $(findmnt -rnt cgroup,cgroup2 -o TARGET | head -1)/mine")
    assert not in_machine(B, "find /sys/fs/cgroup -name mine")

    lab("down", "--name", A)
    in_machine(B, "ping -c 1 -W 5 10.214.0.1")
    lab("down", "--name", B)


@pytest.mark.usefixtures("nothing_left")
def test_two_labs_have_machines_of_one_name(
    lab: Lab, lab_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab("up", "--name", A)
    first = machine(A)
    with monkeypatch.context() as other:
        other.setenv("HOMESERVER_LAB_DIR", f"{lab_directory}-2")
        other.setenv("HOMESERVER_LAB_BRIDGE", "labtest2")
        other.setenv("HOMESERVER_LAB_SUBNET", "10.216.0.0/24")
        lab("up", "--name", A)
        assert (in_machine(A, "hostname"), machine(A).address) == (A, "10.216.0.2")
        lab("down", "--name", A)
    assert states(lab) == ["running"]
    assert in_machine(A, "hostname; ping -c 1 -W 5 10.214.0.1 >&2; hostname -I") == f"{A}\n{first.address}"
    lab("down", "--name", A)


def memory_is_limited(name: str) -> bool:
    """Return whether a program that takes more than 512 MiB is killed, perhaps with its connection."""
    eat = machine(name).ssh("python3 -c 'bytearray(600 * 2**20)'")
    return subprocess.run(eat, capture_output=True, check=False, timeout=60).returncode in (137, 255)


def boot(name: str) -> str:
    """Return what names the current boot, or nothing if the machine does not answer."""
    ask = machine(name).ssh("-o", "ConnectTimeout=2", "cat /proc/sys/kernel/random/boot_id")
    return subprocess.run(ask, capture_output=True, text=True, check=False).stdout


def reboot(name: str, command: str) -> None:
    """Reboot the machine by a command, which may end with its connection, and wait until it answers again."""
    before = boot(name)
    subprocess.run(machine(name).ssh(command), capture_output=True, check=False, timeout=60)
    wait_until(lambda: boot(name) not in ("", before))


def states(lab: Lab) -> list[str]:
    return [found["state"] for found in json.loads(lab("status", "--json").stdout)["machines"]]


@pytest.mark.usefixtures("nothing_left")
def test_a_home_of_two_machines_is_switched_off_and_on(
    lab: Lab, lab_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_MEMORY", "512")
    monkeypatch.setenv("HOMESERVER_LAB_DISK", "3")
    lab("up", "--name", HOME, "--nodes=2")
    monkeypatch.delenv("HOMESERVER_LAB_MEMORY")
    monkeypatch.delenv("HOMESERVER_LAB_DISK")
    # A disk of its own is filled without an effect on this host's.
    assert "No space left" in in_machine(WORKER, "fallocate --length=4G /zeros 2>&1; rm -f /zeros")

    # Like a container's, in a hierarchy that the machine's systemd does not tidy up itself.
    group = "$(findmnt -rnt cgroup,cgroup2 -o TARGET | grep -m1 -E '(memory|cgroup)$')/container"
    for command in ("systemctl reboot", "reboot -ff"):
        in_machine(WORKER, f"mkdir -p {group}/inner && echo written >> /root/kept")
        reboot(WORKER, command)
        assert in_machine(WORKER, f"cat /root/kept; find {group} 2>/dev/null || rm /root/kept") == "written"
    assert memory_is_limited(WORKER)

    in_machine(WORKER, "echo written > /root/kept")
    lab("cut", "--name", WORKER)
    left = host_state(lab_directory, [WORKER])
    assert (left["control groups"], f"vb-{unique_name(WORKER)}" in left["links"]) == ([], False)
    assert not [line for line in left["processes"] if WORKER in line]
    subprocess.run(machine(HOME).ssh("poweroff"), check=False, timeout=60)
    wait_until(lambda: states(lab) == ["stopped", "stopped"])

    for name in (WORKER, HOME):
        lab("start", "--name", name)
    assert in_machine(WORKER, "cat /root/kept") == "written"
    assert memory_is_limited(WORKER)

    in_machine(WORKER, "echo 10.214.0.2 labtest >> /etc/hosts")
    lab("address", "--name", WORKER, "10.214.0.77")
    lab("cut", "--name", HOME)
    lab("address", "--name", HOME)
    lab("start", "--name", HOME)
    assert hosts_that_answer() == [HOME, WORKER]
    addresses = in_machine(WORKER, "hostname -I; cat /etc/hosts")
    assert addresses == "10.214.0.77 \n127.0.0.1 localhost\n10.214.0.77 labtest-2\n10.214.0.2 labtest"
    assert in_machine(HOME, f"hostname -I; ping -c 1 -W 5 {machine(WORKER).address} >&2") == "10.214.0.3"

    lab("cut", "--name", HOME)
    lab("down", "--name", HOME)
    interrupt_up(HOME, lambda: STEPS["booted"](lab_directory / WORKER), "--nodes=2")
    lab("down", "--name", HOME)


@pytest.mark.usefixtures("nothing_left")
def test_snapd_installs_a_snap_without_waiting_for_its_store(lab: Lab, tmp_path: Path) -> None:
    tree = tmp_path / "snap"
    (tree / "meta").mkdir(parents=True)
    (tree / "usr/lib/snapd").mkdir(parents=True)
    (tree / "usr/lib/snapd/info").write_text("VERSION=2.57\n")
    (tree / "meta/snap.yaml").write_text(
        "name: core\nversion: '1'\ntype: os\nsummary: A base\ndescription: Empty\n"
    )
    subprocess.run(
        ["mksquashfs", tree, tmp_path / "core.snap", "-quiet"], check=True, stdout=subprocess.DEVNULL
    )
    lab("up", "--name", A)
    with (tmp_path / "core.snap").open("rb") as snap:
        subprocess.run(machine(A).ssh("cat > core.snap"), stdin=snap, check=True)
    started = time.monotonic()
    in_machine(A, "snap install --dangerous core.snap")
    assert time.monotonic() - started < 30
    assert "squashfuse" in in_machine(A, "findmnt -n -o SOURCE,FSTYPE /snap/core/x1")
    lab("down", "--name", A)


def supervisor(one: process.Process, name: str = A) -> bool:
    return Path(one.argv[0]).name == "systemd-nspawn" and f"--machine={unique_name(name)}" in one.argv


def init(one: process.Process) -> bool:
    return (
        one.runs_in(machine(A).directory / "root")
        and Path(one.argv[0]).name == "systemd"
        and len(one.argv) == 1
    )


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("victim", [supervisor, init])
def test_nothing_is_left_of_a_killed_machine(lab: Lab, victim: Callable[[process.Process], bool]) -> None:
    lab("up", "--name", A)
    killed = [one.pid for one in process.processes() if victim(one)]
    assert killed
    os.kill(killed[0], signal.SIGKILL)
    wait_until(lambda: json.loads(lab("status", "--json").stdout)["machines"][0]["state"] == "stopped")
    lab("down", "--name", A)


@pytest.mark.usefixtures("nothing_left")
def test_a_killed_machine_can_be_recreated(lab: Lab) -> None:
    lab("up", "--name", A)
    in_machine(A, "touch /root/old")
    process.end(supervisor)
    lab("up", "--name", A)
    assert in_machine(A, "ls /root") == ""
    lab("down", "--name", A)


STEPS: dict[str, Callable[[Path], bool]] = {
    "known": lambda directory: (directory / "machine.json").exists(),
    "keys": lambda directory: (directory / "known_hosts").exists(),
    "unpacking": lambda directory: (directory / "root/etc").exists(),
    "bridge": lambda _directory: Path("/sys/class/net/labtest0").exists(),
    "booting": lambda directory: (directory / "console.log").exists(),
    "booted": lambda directory: any(supervisor(one, directory.name) for one in process.processes()),
}


def interrupt_up(name: str, condition: Callable[[], bool], *options: str) -> None:
    """Create a home, and kill that as soon as the condition is true."""
    command = [sys.executable, "-m", "lab", "up", "--name", name, *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as making:
        wait_until(condition, pause=0)
        making.kill()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("step", STEPS)
def test_creation_can_be_interrupted_at_any_step(lab: Lab, lab_directory: Path, step: str) -> None:
    for clean in (("up", "--name", A), ("down", "--name", A)):
        interrupt_up(A, lambda: STEPS[step](lab_directory / A))
        lab(*clean)
        if clean[0] == "up":
            assert in_machine(A, "hostname") == A
            lab("down", "--name", A)


@pytest.mark.usefixtures("nothing_left")
def test_a_machine_that_cannot_boot_shows_its_last_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "nothing.tar"
    with tarfile.open(system, "w") as tar:
        for directory in ("etc/ssh", "etc/systemd/network", "home/owner", "root", "usr"):
            tar.add(tmp_path, directory, recursive=False)
    monkeypatch.setattr(Nspawn, "prepare", lambda *_: Supplies(system, ""))
    with pytest.raises(LabError, match=f"machine {A} has stopped") as raised:
        lifecycle.up(A, None, print)
    assert "os-release file is missing" in str(raised.value)
    lifecycle.down(A)
