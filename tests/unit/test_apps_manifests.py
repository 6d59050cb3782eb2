"""What the role asks of Kubernetes for each kind of app."""

import json
import os
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.apps import stranded_volumes
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import NEEDS

from harness.rendering import Object, Role, find
from harness.traefik_role import Role as Traefik

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
DB: dict[str, Any] = {
    "name": "db",
    "image": "docker.io/library/postgres:15",
    "routes": [],
    "port": 5432,
    "probe": "tcp",
    "user": 999,
    "writable_root": True,
    "secrets": {"POSTGRES_PASSWORD": "secret"},
    "volumes": [{"name": "data", "path": "/var/lib/postgresql/data", "size_gib": 5}],
}
SHOP: dict[str, Any] = {
    "name": "shop",
    "image": "registry.example.org/shop:1",
    "command": ["shop"],
    "args": ["--port=8000"],
    "liveness_path": "/alive",
    "readiness_path": "/serves",
    "needs": ["db"],
    "init_commands": [["shop", "migrate"], ["shop", "check"]],
    "schedules": [{"name": "backup", "cron": "30 3 * * *", "command": ["shop", "backup"]}],
    "volumes": [{"name": "files", "path": "/files"}],
}
GAME: dict[str, Any] = {
    "name": "game",
    "image": "registry.example.org/game:1",
    "routes": [],
    "port": 0,
    "probe": "none",
    "ports": [{"port": 25565}, {"port": 19132, "protocol": "udp", "target_port": 19133}],
}


@pytest.fixture
def objects(tmp_path: Path) -> list[Object]:
    """All that the three apps are."""
    return render(tmp_path, DB, SHOP, GAME)


def render(state: Path, *apps: dict[str, Any]) -> list[Object]:
    role = Role("apps", state, apps=list(apps))
    return role.objects()


def _pod(objects: list[Object], name: str, kind: str = "Deployment") -> Object:
    spec = find(objects, kind, name)["spec"]
    pod: Object = (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]["spec"]
    return pod


def _named(objects: list[Object], kind: str) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects if obj["kind"] == kind]


def test_an_image_is_what_its_tag_stood_for_when_it_was_locked(tmp_path: Path) -> None:
    lock = {DB["image"]: f"sha256:{'2f' * 32}"}
    given = {"homeserver_locked_images": lock, "homeserver_image_mirror": "mirror.example.org"}
    role = Role("apps", tmp_path, apps=[DB, SHOP], **given)
    objects = role.objects()
    images = {name: _pod(objects, name)["containers"][0]["image"] for name in ("db", "shop")}

    assert images["db"] == f"mirror.example.org/{DB['image']}@sha256:{'2f' * 32}"
    assert images["shop"] == f"mirror.example.org/{SHOP['image']}"


def test_what_has_a_volume_is_stopped_before_its_successor_starts(objects: list[Object]) -> None:
    specs = {name: find(objects, "Deployment", name)["spec"] for name in ("db", "game")}

    assert (specs["db"]["replicas"], specs["db"]["strategy"]) == (1, {"type": "Recreate"})
    assert (specs["game"]["replicas"], specs["game"]["strategy"]["type"]) == (2, "RollingUpdate")


def test_a_volume_is_a_claim_that_is_mounted_at_its_path(objects: list[Object]) -> None:
    claim = find(objects, "PersistentVolumeClaim", "db-data")
    pod = _pod(objects, "db")
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}

    assert claim["spec"]["resources"]["requests"] == {"storage": "5Gi"}
    assert pod["volumes"][1] == {
        "name": "volume-data",
        "persistentVolumeClaim": {"claimName": "db-data"},
    }
    assert mounts == {"tmp": "/tmp", "volume-data": "/var/lib/postgresql/data"}


def test_an_app_without_a_host_name_has_no_route_and_lets_traefik_not_in(objects: list[Object]) -> None:
    assert _named(objects, "IngressRoute") == ["shop"]
    (client,) = find(objects, "NetworkPolicy", "db")["spec"]["ingress"]
    assert "namespaceSelector" not in client["from"][0]


def test_a_probe_is_of_the_kind_that_the_app_can_answer(objects: list[Object]) -> None:
    db, shop, game = (_pod(objects, name)["containers"][0] for name in ("db", "shop", "game"))

    assert {probe: shop[probe]["httpGet"] for probe in PROBES} == {
        "startupProbe": {"path": "/alive", "port": 8000},
        "readinessProbe": {"path": "/serves", "port": 8000},
        "livenessProbe": {"path": "/alive", "port": 8000},
    }
    for probe in PROBES:
        assert db[probe]["tcpSocket"] == {"port": 5432}
        assert probe not in game


def test_only_kubernetes_reaches_the_port_of_an_apps_probes(tmp_path: Path) -> None:
    objects = render(tmp_path, SHOP | {"probe_port": 8001}, DB | {"needs": ["shop"]})
    container = _pod(objects, "shop")["containers"][0]
    ports = [port["port"] for port in find(objects, "Service", "shop")["spec"]["ports"]]
    policy = find(objects, "NetworkPolicy", "shop")["spec"]["ingress"]

    assert {container[probe]["httpGet"]["port"] for probe in PROBES} == {8001}
    assert ports == [8000]
    assert {port["port"] for rule in policy for port in rule["ports"]} == {"http", 8000}


def test_the_whole_file_system_is_writable_by_choice(objects: list[Object]) -> None:
    writable = {
        name: not _pod(objects, name)["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
        for name in ("db", "shop", "game")
    }

    assert writable == {"db": True, "shop": False, "game": False}


def test_command_and_arguments_replace_those_of_the_image(objects: list[Object]) -> None:
    shop, db = (_pod(objects, name)["containers"][0] for name in ("shop", "db"))

    assert (shop["command"], shop["args"]) == (["shop"], ["--port=8000"])
    assert not db.keys() & {"command", "args"}


def test_commands_run_before_the_app_with_what_it_has(objects: list[Object]) -> None:
    pod = _pod(objects, "shop")
    (app,) = pod["containers"]
    same = ("image", "env", "volumeMounts", "securityContext", "resources")

    assert [init["command"] for init in pod["initContainers"]] == SHOP["init_commands"]
    for init in pod["initContainers"]:
        assert {key: init[key] for key in same} == {key: app[key] for key in same}


def test_a_schedule_runs_its_command_with_what_the_app_has(objects: list[Object]) -> None:
    job = find(objects, "CronJob", "shop-backup")
    pod = _pod(objects, "shop-backup", "CronJob")
    (container,) = pod["containers"]

    assert job["spec"]["schedule"] == "30 3 * * *"
    assert job["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600
    assert (container["image"], container["command"]) == (SHOP["image"], ["shop", "backup"])
    assert pod["volumes"] == _pod(objects, "shop")["volumes"]


def test_no_request_goes_to_a_pod_of_a_schedule(objects: list[Object]) -> None:
    template = find(objects, "CronJob", "shop-backup")["spec"]["jobTemplate"]["spec"]["template"]
    selector = find(objects, "Service", "shop")["spec"]["selector"]

    assert not selector.items() <= template["metadata"]["labels"].items()


def test_who_needs_an_app_may_connect_to_it_and_nobody_else(objects: list[Object]) -> None:
    (at_db,) = find(objects, "NetworkPolicy", "db")["spec"]["ingress"]
    allowed = [
        name
        for name in ("shop", "game")
        for rule in find(objects, "NetworkPolicy", name)["spec"]["egress"]
        if {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "db"}}} in rule.get("to", [])
    ]

    assert at_db["from"][0]["podSelector"]["matchExpressions"][0]["values"] == ["shop", "shop-backup"]
    assert at_db["ports"] == [{"port": 5432, "protocol": "TCP"}]
    assert allowed == ["shop"]


def test_an_app_says_what_is_to_be_run_before_and_after_it_is_saved(tmp_path: Path) -> None:
    own = {"preset": "postgresql", "before": [["sync"]]}
    objects = render(tmp_path, DB | {"backup": own}, SHOP)

    hooks = json.loads(
        find(objects, "Deployment", "db")["metadata"]["annotations"]["homeserver.stack/backup"]
    )
    file = "/var/lib/postgresql/data/homeserver-backup.sql"
    assert hooks["before"][0] == ["sync"]
    assert hooks["before"][1][-1] == file
    assert hooks["after"] == [["rm", "-f", f"{file}.new"]]
    assert "homeserver.stack/backup" not in find(objects, "Deployment", "shop")["metadata"]["annotations"]


@pytest.mark.parametrize(("preset", "program"), [("postgresql", "pg_dumpall"), ("mariadb", "mariadb-dump")])
def test_a_dump_is_whole_or_not_there(tmp_path: Path, preset: str, program: str) -> None:
    """The command, with a program that writes half of it the second time."""
    data = tmp_path / "data"
    data.mkdir()
    volume = [{"name": "data", "path": str(data)}]
    objects = render(tmp_path, DB | {"volumes": volume, "backup": {"preset": preset}})
    annotations = find(objects, "Deployment", "db")["metadata"]["annotations"]
    (command,) = json.loads(annotations["homeserver.stack/backup"])["before"]
    (tmp_path / program).write_text('#!/bin/sh\necho "$PGPASSWORD$MYSQL_PWD"; exit "${FAILS:-0}"\n')
    (tmp_path / program).chmod(0o755)
    secrets = {"POSTGRES_PASSWORD": "one", "MARIADB_ROOT_PASSWORD": "one"}
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **secrets}
    subprocess.run(command, env=environment, check=True)
    dump = data / "homeserver-backup.sql"

    assert dump.read_text() == "one\n"
    assert dump.stat().st_mode & 0o77 == 0
    changed = {"POSTGRES_PASSWORD": "two", "MARIADB_ROOT_PASSWORD": "two", "FAILS": "1"}
    assert subprocess.run(command, env=environment | changed, check=False).returncode == 1
    assert dump.read_text() == "one\n"


def test_a_rollout_knows_which_apps_an_app_needs(objects: list[Object]) -> None:
    noted = {
        name: find(objects, "Deployment", name)["metadata"]["annotations"].get(NEEDS)
        for name in ("db", "shop", "game")
    }

    assert noted == {"db": None, "shop": "db", "game": None}


def test_the_policy_of_an_app_is_that_of_its_schedules(objects: list[Object]) -> None:
    (selected,) = find(objects, "NetworkPolicy", "shop")["spec"]["podSelector"]["matchExpressions"]

    assert selected["values"] == ["shop", "shop-backup"]


def test_an_app_has_several_hosts_and_paths(tmp_path: Path) -> None:
    routes = [{"host": "example.org"}, {"path": "/shop"}]
    objects = render(tmp_path, {"name": "shop", "image": "shop:1", "routes": routes})

    assert [rule["match"] for rule in find(objects, "IngressRoute", "shop")["spec"]["routes"]] == [
        "Host(`example.org`)",
        "Host(`shop.home.arpa`) && PathPrefix(`/shop`)",
    ]


def test_ports_lead_through_traefik_to_the_app(tmp_path: Path, objects: list[Object]) -> None:
    traefik = Traefik(tmp_path, apps=[GAME]).objects(
        ["configuration.yaml.j2", "traefik.yaml.j2", "network-policies.yaml.j2"]
    )
    outside = {
        port["name"]: (port["port"], port["targetPort"], port["protocol"])
        for port in find(traefik, "Service", "traefik")["spec"]["ports"][2:]
    }
    container = find(traefik, "DaemonSet", "traefik")["spec"]["template"]["spec"]["containers"][0]
    inside = {port["name"]: port["containerPort"] for port in container["ports"]}
    (anyone, *_) = find(traefik, "NetworkPolicy", "traefik-entry-points")["spec"]["ingress"]
    configuration = find(traefik, "ConfigMap", "traefik")["data"]["traefik.yaml"]

    assert outside == {"tcp-25565": (25565, "tcp-25565", "TCP"), "udp-19132": (19132, "udp-19132", "UDP")}
    for name, (_, target, protocol) in outside.items():
        assert {"port": inside[target], "protocol": protocol} in anyone["ports"]
        assert f"  {name}:\n    address: :{inside[target]}/{protocol.lower()}\n" in configuration
    routes = {
        kind: find(objects, kind, name)["spec"]
        for kind, name in {"IngressRouteTCP": "game-25565", "IngressRouteUDP": "game-19132"}.items()
    }
    assert [spec["entryPoints"] for spec in routes.values()] == [["tcp-25565"], ["udp-19132"]]
    assert [spec["routes"][0]["services"] for spec in routes.values()] == [
        [{"name": "game", "port": 25565}],
        [{"name": "game", "port": 19133}],
    ]


def test_an_app_that_listens_nowhere_has_no_service(tmp_path: Path) -> None:
    bot = {"name": "bot", "image": "bot:1", "port": 0, "probe": "none", "routes": []}
    objects = render(tmp_path, bot)

    assert _named(objects, "Deployment") == ["bot"]
    assert _named(objects, "Service") == []
    assert find(objects, "NetworkPolicy", "bot")["spec"]["ingress"] == []


MEDIA: dict[str, Any] = {
    "name": "media",
    "image": "registry.example.org/media:1",
    "root": True,
    "needs": ["db"],
    "files": {"/etc/media/media.conf": "a = 1\n"},
    "shared_memory_mib": 64,
    "sysctls": {"net.ipv4.ip_unprivileged_port_start": 0},
    "hostname": "player",
    "working_dir": "/app",
    "stop_seconds": 60,
    "probe": "command",
    "probe_command": ["test", "-e", "/ready"],
    "volumes": [
        {"name": "settings", "path": "/config", "subdirectory": "media/settings"},
        {"name": "films", "path": "/films", "place": "/srv/media/films", "read_only": True},
    ],
}
TUNNEL: dict[str, Any] = {
    "name": "tunnel",
    "image": "registry.example.org/tunnel:1",
    "capabilities": ["NET_ADMIN"],
    "routes": [],
    "port": 0,
    "probe": "none",
    "stack": "downloads",
}
LOADER: dict[str, Any] = {
    "name": "loader",
    "image": "registry.example.org/loader:1",
    "stack": "downloads",
    "hostname": "web",
    "volumes": [{"name": "files", "path": "/files"}],
}
SORTER: dict[str, Any] = {
    "name": "sorter",
    "image": "registry.example.org/sorter:1",
    "stack": "downloads",
    "host_network": True,
    "volumes": [{"name": "files", "path": "/sorted", "app": "loader"}],
}


@pytest.fixture
def special(tmp_path: Path) -> list[Object]:
    """All that apps are that need more than others."""
    apps = [DB, MEDIA, TUNNEL, LOADER, SORTER]
    role = Role("apps", tmp_path, apps=apps, apps_host_directories={"home": ["/srv", "/srv/media"]})
    return role.objects()


def test_each_app_is_in_the_strictest_namespace_that_it_can_be_in(special: list[Object]) -> None:
    named = [obj["metadata"] for obj in special if obj["kind"] == "Deployment"]
    places = {metadata["name"]: metadata["namespace"] for metadata in named}
    levels = {
        obj["metadata"]["name"]: obj["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for obj in special
        if obj["kind"] == "Namespace"
    }

    stack = dict.fromkeys(("tunnel", "loader", "sorter"), "apps-host")
    assert places == {"db": "apps", "media": "apps-root", **stack}
    assert levels == {"apps": "restricted", "apps-root": "baseline", "apps-host": "privileged"}


def test_root_is_confined(special: list[Object]) -> None:
    pod = _pod(special, "media")
    container = pod["containers"][0]["securityContext"]

    assert pod["securityContext"] == {
        "runAsUser": 0,
        "runAsGroup": 0,
        "seccompProfile": {"type": "RuntimeDefault"},
        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
    }
    assert container == {
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": False,
        "capabilities": {
            "drop": ["ALL"],
            "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"],
        },
    }


def test_an_app_has_what_its_entry_says(special: list[Object]) -> None:
    pod = _pod(special, "media")
    container = pod["containers"][0]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}

    assert (pod["hostname"], container["workingDir"]) == ("player", "/app")
    assert pod["terminationGracePeriodSeconds"] == 65
    for probe in PROBES:
        assert container[probe]["exec"]["command"] == ["test", "-e", "/ready"]
        assert container[probe]["timeoutSeconds"] == 5
    assert {"medium": "Memory", "sizeLimit": "64Mi"} in [volume.get("emptyDir") for volume in pod["volumes"]]
    assert mounts["/config"]["subPath"] == "media/settings"
    assert mounts["/films"]["readOnly"] is True
    file = mounts["/etc/media/media.conf"]
    assert find(special, "Secret", "media-files")["stringData"] == {file["subPath"]: "a = 1\n"}
    assert file["readOnly"] is True


def test_a_directory_of_the_server_is_a_volume_that_is_never_deleted(special: list[Object]) -> None:
    volume = find(special, "PersistentVolume", "apps-root-media-films")["spec"]
    claim = find(special, "PersistentVolumeClaim", "media-films")["spec"]

    assert volume["hostPath"] == {"path": "/srv/media/films", "type": "Directory"}
    assert volume["persistentVolumeReclaimPolicy"] == "Retain"
    rule = volume["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]
    assert rule["values"] == ["home"]
    assert (claim["storageClassName"], claim["volumeName"]) == ("", "apps-root-media-films")


def test_an_app_in_another_namespace_is_found_by_its_name(special: list[Object]) -> None:
    services = [obj for obj in special if obj["kind"] == "Service" and obj["metadata"]["name"] == "db"]
    alias = next(obj for obj in services if obj["metadata"]["namespace"] == "apps-root")
    policy = find(special, "NetworkPolicy", "db")["spec"]["ingress"][0]

    assert alias["spec"] == {"type": "ExternalName", "externalName": "db.apps.svc.cluster.local"}
    selector = policy["from"][0]["namespaceSelector"]["matchLabels"]
    assert selector == {"kubernetes.io/metadata.name": "apps-root"}


def test_a_stack_is_one_network_with_its_own_names_and_volumes(special: list[Object]) -> None:
    loader, sorter = _pod(special, "loader"), _pod(special, "sorter")
    service = find(special, "Service", "downloads-stack")["spec"]
    policy = find(special, "NetworkPolicy", "loader")["spec"]

    assert (loader["hostname"], loader["subdomain"]) == ("web", "downloads-stack")
    assert loader["dnsConfig"]["searches"][0] == "downloads-stack.apps-host.svc.cluster.local"
    assert service["clusterIP"] == "None"
    mates = {"podSelector": {"matchLabels": service["selector"]}}
    assert {"from": [mates]} in policy["ingress"]
    assert {"to": [mates]} in policy["egress"]
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in sorter["volumes"][1:]]
    assert claims == ["loader-files"]
    assert sorter["hostNetwork"] is True
    assert _named(special, "PersistentVolumeClaim").count("loader-files") == 1


def test_a_volume_in_the_namespace_of_before_is_reported() -> None:
    app = {"name": "media", "namespace": "apps-root", "volumes": [{"name": "settings", "path": "/config"}]}

    def found(*places: str) -> list[str]:
        return stranded_volumes(
            [app], [{"metadata": {"name": "media-settings", "namespace": place}} for place in places]
        )

    assert found("apps") == [
        "the volume media-settings is in the namespace apps,"
        " and the app would run in apps-root with an empty one"
    ]
    assert found() == found("apps-root") == found("apps", "apps-root") == found("other") == []


@pytest.mark.parametrize(
    ("key", "reached", "not_reached"),
    [
        ("internet", ["203.0.113.9"], ["192.168.1.9", "10.1.2.3", "10.152.183.1", "169.254.169.254"]),
        ("lan", ["192.168.1.9", "10.0.0.9", "172.16.0.9"], ["203.0.113.9", "10.1.2.3", "10.152.183.1"]),
    ],
)
def test_an_app_reaches_the_internet_and_the_lan_apart(
    tmp_path: Path, key: str, reached: list[str], not_reached: list[str]
) -> None:
    objects = render(tmp_path, {"name": "blog", "image": "registry.example.org/blog:1", key: True})
    rules = find(objects, "NetworkPolicy", "blog")["spec"]["egress"]
    blocks = [peer["ipBlock"] for rule in rules for peer in rule["to"] if "ipBlock" in peer]

    assert all(any(_contains(block, address) for block in blocks) for address in reached)
    assert not any(_contains(block, address) for block in blocks for address in not_reached)


def _contains(block: dict[str, Any], address: str) -> bool:
    ip = ip_address(address)
    return ip in ip_network(block["cidr"]) and not any(
        ip in ip_network(each) for each in block.get("except", [])
    )
