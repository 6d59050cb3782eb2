"""A home server from the outside, through its inventory, like its owner sees it."""

import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from ansible.utils.vars import merge_hash
from testinfra.host import Host
from testinfra.utils.ansible_runner import AnsibleRunner

from harness import terminal
from lab.catalogue import pinned_versions

ROOT = Path(__file__).parents[1]


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
    def tests(self) -> str:
        """The address of this computer at which the machine reaches the tests, `_tests` in its inventory."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:
            towards.connect((self.address, 9))  # sends nothing
            return str(towards.getsockname()[0])

    @property
    def domain(self) -> str:
        """The suffix of every service's name."""
        return str(self.variables["homeserver_domain"])

    @property
    def kubeconfig(self) -> Path:
        """The cluster's admin kubeconfig on this machine."""
        return self.inventory.parent / ".kube" / f"{self.name}.yaml"

    @property
    def secrets(self) -> Path:
        """The directory with generated secrets on this machine."""
        return self.inventory.parent / "secrets" / self.name

    @property
    def ca(self) -> str:
        """The CA certificate, in the format of requests."""
        return str(self.secrets / "ca.crt")

    @property
    def bundle(self) -> Path | None:
        """The bundle that the home is installed from, if any."""
        bundle = self.variables.get("homeserver_bundle")
        return Path(bundle) if bundle else None

    @property
    def versions(self) -> dict[str, Any]:
        """The versions of this home: the collection's, with overrides from its inventory."""
        overrides = self.variables.get("homeserver_version_overrides", {})
        return cast("dict[str, Any]", merge_hash(pinned_versions(), overrides))

    def play(self, playbook: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the project on this home, or on the inventory in the arguments."""
        inventory = () if "-i" in arguments else ("-i", str(self.inventory))
        plain = os.environ | {"ANSIBLE_FORCE_COLOR": "false"} | environment
        command = ["ansible-playbook", *inventory, *arguments, playbook]
        return subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)

    def play_and_type(
        self, question: str, answer: str, playbook: str, *arguments: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook of the project on this home at a terminal, and answer what it asks."""
        command = ["ansible-playbook", "-i", str(self.inventory), *arguments, playbook]
        return terminal.answered(command, question, answer, ROOT, os.environ)

    def image(self, name: str) -> str:
        """Return the reference of an image in the versions file, as the machine knows it."""
        mirror = self.variables.get("homeserver_image_mirror")
        reference = self.versions["images"][name]
        return f"{mirror}/{reference}" if mirror else str(reference)


# Its quotes are not those of the shell that it goes through.
_CONNECT = """import json, socket, sys
def reached(address):
    try: socket.create_connection(tuple(address), 3).close()
    except OSError: return False
    return True
print(json.dumps({name: reached(at) for name, at in json.loads(sys.argv[1]).items()}))
"""


# What `microk8s kubectl` runs, in MicroK8s' snap and in the lab's, without a wrapper that takes as long
_KUBECTL = (
    "PATH=/snap/microk8s/current:/snap/microk8s/current/bin:$PATH "
    "kubectl --kubeconfig=/var/snap/microk8s/current/credentials/client.config"
)


class Kubectl:
    """The machine's own kubectl."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def __call__(self, arguments: str) -> str:
        """Run it; fail with its output when it fails."""
        return cast("str", self._host.check_output(f"{_KUBECTL} {arguments}"))

    def get(self, arguments: str) -> Any:
        """Return objects as the Kubernetes API returns them."""
        return json.loads(self(f"get {arguments} -o json"))

    def containers(self, without: str = "") -> dict[str, list[Any]]:
        """Return the containers of all running pods, with the counts of their restarts, by the pod's UID.

        Pods whose name begins with `without` are left out.
        """
        return {
            pod["metadata"]["uid"]: [
                (container["containerID"], container["restartCount"])
                for container in pod["status"]["containerStatuses"]
            ]
            for pod in self.get("pods -A --field-selector=status.phase=Running")["items"]
            if not without or not pod["metadata"]["name"].startswith(without)
        }

    def image(self, namespace: str, deployment: str) -> str:
        """Return the image of a Deployment's pods, which the machine has already."""
        template = self.get(f"-n {namespace} deployment {deployment}")["spec"]["template"]
        return cast("str", template["spec"]["containers"][0]["image"])

    def try_pod(self, namespace: str, deployment: str) -> str:
        """Check with a dry run whether Kubernetes accepts a pod of a Deployment, and return its output."""
        template = self.get(f"-n {namespace} deployment {deployment}")["spec"]["template"]
        metadata = {"name": deployment, "namespace": namespace, "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        return self(f"create --dry-run=server -f - <<'EOF'\n{json.dumps(pod)}\nEOF")

    def logged(self, namespace: str, app: str, mark: str) -> list[dict[str, Any]]:
        """Return recent JSON lines with a mark from an app's pods; waits until there are any."""
        found: list[str] = []

        def search() -> bool:
            output = self(f"-n {namespace} logs -l app.kubernetes.io/name={app} --tail=-1 --since=5m")
            found[:] = [line for line in output.splitlines() if mark in line]
            return bool(found)

        eventually(search, seconds=20)
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

    def reached(
        self, addresses: dict[str, tuple[str, int]], namespace: str = "default", node: str = ""
    ) -> dict[str, bool]:
        """Try to connect from a new pod in a namespace without policies, and return what was reached."""
        command = ["python", "-c", _CONNECT, json.dumps(addresses)]
        container = {"name": "c", "image": self.image("apps", "hello"), "command": command}
        metadata = {"name": "connecting", "namespace": namespace}
        spec = {"restartPolicy": "Never", "containers": [container], "nodeName": node}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        pod = f"-n {namespace} pod/connecting"
        try:
            self(f"wait {pod} --for=jsonpath='{{.status.phase}}'=Succeeded --timeout=60s")
            found: dict[str, bool] = json.loads(self(f"logs {pod}"))
            return found
        finally:
            self(f"delete {pod}")

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        manifest = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self._host.check_output(f"printf %s '{manifest}' | {_KUBECTL} apply -f -")


def ask_from(host: Host, url: str, *options: str) -> tuple[int, str]:
    """Return status and body of a request that the machine itself sends, past its firewall."""
    command = ["curl", "--silent", "--insecure", "--write-out", r"\n%{http_code}", *options, url]
    body, _, status = host.check_output(shlex.join(command)).rpartition("\n")
    return int(status), body


def eventually(is_so: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition becomes true within this time."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(1)
    return True
