"""Real machines. Every one is made and removed here by the commands that a user types."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import lifecycle, process
from lab.host import LabError
from lab.machine import Machine, Supplies, load
from lab.nspawn import Nspawn
from lab.tests.conftest import ROOT, Lab
from lab.tests.host_state import changes, host_state

pytestmark = [pytest.mark.machine, pytest.mark.skipif(os.geteuid() != 0, reason="machines take root")]

A, B = "labtest-a", "labtest-b"


@pytest.fixture
def nothing_left(lab_directory: Path, lab: Lab) -> Iterator[None]:
    """Compares the host before and after the test."""
    lab("build")
    for name in (A, B):  # of an earlier run that was cut off
        lab("down", "--name", name)
    before = host_state(lab_directory, [A, B])
    yield
    assert not changes(before, host_state(lab_directory, [A, B]))


def machine(name: str) -> Machine:
    found = load(name)
    assert found
    return found


def in_machine(name: str, command: str) -> str:
    done = subprocess.run(machine(name).ssh(command), capture_output=True, text=True, check=False, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


@pytest.mark.usefixtures("nothing_left")
def test_a_machine_comes_is_used_again_and_leaves_nothing(lab: Lab) -> None:
    status = json.loads(lab("--json", "up", "--name", A).stdout)
    (found,) = status["machines"]
    assert (found["name"], found["state"], found["address"]) == (A, "running", "10.214.0.2")
    assert subprocess.check_output([*found["ssh"].split(), "hostname"], text=True) == f"{A}\n"
    assert lab("ssh", "--name", A, "cat /etc/os-release").stdout.startswith("PRETTY_NAME=")

    assert in_machine(A, "systemctl is-system-running --wait") == "running"
    assert in_machine(A, "getent hosts $(hostname)").split()[0] == "10.214.0.2"
    assert in_machine(A, "ip route show default").startswith("default via 10.214.0.1 dev host0 proto static")
    assert in_machine(A, "su owner -c 'sudo id -u'") == "0"

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
def test_two_machines_made_at_once_reach_each_other(lab: Lab) -> None:
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


def supervisor(one: process.Process) -> bool:
    return Path(one.argv[0]).name == "systemd-nspawn" and f"--machine={A}" in one.argv


def init(one: process.Process) -> bool:
    return (
        one.runs_in(machine(A).directory / "root")
        and Path(one.argv[0]).name == "systemd"
        and len(one.argv) == 1
    )


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("victim", [supervisor, init])
def test_nothing_is_left_of_a_machine_that_was_killed(
    lab: Lab, victim: Callable[[process.Process], bool]
) -> None:
    lab("up", "--name", A)
    killed = [one.pid for one in process.processes() if victim(one)]
    assert killed
    os.kill(killed[0], signal.SIGKILL)
    wait_until(lambda: json.loads(lab("status", "--json").stdout)["machines"][0]["state"] == "stopped")
    lab("down", "--name", A)


@pytest.mark.usefixtures("nothing_left")
def test_a_killed_machine_can_be_made_anew(lab: Lab) -> None:
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
    "booted": lambda _directory: any(map(supervisor, process.processes())),
}


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("step", STEPS)
def test_making_a_machine_can_be_cut_off_at_any_step(lab: Lab, lab_directory: Path, step: str) -> None:
    for clean in (("up", "--name", A), ("down", "--name", A)):
        with subprocess.Popen(
            [sys.executable, "-m", "lab", "up", "--name", A], cwd=ROOT, stderr=subprocess.PIPE
        ) as making:
            wait_until(lambda: STEPS[step](lab_directory / A), pause=0)
            making.kill()
        lab(*clean)
        if clean[0] == "up":
            assert in_machine(A, "hostname") == A
            lab("down", "--name", A)


@pytest.mark.usefixtures("nothing_left")
def test_a_machine_that_cannot_boot_shows_what_it_last_said(
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


def wait_until(condition: Callable[[], bool], within: float = 120, pause: float = 0.2) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(pause)
