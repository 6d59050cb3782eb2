"""A machine of the lab by its files, and what a backend does with it."""

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


def lab_directory() -> Path:
    """Where machines live: HOMESERVER_LAB_DIR, or /var/lib/homeserver-lab."""
    return Path(os.environ.get("HOMESERVER_LAB_DIR", "/var/lib/homeserver-lab"))


@dataclass(frozen=True)
class Machine:
    """A machine. All that belongs to it is in its directory, or can be found by its name."""

    name: str
    backend: str
    address: str
    port: int  # of its sshd

    @property
    def directory(self) -> Path:
        """Everything of this machine."""
        return lab_directory() / self.name

    @property
    def key(self) -> Path:
        """The private key that opens it, for root and for its owner."""
        return self.directory / "id_ed25519"

    @property
    def host_key(self) -> Path:
        """The private key by which it is known."""
        return self.directory / "ssh_host_ed25519_key"

    @property
    def known_hosts(self) -> Path:
        """The public key by which it is known, as ssh reads it."""
        return self.directory / "known_hosts"

    @property
    def console(self) -> Path:
        """What it printed while it booted."""
        return self.directory / "console.log"

    @property
    def inventory(self) -> Path:
        """The inventory that has this machine as the home's only server."""
        return self.directory / "inventory"

    def ssh_options(self) -> list[str]:
        """What ssh needs to know to trust this machine, beside its key and address."""
        return ["-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes"]

    def ssh(self, *command: str) -> list[str]:
        """The command line that logs in as root, or runs a command there."""
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
        """The same for a shell."""
        return shlex.join(self.ssh())

    def make_keys(self) -> None:
        """Make the keys to log in and to be known by."""
        for key in (self.key, self.host_key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(key))
        public = self.host_key.with_suffix(".pub").read_text()
        known_as = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        self.known_hosts.write_text(f"{known_as} {public}")

    def last_console_lines(self, count: int = 15) -> str:
        """The end of what it printed, without colours and control characters."""
        try:
            text = self.console.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\x20-\x7e\u00a0-\uffff]", "", text)
        return "\n".join([line for line in plain.splitlines() if line.strip()][-count:])


@dataclass(frozen=True)
class Supplies:
    """What a backend has made ready to make machines of."""

    system: Path  # what a machine's file system is made from
    variables: str  # what its inventory says beside the defaults, as YAML


class Backend(Protocol):
    """One way to make machines. What it starts lives on without this process."""

    @property
    def subnet(self) -> IPv4Network:
        """Where machines get their addresses from."""

    @property
    def ssh_port(self) -> int:
        """Where their sshd is reached."""

    @property
    def boot_seconds(self) -> int:
        """How long a machine may take until it is ready."""

    @property
    def ready(self) -> str:
        """The command that succeeds in a machine that has become what it is to be."""

    def prepare(self, report: Report) -> Supplies:
        """Build or fetch what machines are made of. This is what may take long; only the cache changes."""

    def create(self, machine: Machine, system: Path) -> None:
        """Make the machine in its directory, which holds its keys already, and boot it."""

    def is_running(self, machine: Machine) -> bool:
        """Whether it is booting or up."""

    def clear(self, name: str) -> None:
        """Take away all that a machine of this name has outside its directory, however it came to its end."""


def check_name(name: str) -> None:
    """Refuse a name that cannot be a host's, or whose link would have too long a name.

    Raises:
        LabError: With what a name may be.
    """
    if not re.fullmatch(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", name):
        raise LabError(
            f"{name!r} cannot name a machine: take 1 to 10 of a-z, 0-9 and -, a letter first and no - last"
        )


def save(machine: Machine) -> None:
    """Make the machine known, before anything else of it exists."""
    machine.directory.mkdir(mode=0o700, parents=True)
    _record(machine.name).write_text(json.dumps(asdict(machine)))


def load(name: str) -> Machine | None:
    """The machine of this name; none also when its making was cut off before it was known."""
    try:
        return Machine(**json.loads(_record(name).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def machines() -> Iterator[Machine]:
    """Every machine there is, running or not, by name."""
    for record in sorted(lab_directory().glob("*/machine.json")):
        if machine := load(record.parent.name):
            yield machine


def _record(name: str) -> Path:
    return lab_directory() / name / "machine.json"
