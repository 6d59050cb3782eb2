"""A home server as the tests meet it: from outside, through its inventory, as its owner does."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Home:
    """A home server, as its inventory describes it."""

    inventory: Path
    name: str
    variables: dict[str, Any]

    @classmethod
    def of(cls, inventory: str) -> Self:
        """Read the first control-plane host of an inventory."""
        runner = AnsibleRunner.get_runner(inventory)
        name = runner.get_hosts("control_plane")[0]
        return cls(Path(inventory), name, runner.get_variables(name))

    @property
    def address(self) -> str:
        """The machine's IPv4 address."""
        return str(self.variables["ansible_host"])

    @property
    def domain(self) -> str:
        """What every service's name ends in."""
        return str(self.variables["homeserver_domain"])

    @property
    def kubeconfig(self) -> Path:
        """The cluster's admin kubeconfig on this machine."""
        return self.inventory.parent / ".kube" / f"{self.name}.yaml"

    @property
    def secrets(self) -> Path:
        """Where what was generated is kept on this machine."""
        return self.inventory.parent / "secrets" / self.name

    @property
    def ca(self) -> str:
        """The certificate authority's certificate, as requests takes it."""
        return str(self.secrets / "ca.crt")

    @property
    def bundle(self) -> Path | None:
        """The bundle the home is installed from, if it is."""
        bundle = self.variables.get("homeserver_bundle")
        return Path(bundle) if bundle else None

    def play(self, playbook: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the project on this home, or on the inventory among the arguments."""
        inventory = () if "-i" in arguments else ("-i", str(self.inventory))
        plain = os.environ | {"ANSIBLE_FORCE_COLOR": "false"} | environment
        command = ["ansible-playbook", *inventory, *arguments, playbook]
        return subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)

    def image(self, name: str) -> str:
        """The reference that the machine knows an image of the versions file by."""
        mirror = self.variables.get("homeserver_image_mirror")
        reference = self.variables["homeserver_versions"]["images"][name]
        return f"{mirror}/{reference}" if mirror else str(reference)


class Kubectl:
    """The machine's `microk8s kubectl`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __call__(self, arguments: str) -> str:
        """Run it; fail with what it said when it fails."""
        return cast("str", self._host.check_output(f"/snap/bin/microk8s kubectl {arguments}"))

    def get(self, arguments: str) -> Any:
        """Return objects as Kubernetes' API shows them."""
        return json.loads(self(f"get {arguments} -o json"))

    def image(self, namespace: str, deployment: str) -> str:
        """Return the image that the pods of a Deployment run, which the machine has already."""
        template = self.get(f"-n {namespace} deployment {deployment}")["spec"]["template"]
        return cast("str", template["spec"]["containers"][0]["image"])

    def try_pod(self, namespace: str, deployment: str) -> str:
        """Ask Kubernetes whether it would take a pod of a Deployment, make none, and return what it says."""
        template = self.get(f"-n {namespace} deployment {deployment}")["spec"]["template"]
        metadata = {"name": deployment, "namespace": namespace, "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        return self(f"create --dry-run=server -f - <<'EOF'\n{json.dumps(pod)}\nEOF")

    def logged(self, namespace: str, app: str, mark: str) -> list[dict[str, Any]]:
        """Return the JSON lines with a mark that an app's pods logged lately; waits until there are any."""
        found: list[str] = []

        def look() -> bool:
            said = self(f"-n {namespace} logs -l app.kubernetes.io/name={app} --tail=-1 --since=5m")
            found[:] = [line for line in said.splitlines() if mark in line]
            return bool(found)

        eventually(look, seconds=20)
        return [json.loads(line) for line in found]

    def counted(self, namespace: str, app: str, port: int, metric: str) -> float:
        """Return a counter's sum over all label values and pods of an app, read from within the cluster."""
        running = f"-l app.kubernetes.io/name={app} --field-selector=status.phase=Running"
        names = [pod["metadata"]["name"] for pod in self.get(f"-n {namespace} pods {running}")["items"]]
        pages = [
            self(f"get --raw /api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy/metrics")
            for name in names
        ]
        samples = [line for page in pages for line in page.splitlines() if line.startswith(metric)]
        return sum(float(sample.split("}")[1].split()[0]) for sample in samples)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self._host.check_output(f"printf %s '{manifest}' | /snap/bin/microk8s kubectl apply -f -")


def eventually(is_so: Callable[[], bool], seconds: float) -> bool:
    """Whether something becomes so within this time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True
