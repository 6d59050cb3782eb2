"""The role's manifests, where a schema would not notice a mistake."""

import base64
from collections import Counter
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from ansible.template import trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import pages

from harness import rendering
from harness.rendering import Object, find
from harness.traefik_role import Role, render

NAS = {"name": "nas", "host": "nas.home.arpa", "url": "http://192.168.1.20:5000"}


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """The manifests of a home with all defaults."""
    return render(tmp_path)


def _users(objects: list[Object], secret: str) -> dict[str, str]:
    content = base64.b64decode(find(objects, "Secret", secret)["data"]["users"]).decode()
    return dict(line.split(":", 1) for line in content.splitlines() if line)


def _egress(objects: list[Object], name: str) -> Any:
    return find(objects, "NetworkPolicy", name)["spec"]["egress"]


def test_no_object_exists_twice(tmp_path: Path) -> None:
    routes = [NAS | {"name": name} for name in ("traefik", "whoami", "dashboard", "certificate")]
    identities = Counter(
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in render(tmp_path, traefik_routes=routes)
    )

    assert [identity for identity, number in identities.items() if number > 1] == []


def test_the_generated_password_opens_the_dashboard(tmp_path: Path, objects: list[Object]) -> None:
    password = (tmp_path / "secrets/home/traefik_dashboard.password").read_text().strip()

    assert bcrypt.checkpw(password.encode(), _users(objects, "admin-auth")["admin"].encode())


def test_users_are_the_same_in_each_run_and_differ_from_each_other(tmp_path: Path) -> None:
    users = [{"name": name, "password": "the same"} for name in ("ada", "ben")]
    (first, second) = (
        _users(render(tmp_path, traefik_basic_auth_users=users), "basic-auth") for _ in range(2)
    )

    assert first == second
    assert bcrypt.checkpw(b"the same", first["ada"].encode())
    assert first["ada"].removeprefix("ada:") != first["ben"].removeprefix("ben:")


def test_the_owners_users_do_not_see_the_admins_pages(tmp_path: Path) -> None:
    objects = render(tmp_path, traefik_basic_auth_users=[{"name": "ada", "password": "secret"}])

    assert set(_users(objects, "basic-auth")) == {"admin", "ada"}
    assert set(_users(objects, "admin-auth")) == {"admin"}


def test_metrics_are_not_among_the_public_ports(objects: list[Object]) -> None:
    public = [
        port["targetPort"]
        for each in objects
        if each["kind"] == "Service" and "externalIPs" in each["spec"]
        for port in each["spec"]["ports"]
    ]

    assert public == ["web", "websecure"]


def test_a_route_to_the_lan_allows_only_its_address(tmp_path: Path) -> None:
    objects = render(tmp_path, traefik_routes=[NAS | {"auth": True}])
    (rule,) = find(objects, "IngressRoute", "route-nas")["spec"]["routes"]

    assert rule["match"] == "Host(`nas.home.arpa`)"
    assert [each["name"] for each in rule["middlewares"]] == [
        "lan-only",
        "in-flight",
        "rate-limit",
        "security-headers",
        "basic-auth",
    ]
    assert find(objects, "EndpointSlice", "route-nas")["endpoints"][0]["addresses"] == ["192.168.1.20"]
    assert _egress(objects, "route-nas") == [
        {"to": [{"ipBlock": {"cidr": "192.168.1.20/32"}}], "ports": [{"port": 5000}]}
    ]


def _open(name: str, *middlewares: str) -> Object:
    """A route as an earlier run left it."""
    used = [{"name": each} for each in middlewares]
    spec = {"routes": [{"match": "Host(`a`)", "middlewares": used}]} if used else {"routes": [{"match": "x"}]}
    return {"metadata": {"name": name, "namespace": "traefik"}, "spec": spec}


def test_a_route_that_a_run_closes_is_told_once(tmp_path: Path) -> None:
    routes: list[Object] = [NAS | {"name": name} for name in ("nas", "tv", "new", "closed")]
    routes += [NAS | {"name": "open", "middlewares": ["compress"]}]
    there = [_open("route-nas", "security-headers"), _open("route-tv"), _open("route-open", "compress")]
    there += [
        _open("route-closed", "lan-only"),
        _open("dashboard", "private"),
        _open("route-gone", "compress"),
    ]

    def told(found: list[Object]) -> Any:
        return Role(tmp_path, traefik_routes=routes, _traefik_routes_there=found).value("_traefik_closes")

    assert told(there) == ["nas", "tv"]
    applied = [each for each in render(tmp_path, traefik_routes=routes) if each["kind"] == "IngressRoute"]
    assert told(applied) == told([]) == []
    # In a first dry run there is no cluster to ask.
    assert Role(tmp_path, traefik_routes=routes).value("_traefik_closes") == []


def test_a_machine_with_its_own_authority_is_verified_with_it(tmp_path: Path) -> None:
    route = NAS | {"url": "https://[fd00::20]", "path": "/ui", "ca": "PEM\nPEM\n", "server_name": "nas.lan"}
    objects = render(tmp_path, traefik_routes=[route])
    (rule,) = find(objects, "IngressRoute", "route-nas")["spec"]["routes"]
    (service,) = rule["services"]

    assert rule["match"] == "Host(`nas.home.arpa`) && PathPrefix(`/ui`)"
    assert (service["scheme"], service["serversTransport"]) == ("https", "route-nas")
    assert find(objects, "ServersTransport", "route-nas")["spec"] == {
        "forwardingTimeouts": {"dialTimeout": "30s"},
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
        traefik_acme_challenge="dns",
        traefik_acme_dns_provider="cloudflare",
        traefik_acme_dns_environment={"CF_DNS_API_TOKEN": "secret"},
    )
    spec = find(objects, "Deployment", "traefik")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    (preferred,) = spec["template"]["spec"]["affinity"]["nodeAffinity"].values()
    ((label,),) = [each["preference"]["matchExpressions"] for each in preferred]
    assert label == {"key": "node.kubernetes.io/microk8s-controlplane", "operator": "Exists"}
    assert spec["template"]["spec"]["containers"][0]["envFrom"] == [{"secretRef": {"name": "acme-dns"}}]
    assert find(objects, "PersistentVolumeClaim", "acme")
    assert base64.b64decode(find(objects, "Secret", "acme-dns")["data"]["CF_DNS_API_TOKEN"]) == b"secret"
    # Traefik asks for no certificate for a name that is in its default one.
    assert "TLSStore" not in {each["kind"] for each in objects}


@pytest.mark.parametrize(
    "apps",
    [
        "{{ [flask_app_hello | combine({'ports': [{'port': 1883}]})] }}",
        ["{{ flask_app_hello | combine({'ports': [{'port': 1883}]}) }}"],
    ],
    ids=["all", "one"],
)
def test_an_app_made_of_another_has_its_ports_open(tmp_path: Path, apps: str | list[str]) -> None:
    given = trust_as_template(apps) if isinstance(apps, str) else [*map(trust_as_template, apps)]
    role = Role(tmp_path, apps=given)

    assert [entry["port"] for entry in role.value("_traefik_entry_points")] == [1883]


HOSTS: dict[str, Any] = {
    "home": {"ansible_host": "192.0.2.1"},
    "192.0.2.2": {},
    "attic": {"ansible_host": "192.0.2.3", "microk8s_state": "present"},
    "gone": {"ansible_host": "192.0.2.4", "microk8s_state": "absent"},
}
NODES = [
    {
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": "a-name"},
            ]
        }
    }
    for address in ("192.0.2.1", "192.0.2.5")
]


@pytest.mark.parametrize(
    ("more", "given", "addresses"),
    [
        ({}, {"_traefik_nodes": NODES}, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        (
            {"cellar": {"ansible_host": "cellar.home.arpa"}},
            {"_traefik_nodes": NODES},
            ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.5"],
        ),
        # In a first dry run there is no cluster to ask.
        ({"cellar": {}}, {"_traefik_nodes": []}, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
        ({"cellar": {}}, {"traefik_external_addresses": ["192.0.2.9"]}, ["192.0.2.9"]),
    ],
    ids=["addresses", "name", "dry run", "given"],
)
def test_traefik_answers_at_every_node(
    tmp_path: Path, more: dict[str, Any], given: dict[str, Any], addresses: list[str]
) -> None:
    hosts = {name: {"inventory_hostname": name, **known} for name, known in (HOSTS | more).items()}
    groups = {"control_plane": ["home"], "home_servers": list(hosts)}
    service = find(render(tmp_path, groups=groups, hostvars=hosts, **given), "Service", "traefik")["spec"]

    assert service["externalIPs"] == addresses
    assert service["externalTrafficPolicy"] == "Local"


def test_a_new_traefik_runs_before_the_old_one_goes(objects: list[Object]) -> None:
    spec = find(objects, "DaemonSet", "traefik")["spec"]

    assert spec["updateStrategy"]["rollingUpdate"] == {"maxSurge": "100%", "maxUnavailable": 0}
    assert spec["template"]["spec"]["tolerations"] == [{"operator": "Exists"}]


def test_the_certificate_names_every_host(tmp_path: Path) -> None:
    apps = [
        trust_as_template("{{ flask_app_hello }}"),
        {"name": "blog"},
        {"name": "shop", "host": "shop.example"},
        {"name": "wiki", "routes": [{}, {"host": "wiki.example", "path": "/w"}]},
    ]
    hosts: dict[str, Any] = {
        "apps": apps,
        "traefik_routes": [NAS],
        "traefik_certificate_hosts": ["old.example"],
    }
    role = Role(tmp_path, **hosts)
    authority = rendering.Role("certificate_authority", tmp_path, **hosts)

    assert set(role.value("_traefik_certificate_hosts")) == {
        "home.arpa",
        "*.home.arpa",
        *(f"{page}.home.arpa" for page in pages()),
        "hello.home.arpa",
        "blog.home.arpa",
        "shop.example",
        "wiki.home.arpa",
        "wiki.example",
        "nas.home.arpa",
        "old.example",
    }
    assert set(authority.value("certificate_authority_domains")) >= {
        "home.arpa",
        "shop.example",
        "wiki.example",
        "old.example",
    }


def test_no_option_takes_the_pages_from_traefik(tmp_path: Path) -> None:
    """Traefik reads the namespaces of the home's pages, whatever an owner adds to them."""
    role = Role(tmp_path, traefik_backend_namespaces=["shop"], tracing_state="absent")

    assert role.value("_traefik_namespaces") == ["logging", "monitoring", "shop", "traefik", "welcome"]


def test_disabled_parts_are_not_rendered(tmp_path: Path) -> None:
    kinds = {each["kind"] for each in render(tmp_path)}
    names = {each["metadata"]["name"] for each in render(tmp_path, traefik_whoami_enabled=False)}

    assert "PersistentVolumeClaim" not in kinds
    assert not {name for name in names if "whoami" in name}
