"""What the role asks of Kubernetes, where a wrong word would not be noticed by a schema."""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible.template import trust_as_template
from passlib.hash import bcrypt

from tests.unit.rendering import Object, find
from tests.unit.traefik_role import Role, render

NAS = {"name": "nas", "host": "nas.home.arpa", "url": "http://192.168.1.20:5000"}


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """The manifests of a home that sets nothing."""
    return render(tmp_path)


def _users(objects: list[Object], secret: str) -> dict[str, str]:
    content = base64.b64decode(find(objects, "Secret", secret)["data"]["users"]).decode()
    return dict(line.split(":", 1) for line in content.splitlines() if line)


def _egress(objects: list[Object], name: str) -> Any:
    return find(objects, "NetworkPolicy", name)["spec"]["egress"]


def test_no_object_is_described_twice(tmp_path: Path) -> None:
    routes = [NAS | {"name": name} for name in ("traefik", "whoami", "dashboard", "certificate")]
    identities = Counter(
        (each["kind"], each["metadata"]["name"]) for each in render(tmp_path, traefik_routes=routes)
    )

    assert [identity for identity, number in identities.items() if number > 1] == []


def test_the_generated_password_opens_the_dashboard(tmp_path: Path, objects: list[Object]) -> None:
    password = (tmp_path / "secrets/home/traefik_dashboard.password").read_text().strip()

    assert bcrypt.verify(password, _users(objects, "dashboard-auth")["admin"])


def test_users_stay_as_they_are_from_run_to_run_and_differ_from_each_other(tmp_path: Path) -> None:
    users = [{"name": name, "password": "the same"} for name in ("ada", "ben")]
    (first, second) = (
        _users(render(tmp_path, traefik_basic_auth_users=users), "basic-auth") for _ in range(2)
    )

    assert first == second
    assert bcrypt.verify("the same", first["ada"])
    assert first["ada"].removeprefix("ada:") != first["ben"].removeprefix("ben:")


def test_the_owners_users_do_not_see_the_dashboard(tmp_path: Path) -> None:
    objects = render(tmp_path, traefik_basic_auth_users=[{"name": "ada", "password": "secret"}])

    assert set(_users(objects, "basic-auth")) == {"admin", "ada"}
    assert set(_users(objects, "dashboard-auth")) == {"admin"}


def test_metrics_are_not_among_the_public_ports(objects: list[Object]) -> None:
    public = [
        port["targetPort"]
        for each in objects
        if each["kind"] == "Service" and "externalIPs" in each["spec"]
        for port in each["spec"]["ports"]
    ]

    assert public == ["web", "websecure"]


def test_a_machine_of_the_lan_is_reached_at_its_address_and_nowhere_else(tmp_path: Path) -> None:
    objects = render(tmp_path, traefik_routes=[NAS | {"auth": True}])
    (rule,) = find(objects, "IngressRoute", "route-nas")["spec"]["routes"]

    assert rule["match"] == "Host(`nas.home.arpa`)"
    assert [each["name"] for each in rule["middlewares"]] == ["security-headers", "basic-auth"]
    assert find(objects, "EndpointSlice", "route-nas")["endpoints"][0]["addresses"] == ["192.168.1.20"]
    assert _egress(objects, "route-nas") == [
        {"to": [{"ipBlock": {"cidr": "192.168.1.20/32"}}], "ports": [{"port": 5000}]}
    ]


def test_a_machine_with_a_certificate_of_its_own_is_verified_by_it(tmp_path: Path) -> None:
    route = NAS | {"url": "https://[fd00::20]", "path": "/ui", "ca": "PEM\nPEM\n", "server_name": "nas.lan"}
    objects = render(tmp_path, traefik_routes=[route])
    (rule,) = find(objects, "IngressRoute", "route-nas")["spec"]["routes"]
    (service,) = rule["services"]

    assert rule["match"] == "Host(`nas.home.arpa`) && PathPrefix(`/ui`)"
    assert (service["scheme"], service["serversTransport"]) == ("https", "route-nas")
    assert find(objects, "ServersTransport", "route-nas")["spec"] == {
        "insecureSkipVerify": False,
        "serverName": "nas.lan",
        "rootCAs": [{"configMap": "route-nas"}],
    }
    assert find(objects, "ConfigMap", "route-nas")["data"] == {"ca.crt": "PEM\nPEM\n"}
    assert _egress(objects, "route-nas")[0]["to"] == [{"ipBlock": {"cidr": "fd00::20/128"}}]
    assert find(objects, "EndpointSlice", "route-nas")["ports"] == [{"name": "https", "port": 443}]


def test_a_service_may_be_in_any_namespace(tmp_path: Path) -> None:
    service = {"namespace": "media", "name": "jellyfin", "port": "http"}
    route = {"name": "tv", "host": "tv.home.arpa", "service": service, "middlewares": []}
    objects = render(tmp_path, traefik_routes=[route])
    (rule,) = find(objects, "IngressRoute", "route-tv")["spec"]["routes"]

    assert (rule["services"], rule["middlewares"]) == ([service], [])
    assert _egress(objects, "route-tv")[0]["to"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "media"}}}
    ]


def test_with_acme_one_traefik_gets_all_certificates_there(tmp_path: Path) -> None:
    objects = render(
        tmp_path,
        homeserver_acme_email="owner@example.org",
        traefik_replicas=3,
        traefik_acme_challenge="dns",
        traefik_acme_dns_provider="cloudflare",
        traefik_acme_dns_environment={"CF_DNS_API_TOKEN": "secret"},
    )
    spec = find(objects, "Deployment", "traefik")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "acme-dns"}}]
    assert find(objects, "PersistentVolumeClaim", "acme")
    assert base64.b64decode(find(objects, "Secret", "acme-dns")["data"]["CF_DNS_API_TOKEN"]) == b"secret"
    # Traefik asks for no certificate for a name that is in its default one.
    assert "TLSStore" not in {each["kind"] for each in objects}


def test_the_certificate_names_every_host(tmp_path: Path) -> None:
    apps = [
        trust_as_template("{{ flask_app_hello }}"),
        {"name": "blog"},
        {"name": "shop", "host": "shop.example"},
    ]
    role = Role(
        tmp_path, flask_app_apps=apps, traefik_routes=[NAS], traefik_certificate_hosts=["old.example"]
    )

    assert set(role.value("_traefik_certificate_hosts")) == {
        "home.arpa",
        "*.home.arpa",
        "alertmanager.home.arpa",
        "grafana.home.arpa",
        "hello.home.arpa",
        "jaeger.home.arpa",
        "prometheus.home.arpa",
        "traefik.home.arpa",
        "whoami.home.arpa",
        "blog.home.arpa",
        "shop.example",
        "nas.home.arpa",
        "old.example",
    }


def test_what_is_off_is_not_there(tmp_path: Path) -> None:
    kinds = {each["kind"] for each in render(tmp_path)}
    names = {each["metadata"]["name"] for each in render(tmp_path, traefik_whoami_enabled=False)}

    assert "PersistentVolumeClaim" not in kinds
    assert not {name for name in names if "whoami" in name}
