"""The machines of a home of several, as their owner sees and handles them."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from harness import connections
from harness.home import ROOT, Home, Kubectl

# Without logs and traces, which would only take memory.
WITHOUT_LOGS = ("-e", '{"homeserver_logging_enabled": false}')
JOIN_URL = re.compile(r"[0-9a-f]{32}/[0-9a-f]{12}")
LABELS = {"shelf": "attic"}
TAINTS = [{"key": "shelf", "value": "attic", "effect": "PreferNoSchedule"}]


@dataclass
class Machines:
    """The lab's machines of one home. The first is the founder, the others are workers.

    Attributes:
        home: The home.
        options: Arguments of every playbook.
    """

    home: Home
    options: tuple[str, ...] = WITHOUT_LOGS

    def __post_init__(self) -> None:
        """Find the founder."""
        self._read: AnsibleRunner | None = None
        self.kubectl = Kubectl(self.host(self.home.name))

    def up(self, count: int) -> None:
        """Create what is missing of this number of machines."""
        self._lab("up", "--nodes", str(count))

    def cut(self, name: str) -> "PowerCut":
        """Cut a machine's power."""
        self._lab("cut", name=name)
        return PowerCut(name, time.monotonic())

    def start(self, name: str) -> None:
        """Switch a machine on again."""
        self._lab("start", name=name)

    def move(self, name: str) -> str:
        """Give a machine another address, also in the inventory, and return it."""
        self._lab("address", name=name)
        address = self.address(name)
        if name == self.home.name:
            self.home.variables["ansible_host"] = address
            self.kubectl = Kubectl(self.host(name))
        return address

    def remove(self, name: str) -> None:
        """Remove a machine, also from the inventory."""
        self._lab("down", name=name)

    def unplug(self, name: str, disk: str, archive: Path) -> None:
        """Take a disk out of a machine: put all that is in a directory into an archive here."""
        with archive.open("wb") as file:
            subprocess.run(
                [*self._ssh(name), "tar", "-C", disk, "-c", "."], cwd=ROOT, stdout=file, check=True
            )

    def plug(self, name: str, disk: str, archive: Path) -> None:
        """Put it into a machine."""
        subprocess.run([*self._ssh(name), "mkdir", "-p", disk], cwd=ROOT, check=True)
        with archive.open("rb") as file:
            subprocess.run([*self._ssh(name), "tar", "-C", disk, "-x"], cwd=ROOT, stdin=file, check=True)

    def describe(self, name: str, **variables: Any) -> None:
        """Set a machine's variables in the inventory."""
        directory = self.home.inventory / "host_vars"
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.yml").write_text(yaml.safe_dump(variables))
        self._read = None

    def play(self, playbook: str, *arguments: str) -> str:
        """Run a playbook, after those at the end of the arguments, and return what it prints.

        It has to succeed.
        """
        run = self.home.play(playbook, *self.options, *arguments)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    def refused(self, playbook: str, *arguments: str) -> str:
        """Run a playbook, which has to fail, and return what it prints."""
        run = self.home.play(playbook, *self.options, *arguments)
        assert run.returncode != 0, run.stdout
        return run.stdout + run.stderr

    def host(self, name: str) -> Host:
        """Return the machine itself."""
        found = self._inventory().get_host(name)
        assert found
        return found

    def address(self, name: str) -> str:
        """Return a machine's address, from the inventory."""
        return str(self._inventory().get_variables(name)["ansible_host"])

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the nodes of the cluster by name."""
        return {node["metadata"]["name"]: node for node in self.kubectl.get("nodes")["items"]}

    def ready(self) -> set[str]:
        """Return the names of the nodes that are ready."""
        return {name for name, node in self.nodes().items() if _is_ready(node)}

    def containers(self) -> dict[str, list[Any]]:
        """Return all containers but those of Calico, which restarts when the first machine joins."""
        return self.kubectl.containers(without="calico-node-")

    def pods(self, namespace: str, app: str) -> dict[str, str]:
        """Return the names of an app's ready pods, with their nodes."""
        chosen = self.kubectl.get(f"-n {namespace} pods -l app.kubernetes.io/name={app}")["items"]
        return {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in chosen if _is_ready(pod)}

    def ask(self, name: str, agent: str = "machines/1") -> str:
        """Ask an app at a machine's address, and return the status; 000 is none."""
        host = f"hello.{self.home.domain}"
        command = [
            "curl",
            "--silent",
            "--cacert",
            self.home.ca,
            "--resolve",
            f"{host}:443:{self.address(name)}",
        ]
        command += ["--max-time", "10", "--user-agent", agent, "--output", "/dev/null"]
        command += ["--write-out", "%{http_code}", f"https://{host}/"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    @staticmethod
    def _ssh(name: str) -> list[str]:
        return [sys.executable, "-m", "lab", "ssh", "--name", name]

    def _inventory(self) -> AnsibleRunner:
        """Read the inventory, which takes a second, once after each change."""
        if not self._read:
            self._read = AnsibleRunner(str(self.home.inventory))
        return self._read

    def _lab(self, *command: str, name: str = "") -> None:
        lab = [sys.executable, "-m", "lab", *command, "--name", name or self.home.name]
        subprocess.run(lab, cwd=ROOT, check=True)
        connections.forget()
        self._read = None


@dataclass(frozen=True)
class Newcomers:
    """A home of one machine, with others in its inventory that have not joined.

    Attributes:
        previewed: What a dry run printed that would let them join.
        before: The containers that ran before, by the pod's UID.
    """

    previewed: str
    before: dict[str, list[Any]]


@dataclass(frozen=True)
class Joined:
    """A home after machines joined.

    Attributes:
        output: What the run printed in which they joined.
        before: The containers that ran before, by the pod's UID.
    """

    output: str
    before: dict[str, list[Any]]


@dataclass(frozen=True)
class PowerCut:
    """A machine without power, and when it lost it, in seconds of the monotonic clock."""

    node: str
    at: float

    @property
    def seconds(self) -> float:
        """How long ago that was."""
        return time.monotonic() - self.at


def changes(output: str) -> dict[str, int]:
    """Return how much each host was changed, from what a run printed."""
    return {
        host: int(count) for host, count in re.findall(r"^(\S+) +: ok=.* changed=(\d+)", output, re.MULTILINE)
    }


def _is_ready(item: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions", []))
