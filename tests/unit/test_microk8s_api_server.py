"""What the role tells the API server, shown by a real one: which pods it admits, which ciphers it speaks."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import yaml

from harness.api_server import ApiServer, api_server
from harness.manifests import Object
from harness.rendering import Role
from tests.unit.test_microk8s_launch import INFO

NAMESPACES = "/api/v1/namespaces"
TAKEN = ("--admission-control-config-file", "--enable-admission-plugins", "--tls-cipher-suites")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the role's flags for admission and encryption of connections."""
    directory = tmp_path_factory.mktemp("kubernetes")
    role = Role("microk8s", directory, inventory_hostname="home", _microk8s_info=INFO)
    launch = yaml.safe_load(role.value("_microk8s_launch_text"))
    for name, content in launch["extraConfigFiles"].items():
        (directory / name).write_text(content)
    flags = launch["extraKubeAPIServerArgs"]
    taken = [f"{flag}={flags[flag].replace('${SNAP_DATA}/args', str(directory))}" for flag in TAKEN]
    with api_server(directory, {}, *taken) as server:
        yield server


def _namespace(api: ApiServer, name: str, labels: dict[str, str]) -> None:
    metadata = {"name": name, "labels": labels}
    answer = api.apply(
        f"{NAMESPACES}/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    )
    assert answer.ok, answer.text


def _start(api: ApiServer, namespace: str, spec: Object) -> str:
    """Create a pod with that in its spec; return why it is refused."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "test-"},
        "spec": {"containers": [{"name": "c", "image": "x"}], **spec},
    }
    answer = api.create(f"{NAMESPACES}/{namespace}/pods", pod, "admin")
    return "" if answer.ok else str(answer.json()["message"])


PRIVILEGED: Object = {"containers": [{"name": "c", "image": "x", "securityContext": {"privileged": True}}]}


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (PRIVILEGED, "privileged"),
        ({"hostNetwork": True}, "host namespaces"),
        ({"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}, "hostPath volumes"),
    ],
)
def test_a_namespace_without_a_label_gives_nothing_of_the_host(
    api: ApiServer, spec: Object, named: str
) -> None:
    _namespace(api, "plain", {})
    assert _start(api, "plain", {}) == ""
    refusal = _start(api, "plain", spec)
    assert 'violates PodSecurity "baseline' in refusal
    assert named in refusal


def test_one_label_gives_more(api: ApiServer) -> None:
    _namespace(api, "lab", {"pod-security.kubernetes.io/enforce": "privileged"})
    assert _start(api, "lab", PRIVILEGED) == ""


def test_what_microk8s_needs_is_admitted(api: ApiServer) -> None:
    assert _start(api, "kube-system", PRIVILEGED | {"hostNetwork": True}) == ""


def test_who_applies_what_will_be_refused_is_warned(api: ApiServer) -> None:
    """The pods of a Deployment are refused later, where nobody looks."""
    _namespace(api, "plain", {})
    template = {"metadata": {"labels": {"app": "x"}}, "spec": PRIVILEGED}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template},
    }
    answer = api.apply("/apis/apps/v1/namespaces/plain/deployments/x", deployment)
    assert answer.ok, answer.text
    assert "would violate PodSecurity" in answer.headers["Warning"]


def _speaks(api: ApiServer, ciphers: str) -> bool:
    """Connect with TLS 1.2 and these ciphers alone."""
    context = ssl.create_default_context(cafile=str(api.authority))
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    address = urlsplit(api.url)
    try:
        with (
            socket.create_connection((address.hostname, address.port), 10) as plain,
            context.wrap_socket(plain),
        ):
            return True
    except ssl.SSLError:
        return False


@pytest.mark.parametrize(
    ("ciphers", "spoken"),
    [
        ("ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA", False),
        ("ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA", False),
        ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305", True),
    ],
)
def test_cbc_is_not_spoken(api: ApiServer, ciphers: str, spoken: bool) -> None:
    assert _speaks(api, ciphers) is spoken
