"""Grafana's manifests and the files in them: complete, current and without secrets."""

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from harness.dashboards import FILES, panels, read
from harness.grafana_role import render
from harness.rendering import Object, find

EVERYTHING = {
    "grafana_elasticsearch_url": "http://elasticsearch.logging:9200",
    "grafana_elasticsearch_user": "grafana",
    "grafana_elasticsearch_password": "not-a-real-one",
    "grafana_jaeger_url": "http://jaeger.tracing:16686",
}
NOTHING = {"homeserver_logging_enabled": False}
CONFIG_MAP = 2**20  # bytes, the limit of a ConfigMap


def _closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT, SWITCH, URL = {"type": "string"}, {"type": "boolean"}, {"type": "string", "pattern": "^https?://"}
UID = {"type": "string", "pattern": "^[a-z]{1,40}$"}
SOURCE = {"access": {"const": "proxy"}, "name": TEXT, "uid": UID, "url": URL, "editable": SWITCH}
EXEMPLAR = _closed({"name": TEXT, "datasourceUid": UID, "urlDisplayLabel": TEXT})
DATA_LINK = _closed({"field": TEXT, "url": TEXT, "datasourceUid": UID, "urlDisplayLabel": TEXT})
SHIFT = {"type": "string", "pattern": r"^-?\d+[smh]$"}
# The part of Grafana's documented format that is used here.
SOURCES = _closed(
    {
        "apiVersion": {"const": 1},
        "prune": SWITCH,
        "datasources": {
            "type": "array",
            "items": {
                "oneOf": [
                    _closed(
                        SOURCE
                        | {
                            "type": {"const": "prometheus"},
                            "isDefault": SWITCH,
                            "jsonData": _closed(
                                {
                                    "httpMethod": {"enum": ["GET", "POST"]},
                                    "timeInterval": SHIFT,
                                    "prometheusType": {"const": "Prometheus"},
                                    "prometheusVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
                                    "manageAlerts": SWITCH,
                                    "alertmanagerUid": UID,
                                },
                                exemplarTraceIdDestinations={"type": "array", "items": EXEMPLAR},
                            ),
                        }
                    ),
                    _closed(
                        SOURCE
                        | {
                            "type": {"const": "alertmanager"},
                            "jsonData": _closed(
                                {
                                    "implementation": {"const": "prometheus"},
                                    "handleGrafanaManagedAlerts": SWITCH,
                                }
                            ),
                        }
                    ),
                    _closed(
                        SOURCE
                        | {
                            "type": {"const": "elasticsearch"},
                            "jsonData": _closed(
                                {
                                    "index": TEXT,
                                    "timeField": TEXT,
                                    "logMessageField": TEXT,
                                    "logLevelField": TEXT,
                                },
                                tlsAuthWithCACert=SWITCH,
                                dataLinks={"type": "array", "items": DATA_LINK},
                            ),
                        },
                        basicAuth=SWITCH,
                        basicAuthUser=TEXT,
                        secureJsonData=_closed({"basicAuthPassword": TEXT}, tlsCACert=TEXT),
                    ),
                    _closed(
                        SOURCE
                        | {
                            "type": {"const": "jaeger"},
                            "jsonData": _closed(
                                {"nodeGraph": _closed({"enabled": SWITCH})},
                                tracesToLogsV2=_closed(
                                    {
                                        "datasourceUid": UID,
                                        "spanStartTimeShift": SHIFT,
                                        "spanEndTimeShift": SHIFT,
                                        "customQuery": SWITCH,
                                        "query": TEXT,
                                    }
                                ),
                            ),
                        }
                    ),
                ]
            },
        },
    }
)
PROVIDERS = _closed(
    {
        "apiVersion": {"const": 1},
        "providers": {
            "type": "array",
            "items": _closed(
                {
                    "name": TEXT,
                    "type": {"const": "file"},
                    "folder": TEXT,
                    "folderUid": UID,
                    "allowUiUpdates": SWITCH,
                    "options": _closed({"path": TEXT}),
                }
            ),
        },
    }
)


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """The manifests of a home with all defaults."""
    return render(tmp_path)


@pytest.fixture
def dashboard(tmp_path: Path) -> str:
    """An owner's dashboard file."""
    file = tmp_path / "own.json"
    panel = {"targets": [{"expr": "up", "legendFormat": "{{ job }}"}]}
    file.write_text(json.dumps({"uid": "Own_1", "title": "Own", "panels": [panel]}))
    return str(file)


def _file(objects: list[Object], name: str) -> str:
    return str(find(objects, "ConfigMap", "grafana")["data"][name])


def _sources(objects: list[Object]) -> dict[str, Any]:
    known = yaml.safe_load(_file(objects, "datasources.yaml"))
    return {source["uid"]: source for source in known["datasources"]}


def _folders(objects: list[Object]) -> dict[str, Any]:
    """Return the path of each folder that Grafana is configured to read."""
    known = yaml.safe_load(_file(objects, "dashboards.yaml"))
    return {provider["folderUid"]: provider["options"]["path"] for provider in known["providers"]}


def _mounted(objects: list[Object]) -> dict[str, list[str]]:
    """Return the names of the files from ConfigMaps, by path in the container."""
    pod = find(objects, "Deployment", "grafana")["spec"]["template"]["spec"]
    paths = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    found: dict[str, list[str]] = {}
    for volume in pod["volumes"]:
        maps = [volume, *volume.get("projected", {}).get("sources", [])]
        names = [entry["configMap"]["name"] for entry in maps if "configMap" in entry]
        found[paths[volume["name"]]] = [
            file for name in names for file in find(objects, "ConfigMap", name)["data"]
        ]
    return found


@pytest.mark.parametrize(
    "variables",
    [
        {},
        NOTHING,
        EVERYTHING,
        NOTHING | {"grafana_jaeger_url": "http://jaeger"},
        NOTHING | {"grafana_elasticsearch_url": "http://elasticsearch"},
    ],
    ids=["defaults", "nothing", "everything", "traces", "logs"],
)
def test_the_files_have_grafanas_format(tmp_path: Path, variables: dict[str, Any]) -> None:
    objects = render(tmp_path, **variables)

    Draft202012Validator(SOURCES).validate(yaml.safe_load(_file(objects, "datasources.yaml")))
    Draft202012Validator(PROVIDERS).validate(yaml.safe_load(_file(objects, "dashboards.yaml")))
    # Grafana would replace any other $ as a variable.
    assert re.findall(r"(?<!\$)\$(?!\$|__file\{)", _file(objects, "datasources.yaml")) == []
    linked = set(re.findall(r"datasourceUid: (\w+)", _file(objects, "datasources.yaml")))
    assert linked <= _sources(objects).keys()


def test_disabled_components_are_no_data_sources(tmp_path: Path) -> None:
    assert set(_sources(render(tmp_path, **NOTHING))) == {"prometheus", "alertmanager"}


def test_the_logs_and_traces_of_this_home_are_data_sources(tmp_path: Path, objects: list[Object]) -> None:
    sources = _sources(objects)
    source = sources["elasticsearch"]
    mounted = "$__file{/etc/grafana-secrets/"
    secret = find(objects, "Secret", "grafana")["stringData"]

    assert sources["jaeger"]["url"] == "http://jaeger.tracing:16686"
    assert source["url"] == "https://elasticsearch.logging:9200"
    assert source["basicAuthUser"] == "grafana"
    assert source["jsonData"]["tlsAuthWithCACert"] is True
    assert source["secureJsonData"] == {
        "basicAuthPassword": f"{mounted}elasticsearch_password}}",
        "tlsCACert": f"{mounted}ca.crt}}",
    }
    written = (tmp_path / "secrets/home/elasticsearch_grafana.password").read_text().strip()
    assert secret["elasticsearch_password"] == written
    assert "ca.crt" in secret


def test_an_external_elasticsearch_is_verified_with_public_authorities(tmp_path: Path) -> None:
    theirs = {"grafana_elasticsearch_url": "https://logs.example.org"}
    source = _sources(render(tmp_path, **theirs))["elasticsearch"]

    assert "basicAuthUser" not in source
    assert "tlsAuthWithCACert" not in source["jsonData"]


def test_metrics_traces_and_logs_lead_to_each_other(tmp_path: Path) -> None:
    sources = {uid: source["jsonData"] for uid, source in _sources(render(tmp_path, **EVERYTHING)).items()}

    assert sources["prometheus"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "jaeger"
    assert sources["jaeger"]["tracesToLogsV2"]["datasourceUid"] == "elasticsearch"
    assert sources["elasticsearch"]["dataLinks"][0]["datasourceUid"] == "jaeger"


def test_the_dashboards_use_existing_data_sources(objects: list[Object]) -> None:
    targets = [target for each in read().values() for panel in panels(each) for target in panel["targets"]]

    assert targets
    assert {target["datasource"]["uid"] for target in targets} <= _sources(objects).keys()


def test_every_directory_that_grafana_reads_is_there(objects: list[Object]) -> None:
    pod = find(objects, "Deployment", "grafana")["spec"]["template"]["spec"]
    (configuration,) = [volume["configMap"] for volume in pod["volumes"] if volume["name"] == "configuration"]
    paths = [Path(item["path"]) for item in configuration["items"]]

    assert {path.parts[1] for path in paths if path.parts[0] == "provisioning"} == {
        *("alerting", "dashboards", "datasources", "plugins")
    }
    assert yaml.safe_load(_file(objects, "nothing.yaml")) == {"apiVersion": 1}


def test_every_dashboard_is_in_a_folder_that_grafana_reads(objects: list[Object]) -> None:
    mounted = _mounted(objects)
    shown = {f"{folder}/{name}" for folder, path in _folders(objects).items() for name in mounted[path]}

    assert shown == {f"{file.parent.name}/{file.name}" for file in FILES}


def test_the_home_page_is_one_of_the_dashboards(objects: list[Object]) -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(_file(objects, "grafana.ini"))
    home = Path(settings["dashboards"]["default_home_dashboard_path"])

    assert home.name in _mounted(objects)[str(home.parent)]


def test_every_config_map_is_small_enough(objects: list[Object]) -> None:
    maps = [each["data"] for each in objects if each["kind"] == "ConfigMap"]

    assert max(sum(len(text.encode()) for text in data.values()) for data in maps) < CONFIG_MAP


def test_an_owners_dashboard_is_unchanged(tmp_path: Path, dashboard: str) -> None:
    objects = render(tmp_path, grafana_dashboards_extra=[dashboard])
    data = find(objects, "ConfigMap", "grafana-dashboard-own-1")["data"]

    assert _mounted(objects)[_folders(objects)["own"]] == ["Own_1.json"]
    assert json.loads(data["Own_1.json"]) == json.loads(Path(dashboard).read_text())


def test_secrets_are_generated_once_and_only_in_the_secret(tmp_path: Path) -> None:
    (first, second) = (render(tmp_path, **EVERYTHING) for _ in range(2))
    secret = find(first, "Secret", "grafana")["stringData"]
    others = json.dumps([each for each in first if each["kind"] != "Secret"])

    assert first == second
    assert len(set(secret.values())) == 3
    assert (tmp_path / "secrets/home/grafana_admin.password").read_text().strip() == secret["admin_password"]
    assert [name for name, value in secret.items() if value in others] == []


def test_login_is_required_and_nothing_is_reported_or_downloaded(objects: list[Object]) -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(_file(objects, "grafana.ini"))

    assert not settings["users"].getboolean("allow_sign_up")
    assert not settings["auth.anonymous"].getboolean("enabled")
    assert not settings["analytics"].getboolean("reporting_enabled")
    assert not settings["analytics"].getboolean("check_for_updates")
    assert settings["plugins"].getboolean("preinstall_disabled")
    assert not settings["unified_alerting"].getboolean("execute_alerts")


def test_its_metrics_are_not_public(objects: list[Object]) -> None:
    rules = find(objects, "IngressRoute", "grafana")["spec"]["routes"]

    for rule in rules:
        assert rule["match"].startswith("Host(`grafana.home.arpa`) && !Path(`/metrics`)")


def test_it_may_connect_only_to_its_data_sources(tmp_path: Path) -> None:
    def ports(**variables: Any) -> list[int]:
        policies = [each for each in render(tmp_path, **variables) if each["kind"] == "NetworkPolicy"]
        rules = [rule for policy in policies for rule in policy["spec"]["egress"]]
        return sorted(port["port"] for rule in rules for port in rule["ports"])

    assert ports() == [9090, 9093, 9200, 16686]
    assert ports(**NOTHING) == [9090, 9093]
    assert ports(**EVERYTHING) == [9090, 9093, 9200, 16686]
    assert ports(**NOTHING, grafana_jaeger_url="https://jaeger.example.org") == [443, 9090, 9093]
