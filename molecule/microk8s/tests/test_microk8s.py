"""MicroK8s runs and keeps what it promises: access control, names, storage, isolation, restarts."""

import itertools
import json
import stat
from collections.abc import Callable, Iterator

import pytest
from kubernetes import client, config
from testinfra.host import Host

from tests.home import Home, Kubectl, eventually

NAMESPACE = "verify"
LABEL = {"app": "verify"}


@pytest.fixture(scope="module")
def image(home: Home, host: Host) -> str:
    """A Python image that the machine has: from the bundle's, or for it to pull."""
    reference = home.image("python")
    bundle = home.bundle
    if bundle and not host.run(f"/snap/bin/microk8s ctr images ls -q | grep -qxF {reference}").succeeded:
        (archive,) = (
            i["file"]
            for i in json.loads((bundle / "bundle.json").read_text())["images"]
            if i["reference"] == reference
        )
        host.ansible("ansible.builtin.copy", f"src={bundle / archive} dest=/root/verify.tar", check=False)
        host.check_output("/snap/bin/microk8s images import /root/verify.tar && rm /root/verify.tar")
    return reference


@pytest.fixture(scope="module")
def start(kubectl: Kubectl, image: str) -> Iterator[Callable[..., str]]:
    """Start pods of Python that wait to be told what to do, and say their names."""
    names = (f"pod-{number}" for number in itertools.count())

    def _start(claim: str = "", command: str = "sleep infinity") -> str:
        name = next(names)
        volume = (
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
            if claim
            else {"name": "data", "emptyDir": {}}
        )
        container = {
            "name": "python",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {**LABEL, "pod": name}},
                "spec": {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0},
            }
        )
        kubectl(f"-n {NAMESPACE} wait pod/{name} --for=condition=Ready --timeout=120s")
        return name

    kubectl(f"create namespace {NAMESPACE}")
    yield _start
    kubectl(f"delete namespace {NAMESPACE} --timeout=120s")


def _python(kubectl: Kubectl, pod: str, code: str) -> str:
    return kubectl(f"-n {NAMESPACE} exec {pod} -- python -c '{code}'")


def _ready(kubectl: Kubectl) -> bool:
    (node,) = kubectl.get("nodes")["items"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def test_node_is_ready_in_the_version_asked_for(home: Home, kubectl: Kubectl) -> None:
    minor = home.variables["homeserver_versions"]["microk8s_channel"].split("/")[0]
    (node,) = kubectl.get("nodes")["items"]

    assert _ready(kubectl)
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith(f"v{minor}.")


def test_the_snap_does_not_refresh_itself(host: Host) -> None:
    (revision, notes) = host.check_output("snap list microk8s | awk 'NR == 2 { print $3, $NF }'").split()

    # A revision that did not come from the store is never refreshed.
    assert "held" in notes or revision.startswith("x")


def test_a_service_account_may_not_read_secrets(kubectl: Kubectl) -> None:
    assert kubectl("auth can-i list secrets -A") == "yes"
    assert kubectl("auth can-i list secrets -A --as=system:serviceaccount:default:default || true") == "no"


def test_the_kubeconfig_is_for_its_owner_alone_and_works_from_here(home: Home) -> None:
    config.load_kube_config(str(home.kubeconfig))
    (node,) = client.CoreV1Api().list_node().items

    assert stat.S_IMODE(home.kubeconfig.stat().st_mode) == 0o600
    assert home.address in {address.address for address in node.status.addresses}


def test_the_api_refuses_the_nameless(home: Home) -> None:
    config.load_kube_config(str(home.kubeconfig))
    nameless = client.Configuration.get_default_copy()
    nameless.cert_file = nameless.key_file = None
    nameless.api_key = {}

    with pytest.raises(client.ApiException) as refusal:
        client.CoreV1Api(client.ApiClient(nameless)).list_secret_for_all_namespaces()

    assert refusal.value.status in (401, 403)


def test_names_resolve_in_a_pod(kubectl: Kubectl, start: Callable[..., str]) -> None:
    lookup = 'import socket; print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))'

    assert _python(kubectl, start(), lookup) == kubectl.get("service kubernetes")["spec"]["clusterIP"]


def test_a_volume_outlives_its_pod(kubectl: Kubectl, start: Callable[..., str]) -> None:
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": NAMESPACE},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        }
    )
    first = start(claim="data")
    _python(kubectl, first, 'open("/data/note", "w").write("kept")')
    kubectl(f"-n {NAMESPACE} delete pod {first}")

    assert _python(kubectl, start(claim="data"), 'print(open("/data/note").read())') == "kept"


def test_a_network_policy_blocks_and_unblocks(kubectl: Kubectl, start: Callable[..., str]) -> None:
    server = start(command="python -m http.server 8000")
    caller = start()
    address = kubectl.get(f"-n {NAMESPACE} pod {server}")["status"]["podIP"]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": NAMESPACE},
        "spec": {"podSelector": {"matchLabels": {"pod": server}}, "policyTypes": ["Ingress"]},
    }
    reach = (
        "import socket, sys, time\n"
        f'for _ in range(20):\n  try: socket.create_connection(("{address}", 8000), 1); print("open")\n'
        '  except OSError: print("closed")\n  time.sleep(0.2)'
    )

    def settles_on(expected: str) -> bool:
        return _python(kubectl, caller, reach).split("\n")[-1] == expected

    assert eventually(lambda: settles_on("open"), seconds=60)
    kubectl.apply(policy)
    assert eventually(lambda: settles_on("closed"), seconds=60)
    kubectl(f"-n {NAMESPACE} delete networkpolicy deny")
    assert eventually(lambda: settles_on("open"), seconds=60)


def test_pods_survive_a_restart_of_every_service(
    host: Host, kubectl: Kubectl, start: Callable[..., str]
) -> None:
    pod = start()
    before = kubectl.get(f"-n {NAMESPACE} pod {pod}")["status"]["containerStatuses"]

    host.check_output("systemctl restart 'snap.microk8s.daemon-*'")
    host.check_output("/snap/bin/microk8s status --wait-ready --timeout 180")
    kubectl(f"-n {NAMESPACE} wait pod/{pod} --for=condition=Ready --timeout=60s")

    assert kubectl.get(f"-n {NAMESPACE} pod {pod}")["status"]["containerStatuses"] == before


def test_usage_is_metered(host: Host) -> None:
    top = "/snap/bin/microk8s kubectl top nodes --no-headers"

    # A rate takes two measurements, which are a while apart.
    assert eventually(lambda: "%" in host.run(top).stdout, seconds=180)


def test_many_pods_may_watch_files(host: Host) -> None:
    assert host.sysctl("fs.inotify.max_user_instances") >= 512
    assert host.sysctl("fs.inotify.max_user_watches") >= 262144
