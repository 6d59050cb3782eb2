"""The machines that scenarios run on."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from harness import lan
from harness.home import ROOT, Home
from lab.machine import lab_directory

# What Molecule would run. It keeps the state of one machine only.
CREATE, DESTROY = (("ansible-playbook", f"molecule/default/{name}.yml") for name in ("create", "destroy"))


def in_network(name: str, number: int) -> dict[str, str]:
    """Return what gives machines a directory, a bridge and a subnet of their own, by their number."""
    return {
        "HOMESERVER_LAB_DIR": f"{lab_directory()}-{name}",
        "HOMESERVER_LAB_BRIDGE": f"homelab{number}",
        "HOMESERVER_LAB_SUBNET": f"10.213.{number}.0/24",
    }


@dataclass(frozen=True)
class Scenario:
    """A machine of the lab, with the variables of all scenarios. Several need different names and networks.

    Attributes:
        machine: Its name.
        lab: What distinguishes its network from that of another.
    """

    machine: str = "molecule"
    lab: dict[str, str] = field(default_factory=dict)

    @property
    def _environment(self) -> dict[str, str]:
        return {
            "HOMESERVER_SCENARIO_MACHINE": self.machine,
            "MOLECULE_PROJECT_DIRECTORY": str(ROOT),
        } | self.lab

    @property
    def directory(self) -> Path:
        """The directory with its inventory, kubeconfig and secrets."""
        return Path(self.lab.get("HOMESERVER_LAB_DIR", lab_directory())) / self.machine

    @property
    def inventory(self) -> Path:
        """Its inventory."""
        return self.directory / "inventory"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig that site.yml fetches."""
        return self.directory / f".kube/{self.machine}.yaml"

    def run(self, *command: str, **environment: str) -> None:
        """Run a command that must succeed."""
        plain = {"MOLECULE_COMMAND_BORDERS": "false"}
        environment = os.environ | plain | self._environment | environment
        subprocess.run(command, cwd=ROOT, env=environment, check=True)

    def without_logs(self) -> None:
        """Leave logs and traces out of the home, which costs half of its processor time."""
        options = self.inventory / "group_vars/all/without_logs.yml"
        options.write_text("homeserver_logging_enabled: false\n")

    def install(self) -> None:
        """Run site.yml."""
        self.run("ansible-playbook", "-i", str(self.inventory), "site.yml")

    def verify(self, *names: str, marked: str = "") -> None:
        """Run these tests on the machine as it is; of them, those whose markers fit an expression."""
        options = ["--hosts=control_plane", "--connection=ansible", f"--ansible-inventory={self.inventory}"]
        chosen = ["-m", marked, *(f"molecule/{name}" for name in names)]
        self.run("pytest", "-v", "--durations=20", *options, *chosen)

    @contextmanager
    def created(self, create: tuple[str, ...] = CREATE, destroy: tuple[str, ...] = DESTROY) -> Iterator[None]:
        """Remove what a killed run left, and the machine afterwards. A server on its LAN listens."""
        self.run(*destroy)
        self.run(*create)
        with lan.serving(Home.of(str(self.inventory)).tests):
            yield
        self.run(*destroy)
