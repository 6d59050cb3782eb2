"""The catalogue of apps: what each is, how an entry changes it, and that Kubernetes accepts it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible_collections.homeserver.stack.plugins.module_utils.apps import LEVELS
from ansible_collections.homeserver.stack.plugins.plugin_utils.apps_lookup import known_apps

from harness.acceptance import Acceptance, acceptance, objects_of
from harness.manifests import Object
from harness.rendering import Role, find
from harness.roles import ROOT

CATALOGUE = ROOT / "roles/apps/catalogue"
NAMES = sorted(file.stem for file in CATALOGUE.glob("*.yml"))
KEYS = {"summary", "homepage", "memory_mib", "run_here", "phone", "notes", "compared", "apps"}
OPTION = yaml.safe_load((ROOT / "roles/apps/meta/argument_specs.yml").read_text())["argument_specs"]["main"][
    "options"
]["apps"]
Entry = dict[str, Any]


def entries(state: Path, *apps: Entry) -> list[Entry]:
    """Return the entries as all roles see them."""
    found: list[Entry] = Role("apps", state, apps=list(apps)).value("_apps_entries")
    return found


def complete(state: Path, *apps: Entry) -> dict[str, Entry]:
    """Return the entries with all their defaults, by name."""
    found = Role("apps", state, apps=list(apps), _apps_places={"/srv": "home"}).value("_apps_all")
    return {each["name"]: each for each in found}


# ---- What Kubernetes says.


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptance]:
    with acceptance(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


def test_kubernetes_accepts_every_app_of_the_catalogue_at_once(
    kubernetes: Acceptance, tmp_path: Path
) -> None:
    objects = objects_of([{"from": name} for name in NAMES], tmp_path)

    assert kubernetes.refusals(objects) == []
    names = [name for app in known_apps().values() for name in (entry["name"] for entry in app["apps"])]
    assert {obj["metadata"]["name"] for obj in objects if obj["kind"] == "Deployment"} == set(names)


def test_kubernetes_accepts_apps_with_devices_without_more_rights(
    kubernetes: Acceptance, tmp_path: Path
) -> None:
    stick = "/dev/serial/by-id/usb-ITEAD_SONOFF_Zigbee_3.0_USB_Dongle_Plus_V2_20231020-if00:/dev/ttyUSB0"
    chosen: list[Entry] = [
        {"from": "mosquitto"},
        {"from": "zigbee2mqtt", "devices": [stick], "groups": [20]},
        {"from": "jellyfin", "gpu": "intel"},
        {"from": "immich", "gpu": "nvidia"},
    ]
    objects = objects_of(chosen, tmp_path)

    assert kubernetes.refusals(objects) == []
    for name in ("zigbee2mqtt", "jellyfin"):
        assert find(objects, "Deployment", name)["metadata"]["namespace"] == "apps"
    assert find(objects, "DaemonSet", "devices")["metadata"]["namespace"] == "apps-devices"


def test_kubernetes_refuses_an_app_with_more_rights_than_its_namespace_allows(
    kubernetes: Acceptance, tmp_path: Path
) -> None:
    objects = objects_of([{"from": "home-assistant", "capabilities": ["CHOWN"]}], tmp_path)
    pod = find(objects, "Deployment", "home-assistant")["spec"]["template"]["spec"]
    pod["containers"][0]["securityContext"]["capabilities"]["add"].append("SYS_ADMIN")
    find(objects, "Service", "home-assistant")["spec"]["ports"][0]["port"] = 0
    refused = "\n".join(kubernetes.refusals(objects))

    assert 'a pod of Deployment apps-root/home-assistant: pods "home-assistant" is forbidden' in refused
    assert "Service apps-root/home-assistant: " in refused


@pytest.mark.parametrize("name", NAMES)
def test_an_app_says_what_it_is(name: str) -> None:
    about = known_apps()[name]

    assert about.keys() <= KEYS
    assert KEYS - {"phone", "notes", "compared"} <= about.keys()
    assert about.get("compared", {"with": about["homepage"]})["with"].startswith("https://")
    assert about["homepage"].startswith("https://")
    assert about["apps"][0]["name"] == name
    assert all(entry.keys() <= OPTION["options"].keys() - {"from"} for entry in about["apps"])
    assert all(re.search(r":v?\d+[\w.-]*$", entry["image"]) for entry in about["apps"])
    stack = [name] * len(about["apps"]) if len(about["apps"]) > 1 else [None]
    assert [entry.get("stack") for entry in about["apps"]] == stack


@pytest.mark.parametrize("name", NAMES)
def test_an_app_has_memory_probes_and_dumps(name: str, tmp_path: Path) -> None:
    apps = list(complete(tmp_path, {"from": name}).values())
    requests, limits = (
        sum(_mebibytes(app["resources"][key]["memory"]) for app in apps) for key in ("requests", "limits")
    )

    assert requests <= known_apps()[name]["memory_mib"] <= limits
    assert "none" not in [app["probe"] for app in apps]
    for app in apps:
        database = re.search(r"/(postgres|mariadb):", app["image"])
        kind = {"postgres": "postgresql", "mariadb": "mariadb"}[database[1]] if database else None
        assert app.get("backup", {}).get("preset") == kind
        assert app["namespace"] in LEVELS


def _mebibytes(text: str) -> int:
    number, unit = int(text[:-2]), text[-2:]
    return number * {"Mi": 1, "Gi": 1024}[unit]


def test_the_option_lists_the_catalogue() -> None:
    assert OPTION["options"]["from"]["choices"] == NAMES


# ---- What an owner's entry changes.


def test_an_entry_of_one_line_is_a_stack_with_passwords_of_its_own(tmp_path: Path) -> None:
    app, db = entries(tmp_path, {"from": "miniflux", "host": "news.home.arpa"})
    password = db["secrets"]["POSTGRES_PASSWORD"]

    assert (app["name"], db["name"], app["host"]) == ("miniflux", "miniflux-db", "news.home.arpa")
    assert app["env"]["BASE_URL"] == "https://news.home.arpa"
    assert app["secrets"]["DATABASE_URL"] == f"postgres://miniflux:{password}@db/miniflux?sslmode=disable"
    assert (tmp_path / "secrets/home/apps/miniflux/database").read_text().strip() == password
    assert app["secrets"]["ADMIN_PASSWORD"] != password
    assert "POSTGRES_PASSWORD" not in app["secrets"]


def test_the_host_name_is_the_one_that_an_app_gets(tmp_path: Path) -> None:
    def base_url(**keys: Any) -> str:
        return str(entries(tmp_path, {"from": "miniflux", **keys})[0]["env"]["BASE_URL"])

    assert base_url() == "https://miniflux.home.arpa"
    assert base_url(name="news") == "https://news.home.arpa"
    assert base_url(routes=[{"host": "a.home.arpa"}, {}]) == "https://a.home.arpa"
    assert base_url(routes=[]) == "https://miniflux.home.arpa"


def test_an_owners_keys_change_the_app(tmp_path: Path) -> None:
    changed = {
        "from": "miniflux",
        "image": "registry.example.org/miniflux:9",
        "env": {"BATCH_SIZE": "10", "CREATE_ADMIN": "0"},
        "secrets": {"ADMIN_USERNAME": "someone"},
        "resources": {"limits": {"memory": "1Gi"}},
        "volumes": [{"name": "more", "path": "/more"}],
    }
    before, db_before = entries(tmp_path, {"from": "miniflux"})
    app, db = entries(tmp_path, changed)

    assert (app["image"], app["resources"]) == (changed["image"], changed["resources"])
    assert app["env"] == {
        "BASE_URL": before["env"]["BASE_URL"],
        "RUN_MIGRATIONS": "1",
        "CREATE_ADMIN": "0",
        "BATCH_SIZE": "10",
    }
    assert app["secrets"] == before["secrets"] | {"ADMIN_USERNAME": "someone"}
    assert app["volumes"] == changed["volumes"]
    assert db == db_before


def test_an_owners_parts_change_the_other_apps_of_the_stack(tmp_path: Path) -> None:
    change = {
        "resources": {"limits": {"memory": "1Gi"}},
        "env": {"LANG": "de_DE"},
        "secrets": {"POSTGRES_USER": "someone"},
        "volumes": [{"name": "data", "size_gib": 9}],
    }
    plain = entries(tmp_path, {"from": "nextcloud", "name": "office"})
    app, db, redis = entries(tmp_path, {"from": "nextcloud", "name": "office", "parts": {"db": change}})

    assert [{**app, "parts": None}, redis] == [{**plain[0], "parts": None}, plain[2]]
    assert (db["name"], db["image"], db["resources"]) == ("office-db", plain[1]["image"], change["resources"])
    env = {key: value for key, value in plain[1]["env"].items() if key != "POSTGRES_USER"}
    assert db["env"] == env | {"LANG": "de_DE"}
    assert db["secrets"] == plain[1]["secrets"] | {"POSTGRES_USER": "someone"}
    assert db["volumes"] == [plain[1]["volumes"][0] | {"size_gib": 9}]


def test_an_owner_changes_a_volume_by_its_name(tmp_path: Path) -> None:
    place = {"name": "media", "place": "/srv/films", "read_only": True}
    size = {"name": "cache", "size_gib": 30}
    (app,) = entries(tmp_path, {"from": "jellyfin", "volumes": [place, size]})
    volumes = {each["name"]: each for each in app["volumes"]}

    assert list(volumes) == ["config", "cache", "media"]
    assert volumes["media"] == {"size_gib": 100, "path": "/media"} | place
    assert volumes["cache"] == {"path": "/cache"} | size


def test_routes_replace_those_of_the_catalogue_and_so_does_a_host(tmp_path: Path) -> None:
    (without,) = entries(tmp_path, {"from": "mosquitto"})
    (with_host,) = entries(tmp_path, {"from": "mosquitto", "host": "mqtt.home.arpa"})

    assert without["routes"] == []
    assert "routes" not in with_host
    assert with_host["host"] == "mqtt.home.arpa"


def test_a_stack_runs_twice_under_two_names(kubernetes: Acceptance, tmp_path: Path) -> None:
    apps = [{"from": "paperless-ngx"}, {"from": "paperless-ngx", "name": "office"}]
    objects = objects_of(apps, tmp_path)
    named = [
        (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"])
        for obj in objects
        if obj["kind"] != "NetworkPolicy"
    ]
    first, second = (find(objects, "Secret", name)["stringData"] for name in ("paperless-ngx", "office"))

    assert len(named) == len(set(named))
    assert kubernetes.refusals(objects) == []
    assert find(objects, "Service", "office-stack")
    annotations = find(objects, "Deployment", "office")["metadata"]["annotations"]
    assert annotations["homeserver.stack/needs"] == "office-db"
    assert _claims(objects, "office-db") == ["office-db-data"]
    assert not set(first.values()) & set(second.values())
    database = find(objects, "Secret", "office-db")["stringData"]
    assert second["PAPERLESS_DBPASS"] == database["POSTGRES_PASSWORD"]


def _claims(objects: list[Object], name: str) -> list[str]:
    volumes = find(objects, "Deployment", name)["spec"]["template"]["spec"]["volumes"]
    return [each["persistentVolumeClaim"]["claimName"] for each in volumes if "persistentVolumeClaim" in each]


def test_an_unknown_app_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(AnsibleError, match=r"from is 'minifluks' \(expected one of adguard-home, "):
        entries(tmp_path, {"from": "minifluks"})
