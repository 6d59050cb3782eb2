"""The files of a lab machine, and the interface of backends."""

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from lab.build import Report
from lab.host import LabError, run

_DIRECTORY = Path("/var/lib/homeserver-lab")


def lab_directory() -> Path:
    """Return the directory of all machines: HOMESERVER_LAB_DIR, or the usual one."""
    return Path(os.environ.get("HOMESERVER_LAB_DIR", _DIRECTORY))


def unique_name(name: str) -> str:
    """Return what a machine is called among all on this host, in 12 characters at most.

    That is its name, or one with a hash in another directory than the usual, which may have the same names.
    """
    if lab_directory() == _DIRECTORY:
        return name
    digest = hashlib.sha256(os.fsencode(lab_directory() / name)).hexdigest()
    return f"{name[:5]}-{digest[:6]}"


@dataclass(frozen=True)
class Machine:
    """A machine. Everything that belongs to it is in its directory, or can be found by its name."""

    name: str
    backend: str
    address: str
    port: int  # of its sshd
    founder: str | None = None  # the first machine of its home; None in the record of that one
    memory_mib: int = 0  # 0 for the backend's default
    disk_gib: int = 0  # likewise

    @property
    def home(self) -> str:
        """The home that it belongs to, which has the name of its first machine."""
        return self.founder or self.name

    @property
    def directory(self) -> Path:
        """The directory with all files of this machine."""
        return lab_directory() / self.name

    @property
    def key(self) -> Path:
        """The private key to log in with, as root or as its owner."""
        return self.directory / "id_ed25519"

    @property
    def host_key(self) -> Path:
        """The private host key."""
        return self.directory / "ssh_host_ed25519_key"

    @property
    def known_hosts(self) -> Path:
        """The public host key, in the format of ssh."""
        return _known_hosts(self.name)

    @property
    def console(self) -> Path:
        """The console output of its boot."""
        return self.directory / "console.log"

    @property
    def inventory(self) -> Path:
        """The inventory of its home, in the directory of the first machine."""
        return lab_directory() / self.home / "inventory"

    def ssh_options(self) -> list[str]:
        """The ssh options to trust this machine, except its key and address."""
        return ["-o", trust_option(self.name), "-o", "StrictHostKeyChecking=yes"]

    def ssh(self, *command: str) -> list[str]:
        """Return the command line that logs in as root, or runs a command there."""
        login = [
            "-i",
            str(self.key),
            "-o",
            "IdentitiesOnly=yes",
            "-p",
            str(self.port),
            f"root@{self.address}",
        ]
        return ["ssh", *self.ssh_options(), *login, *command]

    def ssh_command(self) -> str:
        """Return the same as a shell command."""
        return shlex.join(self.ssh())

    def make_keys(self) -> None:
        """Create the login key and the host key."""
        for key in (self.key, self.host_key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(key))
        self.write_known_hosts()

    def write_known_hosts(self) -> None:
        """Trust the host key at the machine's address."""
        public = self.host_key.with_suffix(".pub").read_text()
        known_as = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        self.known_hosts.write_text(f"{known_as} {public}")

    def last_console_lines(self, count: int = 15) -> str:
        """Return the end of its console output, without colours and control characters."""
        try:
            text = self.console.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\x20-\x7e\u00a0-\uffff]", "", text)
        return "\n".join([line for line in plain.splitlines() if line.strip()][-count:])


@dataclass(frozen=True)
class Supplies:
    """The backend's preparations for creating machines."""

    system: Path  # the source of a machine's file system
    variables: str  # additional inventory variables, as YAML


class Backend(Protocol):
    """A way to create machines. Processes that it starts continue without this one."""

    @property
    def connects(self) -> bool:
        """Whether machines reach each other, as those of one home have to."""

    @property
    def subnet(self) -> IPv4Network:
        """The subnet of the machines' addresses."""

    @property
    def ssh_port(self) -> int:
        """The port of their sshd."""

    @property
    def boot_seconds(self) -> int:
        """The timeout in seconds until a machine is ready."""

    @property
    def ready(self) -> str:
        """The command that succeeds in a machine once its setup is complete."""

    def prepare(self, report: Report) -> Supplies:
        """Build or download the parts of machines. This step may be slow, and only changes the cache."""

    def create(self, machine: Machine, system: Path) -> None:
        """Create the machine's disk in its directory, which contains its keys already."""

    def start(self, machine: Machine) -> None:
        """Boot the machine from its disk. Nothing remains of an earlier boot, because it was cleared."""

    def move(self, machine: Machine) -> None:
        """Give the machine, running or not, the address that is in this record."""

    def is_running(self, machine: Machine) -> bool:
        """Return whether it is booting or running."""

    def clear(self, name: str) -> None:
        """Kill the machine of this name at once, and remove all that it has outside its directory."""


def check_name(name: str) -> None:
    """Reject a name that is not a valid host name, or too long for the name of its network link.

    Raises:
        LabError: Describes valid names.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", name):
        raise LabError(
            f"{name!r} cannot name a machine: use 1 to 10 of a-z, 0-9 and -, a letter first and no - last"
        )


def save(machine: Machine) -> None:
    """Store the machine's record, before anything else of it exists, or in place of an earlier one."""
    machine.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = _record(machine.name)
    record.with_suffix(".new").write_text(json.dumps(asdict(machine)))
    record.with_suffix(".new").replace(record)


def load(name: str) -> Machine | None:
    """Return the machine of this name; None also if its creation was interrupted before it was recorded."""
    try:
        return Machine(**json.loads(_record(name).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def machines() -> Iterator[Machine]:
    """Return every machine, running or not, by name."""
    for record in sorted(lab_directory().glob("*/machine.json")):
        if machine := load(record.parent.name):
            yield machine


def machines_of(home: str) -> list[Machine]:
    """Return the machines of a home, the first one first."""
    return sorted((machine for machine in machines() if machine.home == home), key=lambda one: one.name)


def trust_option(name: str) -> str:
    """Return the argument that identifies processes of ssh to a machine, also those of Ansible."""
    return f"UserKnownHostsFile={_known_hosts(name)}"


def _known_hosts(name: str) -> Path:
    return lab_directory() / name / "known_hosts"


def _record(name: str) -> Path:
    return lab_directory() / name / "machine.json"
