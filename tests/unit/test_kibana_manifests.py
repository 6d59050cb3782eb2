"""Kibana and what measures logs, as Kubernetes is given them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kibana import catalogue
from tests.unit.elk_role import Role
from tests.unit.rendering import ROOT, Object, find

PASSWORD_USERS = {"kibana-objects": "importer", "log-metrics": "metrics"}


def render(state: Path, **variables: Any) -> list[Object]:
    """Render what shows and measures logs, for a home that sets these variables."""
    role = Role(state, **variables)
    return role.objects(role.value("_elk_kibana_templates"))


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """Those of a home that sets nothing."""
    return render(tmp_path)


def _pod(objects: list[Object], kind: str, name: str) -> Any:
    return find(objects, kind, name)["spec"]["template"]["spec"]


def _settings(objects: list[Object]) -> Any:
    return yaml.safe_load(find(objects, "ConfigMap", "kibana")["data"]["kibana.yml"])


def _environment(container: Object) -> dict[str, Any]:
    return {
        variable["name"]: variable.get("value") or variable["valueFrom"]["secretKeyRef"]
        for variable in container["env"]
    }


def test_its_settings_hold_no_secret(tmp_path: Path) -> None:
    (first, second) = (render(tmp_path) for _ in range(2))
    key = find(first, "Secret", "kibana")["stringData"]["encryption_key"]
    others = json.dumps([each for each in first if each["kind"] != "Secret"])

    assert first == second
    assert len(key) >= 32
    assert key not in others
    assert (tmp_path / "secrets/home/elk_kibana_encryption.key").read_text().strip() == key


def test_every_secret_it_is_told_of_is_in_its_environment(objects: list[Object]) -> None:
    (container,) = _pod(objects, "Deployment", "kibana")["containers"]
    asked = {value[2:-1] for value in _settings(objects).values() if str(value).startswith("${")}

    environment = _environment(container)

    assert asked <= environment.keys()
    assert environment["ELASTICSEARCH_TOKEN"] == {"name": "elasticsearch-kibana", "key": "token"}
    assert environment["ENCRYPTION_KEY"] == {"name": "kibana", "key": "encryption_key"}


def test_it_trusts_the_homes_authority_alone(objects: list[Object]) -> None:
    settings = _settings(objects)
    pod = _pod(objects, "Deployment", "kibana")
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}

    assert settings["elasticsearch.ssl.verificationMode"] == "full"
    assert settings["elasticsearch.ssl.certificateAuthorities"] == [f"{mounts['authority']}/ca.crt"]
    assert settings["elasticsearch.hosts"] == ["https://elasticsearch.logging:9200"]
    assert {"name": "authority", "configMap": {"name": "home-ca"}} in pod["volumes"]


def test_its_address_is_the_one_it_is_reached_at(tmp_path: Path) -> None:
    objects = render(tmp_path, homeserver_domain="example.org")

    assert _settings(objects)["server.publicBaseUrl"] == "https://kibana.example.org"
    for route in find(objects, "IngressRoute", "kibana")["spec"]["routes"]:
        assert "Host(`kibana.example.org`)" in route["match"]


def test_who_tries_passwords_is_slowed_down(objects: list[Object]) -> None:
    routes = find(objects, "IngressRoute", "kibana")["spec"]["routes"]
    slowed = {route["match"] for route in routes if {"name": "kibana-login"} in route["middlewares"]}

    assert slowed == {
        "Host(`kibana.home.arpa`) && (Path(`/internal/security/login`)"
        " || HeaderRegexp(`Authorization`, `.+`))"
    }
    assert find(objects, "Middleware", "kibana-login")["spec"]["rateLimit"] == {
        "average": 20,
        "period": "1m",
        "burst": 10,
    }
    headers = {"name": "security-headers", "namespace": "traefik"}
    assert all(headers in route["middlewares"] for route in routes)


def test_kibana_leaves_memory_for_what_is_not_its_heap(tmp_path: Path) -> None:
    (container,) = _pod(render(tmp_path, elk_kibana_memory_limit_mib=2000), "Deployment", "kibana")[
        "containers"
    ]

    assert _environment(container)["NODE_OPTIONS"] == "--max-old-space-size=1400"
    assert container["resources"]["limits"]["memory"] == "2000Mi"


def test_kibana_is_given_every_object(objects: list[Object]) -> None:
    given = find(objects, "ConfigMap", "kibana-objects")["data"]
    (container,) = _pod(objects, "Job", "kibana-objects")["containers"]

    assert given == {"homeserver.ndjson": catalogue.render()}
    assert container["args"][2:] == ["/objects/homeserver.ndjson"]


def test_an_owners_objects_are_given_as_they_were_written(tmp_path: Path) -> None:
    files = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    for file in files:
        file.write_text(json.dumps({"id": file.stem, "type": "search", "attributes": {}}) + "\n")
    objects = render(tmp_path, elk_kibana_files=[str(file) for file in files])
    pod = _pod(objects, "Job", "kibana-objects")

    given = [find(objects, "ConfigMap", f"kibana-objects-own-{number}")["data"] for number in (1, 2)]

    assert given == [{f"own-{number}.ndjson": file.read_text()} for number, file in enumerate(files, 1)]
    assert pod["containers"][0]["args"][3:] == ["/objects/own-1.ndjson", "/objects/own-2.ndjson"]
    (volume,) = [each for each in pod["volumes"] if each["name"] == "objects"]
    assert [each["configMap"]["name"] for each in volume["projected"]["sources"]] == [
        "kibana-objects",
        "kibana-objects-own-1",
        "kibana-objects-own-2",
    ]


def test_where_no_kibana_runs_all_is_prepared_and_nothing_waits_for_it(tmp_path: Path) -> None:
    objects = render(tmp_path, elk_kibana_replicas=0)

    assert find(objects, "Deployment", "kibana")["spec"]["replicas"] == 0
    assert find(objects, "ConfigMap", "kibana-objects")
    assert [each for each in objects if each["kind"] == "Job"] == []


@pytest.mark.parametrize("name", PASSWORD_USERS)
def test_each_asks_as_a_user_of_its_own(objects: list[Object], name: str) -> None:
    (pod,) = [
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in ("Job", "Deployment") and each["metadata"]["name"] == name
    ]
    (volume,) = [each for each in pod["volumes"] if "secret" in each]
    environment = _environment(pod["containers"][0])

    assert volume["secret"]["secretName"] == f"elasticsearch-{PASSWORD_USERS[name]}"
    assert PASSWORD_USERS[name] in environment.values()


def test_every_user_that_is_named_is_one_of_elasticsearch(objects: list[Object]) -> None:
    users = yaml.safe_load((ROOT / "roles/elk/vars/main/users.yml").read_text())["_elk_users"]
    known = {user["name"] for user in users if user.get("namespace") == "logging"} | {"kibana"}
    named = set(
        re.findall(r'"elasticsearch-(\w+)", "key"|"secretName": "elasticsearch-(\w+)"', json.dumps(objects))
    )

    assert {"".join(pair) for pair in named} <= known


def test_prometheus_asks_what_measures(objects: list[Object]) -> None:
    for name in ("elasticsearch-exporter", "log-metrics"):
        template = find(objects, "Deployment", name)["spec"]["template"]
        (port,) = template["spec"]["containers"][0]["ports"]
        (policy,) = find(objects, "NetworkPolicy", name)["spec"]["ingress"]
        annotations = template["metadata"]["annotations"]

        assert annotations == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port["containerPort"]),
        }
        assert policy["ports"] == [{"port": port["containerPort"]}]


def test_elasticsearch_lets_in_all_that_ask_it(objects: list[Object]) -> None:
    policy = (ROOT / "roles/elk/templates/elasticsearch.yaml.j2").read_text()
    asking = {
        each["metadata"]["name"]
        for each in objects
        if each["kind"] == "NetworkPolicy"
        and any(
            {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "elasticsearch"}}} in rule["to"]
            for rule in each["spec"]["egress"]
        )
    }
    (values,) = [line for line in policy.splitlines() if "values: [elasticsearch-exporter" in line]

    assert asking == {"kibana", "elasticsearch-exporter", "log-metrics"}
    assert asking <= set(values.partition("[")[2].rstrip("]").split(", "))
