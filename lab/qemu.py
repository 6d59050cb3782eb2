"""Virtual machines: a cloud image under qemu, configured by cloud-init.

A machine has qemu's user networking: internet access through this host, and a loopback address of this host
whose relevant ports are forwarded into it. Machines cannot reach each other.
"""

import json
import os
import time
import uuid
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from lab import network, process
from lab.build import Report, cache_root, obtain
from lab.cache import Cache, Part
from lab.host import MACHINE_PACKAGES, LabError, ensure_packages, run
from lab.machine import Machine, Supplies, lab_directory
from lab.recipes import cloud_image

_PACKAGES = (*MACHINE_PACKAGES, "qemu-system-x86", "qemu-utils", "genisoimage")
_UBUNTU = "https://cloud-images.ubuntu.com/releases/noble/release/ubuntu-24.04-server-cloudimg-amd64.img"
_DISK_GIB = 40
_MEMORY_MIB = 4096
_FORWARDED_PORTS = (80, 443, 16443)

_KVM = ("-accel", "kvm", "-cpu", "host")
_EMULATION = ("-accel", "tcg,thread=multi", "-cpu", "max")
# A kernel that runs at all has printed its name by then.
_KERNEL_SECONDS = 30


class Qemu:
    """The backend."""

    connects = False
    boot_seconds = 600
    ssh_port = 2222  # another sshd of this host uses port 22 of every address
    ready = "test -e /var/lib/cloud/instance/boot-finished"

    @property
    def subnet(self) -> IPv4Network:
        """Loopback addresses with the same numbers as the machines on the bridge."""
        bridged = network.bridge().subnet
        _, rest = str(bridged.network_address).split(".", 1)
        return IPv4Network((IPv4Address(f"127.{rest}"), bridged.prefixlen))

    def prepare(self, report: Report) -> Supplies:
        """Provide the image.

        Raises:
            LabError: It does not exist, cannot be downloaded, or has a wrong checksum.
        """
        ensure_packages(_PACKAGES)
        return Supplies(_image(report), Path(__file__).with_name("qemu.yml").read_text())

    def create(self, machine: Machine, system: Path) -> None:
        """Create an overlay disk over the image, and the machine's cloud-init data.

        Raises:
            LabError: A program failed.
        """
        _make_seed(machine)
        _make_disk(machine, system)
        _image_of(machine).symlink_to(system)

    def start(self, machine: Machine) -> None:
        """Boot the disk.

        Hardware virtualisation is tried first, because it may be offered without working.

        Raises:
            LabError: A program failed.
        """
        if os.access("/dev/kvm", os.R_OK | os.W_OK):
            _boot(machine, _KVM)
            if _kernel_speaks(machine):
                return
            self.clear(machine.name)  # no kernel ran, so the disk is unchanged
        _boot(machine, _EMULATION)

    def move(self, machine: Machine) -> None:
        """Change nothing in the machine, which does not know its address on this host.

        Raises:
            LabError: It is running, and its qemu has the earlier address.
        """
        if self.is_running(machine):
            raise LabError(
                f"a machine of qemu moves while it is off: first `python -m lab cut --name {machine.name}`"
            )

    def is_running(self, machine: Machine) -> bool:
        """Return whether its qemu runs."""
        return _is_running(machine.name)

    def clear(self, name: str) -> None:
        """Kill its qemu, the only thing outside its directory.

        Raises:
            LabError: It is still running.
        """
        process.end(lambda one: _drive_option(name) in one.argv)


def _image(report: Report) -> Path:
    """Return the image in HOMESERVER_LAB_IMAGE, a path or URL; Ubuntu's by default.

    A directory contains a disk that does not boot itself, `disk.img`, with its `vmlinuz` and `initrd.img`.
    """
    named = os.environ.get("HOMESERVER_LAB_IMAGE", _UBUNTU)
    if "://" not in named:
        if not Path(named).exists():
            raise LabError(f"HOMESERVER_LAB_IMAGE={named} is not there")
        return Path(named).absolute()
    if not named.startswith("https://"):
        raise LabError(f"HOMESERVER_LAB_IMAGE={named}: use a path or an https URL")
    settings = {"url": named, "sha256": os.environ.get("HOMESERVER_LAB_IMAGE_SHA256")}
    (entry,) = obtain(Cache(cache_root()), [Part("cloud-image", cloud_image.download, settings)], report)
    return entry / cloud_image.NAME


def _drive_option(name: str) -> str:
    """Return the argument that identifies the qemu process of a machine."""
    return f"file={lab_directory() / name / 'disk.qcow2'},if=virtio,discard=unmap"


def _image_of(machine: Machine) -> Path:
    """Return the link to the image that the machine was created from."""
    return machine.directory / "image"


def _is_running(name: str) -> bool:
    return any(_drive_option(name) in one.argv for one in process.processes())


def _make_seed(machine: Machine) -> None:
    """Write the data disk of cloud-init (NoCloud). JSON is valid YAML."""
    public_key = machine.key.with_suffix(".pub").read_text().strip()
    login = {"ssh_authorized_keys": [public_key]}
    user_data = {
        "hostname": machine.name,
        "locale": "C.UTF-8",
        "disable_root": False,
        "ssh_pwauth": False,
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": machine.host_key.read_text(),
            "ed25519_public": machine.host_key.with_suffix(".pub").read_text(),
        },
        "users": [
            {"name": "root", **login},
            {
                "name": "owner",
                "shell": "/bin/bash",
                "groups": "sudo",
                "sudo": "ALL=(ALL) NOPASSWD:ALL",
                **login,
            },
        ],
    }
    meta_data = {"instance-id": str(uuid.uuid4()), "local-hostname": machine.name}
    seed = machine.directory / "seed"
    seed.mkdir()
    (seed / "user-data").write_text(f"#cloud-config\n{json.dumps(user_data, indent=2)}\n")
    (seed / "meta-data").write_text(json.dumps(meta_data))
    run("genisoimage", "-quiet", "-volid", "cidata", "-joliet", "-rock",
        "-output", str(machine.directory / "seed.iso"), str(seed))  # fmt: skip


def _make_disk(machine: Machine, image: Path) -> None:
    base, _ = _disk_and_kernel(image)
    kind = json.loads(run("qemu-img", "info", "--output=json", str(base)))["format"]
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", kind,
        str(machine.directory / "disk.qcow2"), f"{machine.disk_gib or _DISK_GIB}G")  # fmt: skip


def _boot(machine: Machine, acceleration: tuple[str, ...]) -> None:
    _, kernel = _disk_and_kernel(_image_of(machine))
    ports = {machine.port: 22} | {port: port for port in _FORWARDED_PORTS}
    forwards = ",".join(f"hostfwd=tcp:{machine.address}:{here}-:{there}" for here, there in ports.items())
    command = [
        "qemu-system-x86_64", "-name", machine.name, "-machine", "q35", *acceleration,
        "-smp", str(os.cpu_count()), "-m", str(machine.memory_mib or _MEMORY_MIB),
        "-drive", _drive_option(machine.name),
        "-drive", f"file={machine.directory / 'seed.iso'},if=virtio,format=raw,readonly=on",
        "-nic", f"user,model=virtio-net-pci,{forwards}",
        "-display", "none", "-serial", "stdio", *kernel,
    ]  # fmt: skip
    process.start(command, machine.console)


def _disk_and_kernel(image: Path) -> tuple[Path, list[str]]:
    if image.is_file():
        return image, []
    kernel = ["-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img")]
    return image / "disk.img", [*kernel, "-append", "root=/dev/vda rw console=ttyS0"]


def _kernel_speaks(machine: Machine) -> bool:
    deadline = time.monotonic() + _KERNEL_SECONDS
    while time.monotonic() < deadline:
        if b"Linux version" in machine.console.read_bytes():
            return True
        if not _is_running(machine.name):
            return False
        time.sleep(0.2)
    return False
