"""Machines that are systemd-nspawn containers: a real systemd, sshd and snapd on this host's kernel.

A machine runs containers itself, and so has every capability that this host has. That keeps apart what it
does, not what it could do: it is for software you trust.
"""

import os
import shutil
import time
import uuid
from ipaddress import IPv4Network
from pathlib import Path

from lab import network, process
from lab.build import Report, build
from lab.host import LabError, run
from lab.machine import Machine, Supplies, lab_directory

_FREE_BYTES = 5 * 2**30
_CGROUPS = Path("/sys/fs/cgroup")
_LEFTOVERS = Path("/run/systemd/nspawn")

# What systemd-nspawn forbids by default and runc, snapd and Calico do: the filter holds for all that the
# machine's systemd starts, pods included.
_SYSTEM_CALLS = "@keyring bpf @mount @privileged @raw-io @module @debug perf_event_open"


class Nspawn:
    """The backend."""

    boot_seconds = 60
    ssh_port = 22
    ready = "true"

    @property
    def subnet(self) -> IPv4Network:
        """The bridge's."""
        return network.bridge().subnet

    def prepare(self, report: Report) -> Supplies:
        """Build the machine's file system and the bundle of what it will run, as far as they are not cached.

        Raises:
            LabError: A part cannot be built.
        """
        built = build(report)
        variables = Path(__file__).with_name("nspawn.yml").read_text()
        return Supplies(built.rootfs, f"{variables}\nhomeserver_bundle: {built.bundle}\n")

    def create(self, machine: Machine, system: Path) -> None:
        """Unpack the file system, make it this machine's, connect and boot it.

        Raises:
            LabError: No room on the disk, no free subnet, or a program failed.
        """
        root = _root(machine.name)
        _unpack(system, root)
        _give_identity(machine, root)
        network.ensure(network.bridge())
        _boot(machine, root)
        self._wait_until_connected(machine)

    def _wait_until_connected(self, machine: Machine, within: float = 20) -> None:
        """Wait, as long as another machine's going would remove the bridge, which looks unused."""
        deadline = time.monotonic() + within
        while self.is_running(machine) and not network.connected(_link(machine.name), network.bridge()):
            if time.monotonic() > deadline:
                raise LabError(f"machine {machine.name} has no link to the bridge after {within:.0f} s")
            time.sleep(0.02)

    def is_running(self, machine: Machine) -> bool:
        """Whether its supervisor is there: a container that lost it is a wreck."""
        return any(_supervises(machine.name, one) for one in process.processes())

    def clear(self, name: str) -> None:
        """Kill what runs in the machine and for it, and remove its links and control groups.

        Raises:
            LabError: A process or a control group would not go.
        """
        root = _root(name)
        process.end(lambda one: _directory_option(root) in one.argv or one.runs_in(root))
        network.remove_link(_link(name))
        network.remove_if_unused(network.bridge())
        _remove_control_groups(name)
        _forget(name, root)


def _root(name: str) -> Path:
    return lab_directory() / name / "root"


def _link(name: str) -> str:
    """This host's end of the machine's link, as systemd-nspawn names it."""
    return f"vb-{name}"


def _directory_option(root: Path) -> str:
    """The argument by which tar and systemd-nspawn are known to work for a machine."""
    return f"--directory={root}"


def _supervises(name: str, one: process.Process) -> bool:
    return Path(one.argv[0]).name == "systemd-nspawn" and _directory_option(_root(name)) in one.argv


def _unpack(system: Path, root: Path) -> None:
    if shutil.disk_usage(root.parent).free < _FREE_BYTES:
        raise LabError(f"less than {_FREE_BYTES // 2**30} GiB are free in {root.parent}")
    root.mkdir()
    run("tar", "--extract", f"--file={system}", _directory_option(root), "--numeric-owner",
        "--preserve-permissions", "--xattrs", "--xattrs-include=*")  # fmt: skip


def _give_identity(machine: Machine, root: Path) -> None:
    """Write what tells this machine from others made of the same file system."""
    bridge = network.bridge()
    settings = {
        "hostname": f"{machine.name}\n",
        "hosts": f"127.0.0.1 localhost\n{machine.address} {machine.name}\n",
        "machine-id": f"{uuid.uuid4().hex}\n",
        # No server listens there, and this host says so at once: a lookup fails without waiting.
        "resolv.conf": f"nameserver {bridge.host.ip}\n",
        "systemd/network/10-host0.network": "[Match]\nName=host0\n\n[Network]\n"
        f"Address={machine.address}/{bridge.subnet.prefixlen}\nGateway={bridge.host.ip}\n",
    }
    for path, text in settings.items():
        (root / "etc" / path).unlink(missing_ok=True)
        (root / "etc" / path).write_text(text)
    for key in (machine.host_key, machine.host_key.with_suffix(".pub")):
        shutil.copy(key, root / "etc/ssh")
    for home in (root / "root", root / "home/owner"):
        _authorize(machine.key.with_suffix(".pub"), home)


def _authorize(public_key: Path, home: Path) -> None:
    owner = home.stat()
    directory = home / ".ssh"
    directory.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(public_key, directory / "authorized_keys")
    for path in (directory, directory / "authorized_keys"):
        os.chown(path, owner.st_uid, owner.st_gid)


def _boot(machine: Machine, root: Path) -> None:
    environment = {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "yes"}
    command = [
        "systemd-nspawn", _directory_option(root), f"--machine={machine.name}", "--boot", "--quiet",
        "--register=no", "--keep-unit", "--console=read-only", "--link-journal=no",
        "--resolv-conf=off", "--timezone=off", f"--network-bridge={network.bridge().name}",
        "--capability=all", f"--system-call-filter={_SYSTEM_CALLS}",
        # The kubelet reads the one, snapd mounts snaps with the other. Bound read-only they can still be
        # written to, but the machine's udev cannot change their modes, which are this host's.
        "--bind-ro=/dev/kmsg", "--bind-ro=/dev/fuse",
    ]  # fmt: skip
    if Path("/run/systemd/system").is_dir():
        _boot_as_service(machine, command, environment)
    else:
        _boot_in_own_control_group(machine, command, environment)


def _boot_as_service(machine: Machine, command: list[str], environment: dict[str, str]) -> None:
    """Where systemd owns the control groups, have it delegate one."""
    run("systemd-run", "--quiet", "--collect", f"--unit={_group_name(machine.name)}",
        "--property=Type=exec", "--property=Delegate=yes",
        f"--property=StandardOutput=append:{machine.console}",
        f"--property=StandardError=append:{machine.console}",
        *(f"--setenv={name}={value}" for name, value in environment.items()), "--", *command)  # fmt: skip


def _boot_in_own_control_group(machine: Machine, command: list[str], environment: dict[str, str]) -> None:
    """Give the machine a group of its own: in a common one two kubelets would end each other's pods."""
    groups = _control_groups(machine.name)
    for group in groups:
        _make_control_group(group)

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    process.start(command, machine.console, environment, first=enter)


def _group_name(name: str) -> str:
    return f"homeserver-lab-{name}"


def _control_groups(name: str) -> list[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    hierarchies = {Path(target) for _, target, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}}
    return sorted(path / _group_name(name) for path in hierarchies if path.is_relative_to(_CGROUPS))


def _make_control_group(group: Path) -> None:
    group.mkdir(exist_ok=True)
    # A cpuset starts empty, and takes no process before it has some.
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (group / setting).exists():
            (group / setting).write_text((group.parent / setting).read_text())


def _remove_control_groups(name: str, within: float = 10) -> None:
    """Remove the machine's groups. What was killed in them may take a moment to be gone."""
    deadline = time.monotonic() + within
    while groups := [group for group in _control_groups(name) if group.is_dir()]:
        try:
            for group in groups:
                _remove_control_group(group)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"a control group does not go away: {error}") from error
            time.sleep(0.1)


def _remove_control_group(group: Path) -> None:
    """Remove a group after those below it; what else it seems to hold is the kernel's."""
    for child in group.iterdir():
        if child.is_dir():
            _remove_control_group(child)
    group.rmdir()


def _forget(name: str, root: Path) -> None:
    """Remove what systemd-nspawn keeps of a machine when it is killed."""
    propagated = _LEFTOVERS / "propagate" / name
    if propagated.is_dir():
        propagated.rmdir()
    if root.is_dir():
        found = root.stat()
        (_LEFTOVERS / "locks" / f"inode-{found.st_dev}:{found.st_ino}").unlink(missing_ok=True)
