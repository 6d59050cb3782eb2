"""The table at the end of site.yml, and the questions it is made from."""

import datetime
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import http_probe, summary
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def deployment(name: str, image: str, *, wanted: int = 1, ready: int = 1) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"image": image}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {"replicas": wanted, "template": template},
        "status": {"readyReplicas": ready} if ready else {},
    }


def ingress(name: str, *matches: str, service: dict[str, Any]) -> dict[str, Any]:
    routes = [{"match": match, "services": [service]} for match in matches]
    return {"metadata": {"name": name, "namespace": "apps"}, "spec": {"routes": routes}}


HELLO = deployment("hello", "localhost/hello:1.0")
SERVICES = [{"metadata": {"name": "hello", "namespace": "apps"}, "spec": {"selector": {"app": "hello"}}}]


def find(*ingresses: dict[str, Any], workloads: list[dict[str, Any]] | None = None) -> list[summary.Route]:
    return list(summary.find_routes(ingresses, SERVICES, workloads or [HELLO]))


def test_a_route_leads_to_the_workload_behind_its_service() -> None:
    route = ingress("hello", "Host(`hello.home.arpa`)", service={"name": "hello", "port": 80})
    assert find(route) == [summary.Route("hello", "https://hello.home.arpa/", "hello")]


def test_what_has_no_replicas_is_not_asked() -> None:
    resting = deployment("grafana", "g:1", wanted=0, ready=0)
    hello, grafana, nas = (summary.Route(name, f"https://{name}/", name) for name in ("hello", "grafana", ""))

    assert list(summary.served([hello, grafana, nas], [HELLO, resting])) == [hello, nas]


def test_a_host_is_told_once_with_its_shortest_path() -> None:
    rules = [
        "Host(`t.home.arpa`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard`))",
        "Host(`t.home.arpa`) && Path(`/`)",
    ]
    internal = {"kind": "TraefikService", "name": "api@internal"}
    assert find(ingress("dashboard", *rules, service=internal)) == [
        summary.Route("dashboard", "https://t.home.arpa/", "traefik")
    ]
    assert find(ingress("dashboard", rules[0], service=internal))[0].url == "https://t.home.arpa/api/"


def test_a_route_to_elsewhere_has_no_workload() -> None:
    route = ingress("route-nas", "Host(`nas.home.arpa`)", service={"name": "route-nas"})
    assert find(route) == [summary.Route("route-nas", "https://nas.home.arpa/", "")]


@pytest.mark.parametrize(
    ("workload", "flaw", "state", "healthy"),
    [
        (HELLO, "", "healthy", True),
        (HELLO, "answers 502", "answers 502", False),
        (deployment("hello", "h:1", wanted=2, ready=1), "", "1 of 2 pods ready", False),
        (deployment("hello", "h:1", ready=0), "", "0 of 1 pods ready", False),
        (deployment("hello", "h:1", wanted=0, ready=0), "answers 503", "not run here (0 replicas)", True),
    ],
)
def test_a_workload_is_healthy_when_its_pods_and_hosts_are(
    workload: dict[str, Any], flaw: str, state: str, healthy: bool
) -> None:
    routes = [summary.Route("hello", "https://hello.home.arpa/", "hello")]
    (row,) = summary.workload_rows([workload], routes, ["/s/hello_admin.password"], lambda _: flaw)
    assert (row.state, row.healthy) == (state, healthy)
    assert (row.url, row.credentials) == ("https://hello.home.arpa/", "/s/hello_admin.password")


def test_what_lies_behind_the_shared_login_is_opened_by_its_password() -> None:
    route = ingress("hello", "Host(`hello.home.arpa`)", service={"name": "hello", "port": 80})
    route["spec"]["routes"][0]["middlewares"] = [{"name": "basic-auth", "namespace": "traefik"}]
    secrets = ["/s/hello_admin.password", "/s/traefik_dashboard.password"]
    (row,) = summary.workload_rows([HELLO], find(route), secrets, lambda _: "")
    assert row.credentials == "/s/traefik_dashboard.password"


def test_a_machine_of_the_owners_that_sleeps_is_shown_and_no_fault() -> None:
    routes = [summary.Route("route-nas", "https://nas.home.arpa/", "")]
    (row,) = summary.foreign_rows(routes, lambda _: "answers 504")
    assert (row.component, row.state, row.healthy) == ("nas", "answers 504", True)


def test_the_cluster_is_healthy_when_its_nodes_and_its_own_workloads_are() -> None:
    def node(ready: str) -> dict[str, Any]:
        info = {"kubeletVersion": "v1.35.4"}
        return {"status": {"nodeInfo": info, "conditions": [{"type": "Ready", "status": ready}]}}

    def deployment(ready: int) -> summary.Object:
        return {
            "kind": "Deployment",
            "metadata": {"name": "coredns"},
            "spec": {"replicas": 1},
            "status": {"readyReplicas": ready},
        }

    assert summary.cluster_row([node("True")], [deployment(1)], "10.0.0.1", "/k").healthy
    row = summary.cluster_row([node("True"), node("Unknown")], [], "10.0.0.1", "/k")
    assert (row.version, row.state, row.healthy) == ("v1.35.4", "1 of 2 nodes ready", False)
    row = summary.cluster_row([node("True")], [deployment(0)], "10.0.0.1", "/k")
    assert (row.state, row.healthy) == ("1 of 1 nodes ready, coredns is not", False)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/library/traefik:v3.7.13", "v3.7.13"),
        ("registry:5000/a/b:1", "1"),
        ("registry:5000/a/b", ""),
        ("a/b:2@sha256:00", "2"),
    ],
)
def test_a_version_is_the_images_tag(image: str, version: str) -> None:
    assert summary.version_of(image) == version


def test_the_table_has_straight_columns() -> None:
    lines = summary.table([summary.Row("hello", "1.0", "healthy", "https://h/")]).splitlines()
    assert lines == [
        "component  version  state    URL         credentials",
        "hello      1.0      healthy  https://h/",
    ]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine with a certificate for hello.home.arpa; the file of its authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = [x509.DNSName("hello.home.arpa"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now.replace(year=2100)
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(
                401 if self.path == "/dashboard/" and self.headers["Host"].startswith("hello.") else 404
            )
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setattr("http.client.HTTPSConnection.default_port", listening.server_port)
        yield str(pem)
        listening.shutdown()


def test_a_host_is_asked_by_its_name_at_an_address_dns_does_not_have(server: str) -> None:
    assert http_probe.status("https://hello.home.arpa/dashboard/", "127.0.0.1", server) == 401
    assert http_probe.status("https://hello.home.arpa/", "127.0.0.1", server) == 404


def test_a_certificate_for_another_name_or_of_another_authority_is_refused(server: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        http_probe.status("https://grafana.home.arpa/", "127.0.0.1", server)
    with pytest.raises(ssl.SSLCertVerificationError):
        http_probe.status("https://hello.home.arpa/", "127.0.0.1")
