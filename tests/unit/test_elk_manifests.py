"""Elasticsearch's manifests, where a schema would not notice a mistake."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from homeserver_logstore.settings import Settings

from harness.elk_role import Role
from harness.policies import Rule, rules
from harness.rendering import Object, find

TEMPLATES = [
    "certificates.yaml.j2",
    "secrets.yaml.j2",
    "elasticsearch.yaml.j2",
    "logstore.yaml.j2",
]


def _render(state: Path, **variables: Any) -> list[Object]:
    return Role(state, **variables).objects(TEMPLATES)


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """The manifests of a home with all defaults."""
    return _render(tmp_path)


def test_the_heap_leaves_memory_for_files(objects: list[Object]) -> None:
    (container,) = find(objects, "StatefulSet", "elasticsearch")["spec"]["template"]["spec"]["containers"]

    (java,) = [each["value"].split() for each in container["env"] if each["name"] == "ES_JAVA_OPTS"]
    assert java[:2] == ["-Xms768m", "-Xmx768m"]
    # The last that is said of logs counts, and what comes before is Elasticsearch's own.
    assert java[2:] == [
        "-Xlog:disable",
        "-Xlog:all=warning:stderr:utctime,level,tags",
        "-XX:+ErrorFileToStderr",
    ]
    assert container["resources"]["limits"]["memory"] == "2048Mi"


def test_users_are_the_same_in_each_run(tmp_path: Path) -> None:
    first, second = (find(_render(tmp_path), "Secret", "elasticsearch")["stringData"] for _ in range(2))

    assert first == second
    assert {line.partition(":")[0] for line in first["users"].splitlines()} == {
        *(
            "admin",
            "logstore",
            "filebeat",
            "logstash",
            "exporter",
            "metrics",
            "importer",
            "grafana",
            "jaeger",
            "viewer",
        )
    }


def test_no_two_users_share_a_password_and_none_is_shown(tmp_path: Path) -> None:
    role = Role(tmp_path)
    passwords = role.value("_elk_passwords")
    files = find(role.objects(TEMPLATES), "Secret", "elasticsearch")["stringData"]

    assert len(set(passwords.values())) == len(passwords)
    assert not [password for password in passwords.values() if password in json.dumps(files)]


def test_each_client_gets_its_password_in_its_namespace(objects: list[Object]) -> None:
    places = {
        each["metadata"]["name"]: each["metadata"]["namespace"]
        for each in objects
        if each["kind"] == "Secret" and each["metadata"]["name"].startswith("elasticsearch-")
    }

    assert places["elasticsearch-filebeat"] == "logging-host"
    assert places["elasticsearch-kibana"] == places["elasticsearch-exporter"] == "logging"
    assert "elasticsearch-admin" not in places


def test_the_disk_watermarks_are_shares_of_the_budget(tmp_path: Path) -> None:
    configuration = Role(tmp_path, homeserver_storage_budget_gib=40).value("_elk_elasticsearch_files")

    assert "disk.watermark.flood_stage: 2048mb" in configuration["elasticsearch.yml"]
    assert "disk.watermark.low: 6144mb" in configuration["elasticsearch.yml"]


def test_a_single_node_needs_no_discovery_and_several_nodes_do(tmp_path: Path) -> None:
    several = {"elk_elasticsearch_replicas": 3, "elk_snapshots_kept": 0}
    one, three = Role(tmp_path), Role(tmp_path, **several)

    assert "discovery.type: single-node" in one.value("_elk_elasticsearch_files")["elasticsearch.yml"]
    assert "cluster.initial_master_nodes" in three.value("_elk_elasticsearch_files")["elasticsearch.yml"]
    claims = [
        each["metadata"]["name"]
        for each in three.objects(TEMPLATES)
        if each["kind"] == "PersistentVolumeClaim"
    ]
    assert claims == [f"data-elasticsearch-{number}" for number in range(3)]


def test_several_nodes_know_which_host_each_is_on(tmp_path: Path) -> None:
    several = Role(tmp_path, elk_elasticsearch_replicas=3, elk_snapshots_kept=0)
    settings = yaml.safe_load(several.value("_elk_elasticsearch_files")["elasticsearch.yml"])
    pod = find(several.objects(TEMPLATES), "StatefulSet", "elasticsearch")["spec"]["template"]["spec"]
    (node,) = [each for each in pod["containers"][0]["env"] if each["name"] == "NODE_NAME"]

    assert node["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    assert settings["node.attr.zone"] == "${NODE_NAME}"
    assert settings["cluster.routing.allocation.awareness.attributes"] == "zone"


def test_heap_and_snapshots_have_the_sizes_that_the_owner_says(tmp_path: Path) -> None:
    objects = _render(tmp_path, elk_elasticsearch_heap_mib=1024, elk_snapshots_volume_size_gib=7)
    (container,) = find(objects, "StatefulSet", "elasticsearch")["spec"]["template"]["spec"]["containers"]
    claim = find(objects, "PersistentVolumeClaim", "elasticsearch-snapshots")

    values = {each["name"]: each.get("value", "") for each in container["env"]}
    assert values["ES_JAVA_OPTS"].startswith("-Xms1024m -Xmx1024m ")
    assert claim["spec"]["resources"]["requests"] == {"storage": "7Gi"}


def test_without_snapshots_they_have_no_volume(tmp_path: Path) -> None:
    objects = _render(tmp_path, elk_snapshots_kept=0)
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}

    assert ("PersistentVolumeClaim", "elasticsearch-snapshots") not in names
    assert ("CronJob", "logstore-snapshot") not in names
    assert ("CronJob", "logstore-retain") in names


def test_only_geoip_needs_the_internet(tmp_path: Path) -> None:
    def ports(**variables: Any) -> set[int]:
        policy = find(Role(tmp_path, **variables).policies(), "NetworkPolicy", "elasticsearch")
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}

    assert ports() == {9300}
    assert ports(elk_geoip_enabled=True) == {9300, 443}


@pytest.mark.parametrize("logstash", [True, False])
def test_filebeat_reaches_elasticsearch_only_without_logstash(tmp_path: Path, logstash: bool) -> None:
    objects = Role(tmp_path, elk_logstash_enabled=logstash).policies()

    admitted = Rule("logging/elasticsearch", "in", "logging-host/filebeat", "9200") in rules(objects)
    assert admitted is not logstash


def test_the_jobs_can_read_their_settings(tmp_path: Path) -> None:
    extra = {"logs-app": {"order": {"properties": {"id": {"type": "keyword"}}}}}
    files = find(_render(tmp_path, elk_mappings_extra=extra, elk_retention_days=7), "Secret", "logstore")
    (tmp_path / "settings.json").write_text(files["stringData"]["settings.json"])
    settings = Settings.read(tmp_path / "settings.json")

    assert (settings.mappings_extra, settings.retention_days) == (extra, 7)
    assert settings.retention_bytes == 16 << 30


def test_the_checked_settings_are_applied(tmp_path: Path) -> None:
    role = Role(tmp_path)
    secret = find(role.objects(TEMPLATES), "Secret", "logstore")

    assert secret["stringData"] == role.value("_elk_logstore_files")
