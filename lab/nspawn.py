"""Machines that are systemd-nspawn containers: a real systemd, sshd and snapd on this host's kernel.

A machine runs containers itself, and therefore has all capabilities of this host. It is isolated against
accidents, not against attacks: only run software that you trust.
"""

import os
import re
import shlex
import shutil
import time
import uuid
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import yaml

from lab import network, process
from lab.build import Report, build
from lab.catalogue import version_overrides
from lab.host import LabError, run
from lab.machine import Machine, Supplies, lab_directory, unique_name

_FREE_BYTES = 5 * 2**30
_CGROUPS = Path("/sys/fs/cgroup")
_LEFTOVERS = Path("/run/systemd/nspawn")

# System calls that systemd-nspawn forbids by default but runc, snapd and Calico need: the filter applies to
# everything that the machine's systemd starts, including pods.
_SYSTEM_CALLS = "@keyring bpf @mount @privileged @raw-io @module @debug perf_event_open"

# The exit code of systemd-nspawn with --keep-unit if the machine rebooted: another one has to boot it.
_REBOOTED = 133


class Nspawn:
    """The backend."""

    connects = True
    boot_seconds = 60
    ssh_port = 22
    ready = "true"

    @property
    def subnet(self) -> IPv4Network:
        """The bridge's."""
        return network.bridge().subnet

    def prepare(self, report: Report) -> Supplies:
        """Build the machine's file system and the bundle for its installation, unless they are cached.

        Raises:
            LabError: A part could not be built.
        """
        built = build(report)
        variables = Path(__file__).with_name("nspawn.yml").read_text()
        ours = {"homeserver_bundle": str(built.bundle), "homeserver_version_overrides": version_overrides()}
        return Supplies(built.rootfs, f"{variables}\n{yaml.safe_dump(ours)}")

    def create(self, machine: Machine, system: Path) -> None:
        """Unpack the file system, and write the machine's identity.

        Raises:
            LabError: There is no disk space, or a program failed.
        """
        root = _root(machine.name)
        _make_root(machine, root)
        run("tar", "--extract", f"--file={system}", _directory_option(root), "--numeric-owner",
            "--preserve-permissions", "--xattrs", "--xattrs-include=*")  # fmt: skip
        _give_identity(machine, root)

    def start(self, machine: Machine) -> None:
        """Connect the machine, and boot it.

        Raises:
            LabError: There is no free subnet, or a program failed.
        """
        network.ensure(network.bridge())
        network.forget_neighbours(network.bridge())
        _mount(machine)
        _boot(machine, _root(machine.name))

    def move(self, machine: Machine) -> None:
        """Write the address into the machine's file system, and make its systemd-networkd read it.

        Raises:
            LabError: The machine is running, but does not take it.
        """
        root = _root(machine.name)
        _mount(machine)
        hosts = root / "etc/hosts"
        own_line = re.compile(rf"^\S+ {machine.name}$", re.MULTILINE)
        hosts.write_text(own_line.sub(f"{machine.address} {machine.name}", hosts.read_text()))
        _write_network(machine, root)
        for one in process.processes():
            if _is_init(one, root):
                run("nsenter", f"--target={one.pid}", "--all", "networkctl", "reload")
                network.forget_neighbours(network.bridge())

    def is_running(self, machine: Machine) -> bool:
        """Return whether its supervisor runs, also between two boots: a container without it is broken."""
        return any(_supervises(machine.name, one) for one in process.processes())

    def clear(self, name: str) -> None:
        """Kill the machine's processes and its supervisor, and remove its links and control groups.

        Raises:
            LabError: A process or a control group could not be removed.
        """
        root = _root(name)
        process.end(lambda one: _directory_option(root) in one.argv or one.runs_in(root))
        _end_service(name)
        network.remove_link(_link(name))
        # A machine that is about to boot, also once more, has no port of the bridge yet.
        if not any(_bridge_option() in one.argv for one in process.processes()):
            network.remove_if_unused(network.bridge())
        _remove_control_groups(name)
        _forget(name, root)
        if root.is_mount():
            run("umount", str(root))


def _root(name: str) -> Path:
    return lab_directory() / name / "root"


def _link(name: str) -> str:
    """Return the name of this host's end of the machine's link, which systemd-nspawn chooses."""
    return f"vb-{unique_name(name)}"


def _directory_option(root: Path) -> str:
    """Return the argument that identifies processes of tar and systemd-nspawn for a machine."""
    return f"--directory={root}"


def _is_init(one: process.Process, root: Path) -> bool:
    """Return whether the process is the first one of the machine."""
    return len(one.argv) == 1 and Path(one.argv[0]).name == "systemd" and one.runs_in(root)


def _bridge_option() -> str:
    """Return the argument that identifies processes of machines on the bridge."""
    return f"--network-bridge={network.bridge().name}"


def _supervises(name: str, one: process.Process) -> bool:
    """Return whether the process is systemd-nspawn for this machine, or the loop around it."""
    return Path(one.argv[0]).name in {"sh", "systemd-nspawn"} and _directory_option(_root(name)) in one.argv


def _make_root(machine: Machine, root: Path) -> None:
    """Make the directory of its file system, on a disk of its own if that has a size."""
    if shutil.disk_usage(root.parent).free < _FREE_BYTES:
        raise LabError(f"less than {_FREE_BYTES // 2**30} GiB are free in {root.parent}")
    root.mkdir()
    if machine.disk_gib:
        run("mkfs.ext4", "-q", "-m", "0", str(_disk(machine.name)), f"{machine.disk_gib}G")
        _mount(machine)


def _disk(name: str) -> Path:
    return lab_directory() / name / "disk.img"


def _mount(machine: Machine) -> None:
    """Mount its disk, if it has one that is not mounted yet."""
    root = _root(machine.name)
    if machine.disk_gib and not root.is_mount():
        run("mount", "--options=loop", str(_disk(machine.name)), str(root))


def _give_identity(machine: Machine, root: Path) -> None:
    """Write the files that distinguish this machine from others with the same file system."""
    bridge = network.bridge()
    settings = {
        "hostname": f"{machine.name}\n",
        "hosts": f"127.0.0.1 localhost\n{machine.address} {machine.name}\n",
        "machine-id": f"{uuid.uuid4().hex}\n",
        # No server listens there, and this host rejects packets at once: a lookup fails without a timeout.
        "resolv.conf": f"nameserver {bridge.host.ip}\n",
    }
    for path, text in settings.items():
        (root / "etc" / path).unlink(missing_ok=True)
        (root / "etc" / path).write_text(text)
    _write_network(machine, root)
    for key in (machine.host_key, machine.host_key.with_suffix(".pub")):
        shutil.copy(key, root / "etc/ssh")
    for home in (root / "root", root / "home/owner"):
        _authorize(machine.key.with_suffix(".pub"), home)


def _write_network(machine: Machine, root: Path) -> None:
    bridge = network.bridge()
    (root / "etc/systemd/network/10-host0.network").write_text(
        "[Match]\nName=host0\n\n[Network]\n"
        f"Address={machine.address}/{bridge.subnet.prefixlen}\nGateway={bridge.host.ip}\n"
    )


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
        "systemd-nspawn", _directory_option(root), "--boot", "--quiet",
        f"--machine={unique_name(machine.name)}", f"--hostname={machine.name}",
        "--register=no", "--keep-unit", "--console=read-only", "--link-journal=no",
        "--resolv-conf=off", "--timezone=off", _bridge_option(),
        "--capability=all", f"--system-call-filter={_SYSTEM_CALLS}",
        # The kubelet reads the former, snapd mounts snaps with the latter. Devices in a read-only bind mount
        # are still writable, but the machine's udev cannot change their modes, which this host shares.
        "--bind-ro=/dev/kmsg", "--bind-ro=/dev/fuse",
    ]  # fmt: skip
    if _has_systemd():
        _boot_as_service(machine, command, environment)
    else:
        _boot_in_own_control_group(machine, command, environment)


def _has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def _boot_as_service(machine: Machine, command: list[str], environment: dict[str, str]) -> None:
    """If systemd manages the control groups, make it delegate one, and boot again after a reboot."""
    limits = [f"--property=MemoryMax={machine.memory_mib}M"] if machine.memory_mib else []
    run("systemd-run", "--quiet", "--collect", f"--unit={_group_name(machine.name)}",
        "--property=Type=exec", "--property=Delegate=yes", *limits,
        f"--property=RestartForceExitStatus={_REBOOTED}", f"--property=SuccessExitStatus={_REBOOTED}",
        "--property=RestartSec=0",
        f"--property=StandardOutput=append:{machine.console}",
        f"--property=StandardError=append:{machine.console}",
        *(f"--setenv={name}={value}" for name, value in environment.items()), "--", *command)  # fmt: skip


def _end_service(name: str) -> None:
    """Wait for systemd to forget the killed machine's service, whose name the next boot takes."""
    if _has_systemd():
        with suppress(LabError):  # it has none
            run("systemctl", "stop", _group_name(name))


def _boot_in_own_control_group(machine: Machine, command: list[str], environment: dict[str, str]) -> None:
    """Create a control group for the machine: in a shared one, two kubelets would kill each other's pods."""
    groups = _control_groups(machine.name)
    for group in groups:
        _make_control_group(group, machine.memory_mib * 2**20)
    # If control groups of containers from before a reboot are left, the kubelet searches seconds for each
    # container.
    below = f"find {shlex.join(map(str, groups))} -mindepth 1 -type d -delete"
    loop = f'while "$@"; test $? = {_REBOOTED}; do {below}; done'

    def enter() -> None:
        for group in groups:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    process.start(["sh", "-c", loop, "sh", *command], machine.console, environment, first=enter)


def _group_name(name: str) -> str:
    return f"homeserver-lab-{unique_name(name)}"


def _control_groups(name: str) -> list[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    hierarchies = {Path(target) for _, target, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}}
    return sorted(path / _group_name(name) for path in hierarchies if path.is_relative_to(_CGROUPS))


def _make_control_group(group: Path, memory_bytes: int) -> None:
    group.mkdir(exist_ok=True)
    # A new cpuset is empty, and accepts no process before it is configured.
    for setting in ("cpuset.cpus", "cpuset.mems"):
        if (group / setting).exists():
            (group / setting).write_text((group.parent / setting).read_text())
    for setting in ("memory.limit_in_bytes", "memory.max"):  # of version 1 and 2
        if (group / setting).exists() and memory_bytes:
            (group / setting).write_text(str(memory_bytes))


def _remove_control_groups(name: str, within: float = 10) -> None:
    """Remove the machine's groups. Killed processes may take a moment to disappear."""
    deadline = time.monotonic() + within
    while groups := [group for group in _control_groups(name) if group.is_dir()]:
        try:
            for group in groups:
                _remove_control_group(group)
        except OSError as error:
            if time.monotonic() > deadline:
                raise LabError(f"a control group could not be removed: {error}") from error
            time.sleep(0.1)


def _remove_control_group(group: Path) -> None:
    """Remove a group after its subgroups; remaining processes belong to the kernel."""
    for child in group.iterdir():
        if child.is_dir():
            _remove_control_group(child)
    group.rmdir()


def _forget(name: str, root: Path) -> None:
    """Remove the state that systemd-nspawn leaves when it is killed."""
    propagated = _LEFTOVERS / "propagate" / unique_name(name)
    if propagated.is_dir():
        propagated.rmdir()
    if root.is_dir():
        found = root.stat()
        (_LEFTOVERS / "locks" / f"inode-{found.st_dev}:{found.st_ino}").unlink(missing_ok=True)
