"""The manifests of Kibana and of the exporters for logs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.elk_role import Role
from harness.rendering import ROOT, Object, find
from tools.dashboards.kibana import catalogue

KIBANA = ["kibana.yaml.j2", "kibana-objects.yaml.j2", "metrics.yaml.j2"]
PASSWORD_USERS = {"kibana-objects": "importer", "log-metrics": "metrics"}


def render(state: Path, **variables: Any) -> list[Object]:
    """Render the manifests for a home with these variables."""
    role = Role(state, **variables)
    return role.objects(KIBANA)


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """The manifests of a home with all defaults."""
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


def test_its_settings_contain_no_secret(tmp_path: Path) -> None:
    (first, second) = (render(tmp_path) for _ in range(2))
    key = find(first, "Secret", "kibana")["stringData"]["encryption_key"]
    others = json.dumps([each for each in first if each["kind"] != "Secret"])

    assert first == second
    assert len(key) >= 32
    assert key not in others
    assert (tmp_path / "secrets/home/elk_kibana_encryption.key").read_text().strip() == key


def test_every_secret_in_its_settings_is_in_its_environment(objects: list[Object]) -> None:
    (container,) = _pod(objects, "Deployment", "kibana")["containers"]
    asked = {value[2:-1] for value in _settings(objects).values() if str(value).startswith("${")}

    environment = _environment(container)

    assert asked <= environment.keys()
    assert environment["ELASTICSEARCH_TOKEN"] == {"name": "elasticsearch-kibana", "key": "token"}
    assert environment["ENCRYPTION_KEY"] == {"name": "kibana", "key": "encryption_key"}


def test_it_trusts_only_the_homes_authority(objects: list[Object]) -> None:
    settings = _settings(objects)
    pod = _pod(objects, "Deployment", "kibana")
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}

    assert settings["elasticsearch.ssl.verificationMode"] == "full"
    assert settings["elasticsearch.ssl.certificateAuthorities"] == [f"{mounts['authority']}/ca.crt"]
    assert settings["elasticsearch.hosts"] == ["https://elasticsearch.logging:9200"]
    assert {"name": "authority", "configMap": {"name": "home-ca"}} in pod["volumes"]


def test_it_asks_nobody_outside(objects: list[Object]) -> None:
    settings = _settings(objects)

    assert settings["xpack.fleet.isAirGapped"] is True
    assert settings["newsfeed.enabled"] is settings["map.includeElasticMapsService"] is False


def test_its_public_url_is_that_of_its_route(tmp_path: Path) -> None:
    objects = render(tmp_path, homeserver_domain="example.org")

    assert _settings(objects)["server.publicBaseUrl"] == "https://kibana.example.org"
    for route in find(objects, "IngressRoute", "kibana")["spec"]["routes"]:
        assert "Host(`kibana.example.org`)" in route["match"]


def test_its_cookie_is_not_sent_by_other_sites(objects: list[Object]) -> None:
    settings = _settings(objects)

    assert settings["xpack.security.secureCookies"] is True
    assert settings["xpack.security.sameSiteCookies"] == "Lax"


def test_kibanas_heap_leaves_memory_for_the_rest(tmp_path: Path) -> None:
    (container,) = _pod(render(tmp_path, elk_kibana_memory_limit_mib=2000), "Deployment", "kibana")[
        "containers"
    ]

    assert _environment(container)["NODE_OPTIONS"] == "--max-old-space-size=1400"
    assert container["resources"]["limits"]["memory"] == "2000Mi"


def test_every_object_is_imported(objects: list[Object]) -> None:
    given = find(objects, "ConfigMap", "kibana-objects")["data"]
    (container,) = _pod(objects, "Job", "kibana-objects")["containers"]

    assert given == {"homeserver.ndjson": catalogue.render()}
    assert container["args"][2:] == ["/objects/homeserver.ndjson"]


def test_an_owners_objects_are_unchanged(tmp_path: Path) -> None:
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


def test_without_replicas_no_job_waits_for_kibana(tmp_path: Path) -> None:
    objects = render(tmp_path, elk_kibana_replicas=0)

    assert find(objects, "Deployment", "kibana")["spec"]["replicas"] == 0
    assert find(objects, "ConfigMap", "kibana-objects")
    assert [each for each in objects if each["kind"] == "Job"] == []


@pytest.mark.parametrize("name", PASSWORD_USERS)
def test_each_client_has_its_own_user(objects: list[Object], name: str) -> None:
    (pod,) = [
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in ("Job", "Deployment") and each["metadata"]["name"] == name
    ]
    (volume,) = [each for each in pod["volumes"] if "secret" in each]
    environment = _environment(pod["containers"][0])

    assert volume["secret"]["secretName"] == f"elasticsearch-{PASSWORD_USERS[name]}"
    assert PASSWORD_USERS[name] in environment.values()


def test_every_user_exists_in_elasticsearch(objects: list[Object]) -> None:
    users = yaml.safe_load((ROOT / "roles/elk/vars/main/users.yml").read_text())["_elk_users"]
    known = {user["name"] for user in users if user.get("namespace") == "logging"} | {"kibana"}
    named = set(
        re.findall(r'"elasticsearch-(\w+)", "key"|"secretName": "elasticsearch-(\w+)"', json.dumps(objects))
    )

    assert {"".join(pair) for pair in named} <= known


def test_prometheus_scrapes_the_exporters(tmp_path: Path, objects: list[Object]) -> None:
    policies = Role(tmp_path).policies()
    for name in ("elasticsearch-exporter", "log-metrics"):
        template = find(objects, "Deployment", name)["spec"]["template"]
        (port,) = template["spec"]["containers"][0]["ports"]
        (policy,) = find(policies, "NetworkPolicy", name)["spec"]["ingress"]
        annotations = template["metadata"]["annotations"]

        assert annotations == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(port["containerPort"]),
        }
        assert policy["ports"] == [{"port": port["containerPort"]}]
