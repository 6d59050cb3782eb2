"""An option reaches what it is for: with another value than its default, an object or a task has that."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.components import components
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.checks import DEPRECATED

from harness import rendering
from harness.manifests import Object, rendered
from harness.rendering import find
from harness.roles import ROLES, ROOT, Role, tasks_of

# What the options of everything_on are in its objects: an item of a list is named by its place or its name.
SHOWN: dict[str, dict[str, Any]] = {
    "Deployment hello": {
        "spec.template.spec.terminationGracePeriodSeconds": 40,
        "spec.template.spec.containers.hello.lifecycle.preStop.sleep.seconds": 10,
        "spec.template.spec.containers.hello.env.HOMESERVER_APP_ACCESS_LOG.value": "all",
        "spec.template.spec.containers.hello.env.HOMESERVER_APP_GREETING.value": "Good morning!",
    },
    "Deployment blog": {
        "spec.template.spec.containers.blog.env.TITLE.value": "Blog",
        "spec.template.spec.containers.blog.resources.requests.cpu": "100m",
    },
    "Deployment db": {"spec.template.spec.containers.db.startupProbe.failureThreshold": 300},
    "Deployment game": {
        "spec.replicas": 1,
        "spec.template.spec.securityContext.supplementalGroups": [44],
        "spec.template.spec.containers.game.resources.limits": {
            "memory": "256Mi",
            "homeserver.stack/dri": "1",
            "homeserver.stack/ttyUSB0-609b75bd": "1",
        },
    },
    "DaemonSet devices": {
        "spec.template.spec.containers.devices.env.DEVICES.value": (
            '[{"name": "dri", "path": "/dev/dri", "inside": "/dev/dri"},'
            ' {"name": "ttyUSB0-609b75bd", "path": "/dev/ttyUSB0", "inside": "/dev/ttyACM0"}]'
        ),
    },
    "CronJob blog-clean": {"spec.jobTemplate.spec.activeDeadlineSeconds": 600},
    "HorizontalPodAutoscaler blog": {
        "spec.minReplicas": 1,
        "spec.maxReplicas": 4,
        "spec.metrics.0.resource.target.averageUtilization": 50,
    },
    "IngressRoute blog": {"spec.routes.0.middlewares.1.name": "rate-limit"},
    "NetworkPolicy blog": {"spec.egress.-1.to.0.ipBlock.cidr": "192.168.1.0/24"},
    "Deployment receiver": {
        "spec.template.spec.containers.receiver.env.ALERTS.value": "DiskNearlyFull",
        "spec.template.spec.containers.receiver.env.COOLDOWN_MINUTES.value": "60",
    },
    "CronJob disk-cleanup": {
        "spec.jobTemplate.spec.activeDeadlineSeconds": 300,
        "spec.jobTemplate.spec.ttlSecondsAfterFinished": 24 * 3600,
    },
    "Job arrival": {"spec.template.spec.containers.arrival.args.1": "--seconds=120"},
    "Job kibana-objects": {"spec.template.spec.containers.import.args.1": "--wait=700"},
    "Job logstore-setup": {"spec.template.spec.containers.setup.args.-1": "630"},
}
# The same of files in ConfigMaps.
WRITTEN: dict[tuple[str, str], dict[str, Any]] = {
    ("traefik", "traefik.yaml"): {
        "log.level": "DEBUG",
        "providers.kubernetesCRD.namespaces": sorted(
            {"apps", "shop", "traefik", "wiki"}
            | {declared["namespace"] for declared in components().values() if "routed" in declared}
            # With ACME, devices trust the home already.
            - {"welcome"}
        ),
        "tracing.sampleRate": 0.1,
    },
    ("prometheus", "extra-garage.rules.yml"): {"groups.garage.rules.0.alert": "NasTooWarm"},
    ("prometheus", "nas.yml"): {"0.targets.0": "192.168.1.20:9100"},
    ("grafana", "datasources.yaml"): {"datasources.Elasticsearch.jsonData.index": "filebeat-*"},
}
# For each role: values of options, and the arguments that its tasks get from them.
GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # By their former names.
    "apps": (
        {
            "flask_app_state": "absent",
            "flask_app_confirm_removal": "home",
        },
        {"component enabled": False, "component volumes": "delete"},
    ),
    "microk8s": (
        {
            "microk8s_certificate_warning_days": 60,
            "microk8s_metrics_server_enabled": False,
            "microk8s_node_labels": {"shelf": "attic"},
            "microk8s_node_taints": [{"key": "shelf"}],
            "microk8s_sysctl": {"vm.swappiness": 1},
            "microk8s_users": ["owner"],
        },
        {
            "join microk8s_info.certificate_warning_days": 60,
            "join microk8s_info.sysctl": ["vm.swappiness"],
            "main microk8s_info.certificate_warning_days": 60,
            "node microk8s_node.labels": {"shelf": "attic"},
            "node microk8s_node.taints": [{"key": "shelf"}],
            "snapd microk8s_info.sysctl": ["vm.swappiness"],
            "finish loop": ["owner"],
            "verify microk8s_ready.certificate_warning_days": 60,
            "verify microk8s_ready.deployments": ["coredns", "hostpath-provisioner"],
        },
    ),
    "preflight": (
        {
            "preflight_distributions": {"debian": "13"},
            "preflight_memory_mib": 1,
            "preflight_disk_gib": 2,
            "preflight_disk_running_gib": 4,
            "preflight_clock_skew_seconds": 5,
            "preflight_ports": [80],
        },
        {
            "main host_probe.ports": [80],
            "main preflight.limits.distributions": {"debian": "13"},
            "main preflight.limits.memory_mib": 1,
            "main preflight.limits.disk_gib": 2,
            "main preflight.limits.disk_running_gib": 4,
            "main preflight.limits.clock_skew_seconds": 5,
        },
    ),
    "restore": (
        {
            "restore_environment": {"KEY": "value"},
            "restore_at": "2026-11-20",
            "restore_without": ["attic"],
        },
        {
            "apply backup_volumes.environment": {"KEY": "value"},
            "check vars._restore_lost": [{"node": "shed", "claims": ["apps/blog"]}],
            "check backup_volumes.environment": {"KEY": "value"},
            "inventory backup_read.environment": {"KEY": "value"},
            "objects backup_read.environment": {"KEY": "value"},
            "prepare backup_find.environment": {"KEY": "value"},
            "prepare backup_find.at": "2026-11-20",
        },
    ),
}
# Waits that no owner has to make longer: they look once, or try a connection.
SHORT = {
    "firewall": {"verify wait_for.timeout": 15},
    "microk8s": {
        "install load_images.timeout": 0,
        "remove_node microk8s_cluster.timeout": 60,
        "verify load_images.timeout": 0,
    },
}
LONG = 10**6
# What tasks refer to that only a run knows.
RUN = {
    "_microk8s_info": {"stopped": False, "members": []},
    "_restore_all": [],
    "_restore_saved": [
        {"namespace": "apps", "claim": claim, "volume": claim, "node": node}
        for claim, node in {"wiki": "attic", "blog": "shed"}.items()
    ],
    "inventory_dir": "/nowhere/inventory",
    "inventory_hostname": "home",
}


def _at(value: Any, path: str) -> Any:
    """Return what is at a path."""
    for step in path.split("."):
        if isinstance(value, list):
            named = [item for item in value if isinstance(item, dict) and item.get("name") == step]
            value = named[0] if named else value[int(step)]
        else:
            value = value[step]
    return value


def test_objects_have_what_the_options_say(objects_of: Callable[[str], list[Object]]) -> None:
    objects = objects_of("everything_on")
    found = {
        name: {path: _at(find(objects, *name.split()), path) for path in paths}
        for name, paths in SHOWN.items()
    }

    assert found == SHOWN


def test_former_names_that_still_work_make_the_same_objects(tmp_path: Path) -> None:
    inventory = shutil.copytree(ROOT / "tests/inventories", tmp_path / "inventories") / "everything_on"
    settings = (inventory / "group_vars/all/main.yml").read_text()
    for former, name in DEPRECATED.items():
        settings = re.sub(rf"^{name}:", f"{former}:", settings, flags=re.MULTILINE)
    (inventory / "group_vars/all/main.yml").write_text(settings)

    assert "\nflask_app_apps:\n" in settings
    assert rendered(str(inventory), tmp_path) == rendered("everything_on", tmp_path)


def test_files_have_what_the_options_say(objects_of: Callable[[str], list[Object]]) -> None:
    objects = objects_of("everything_on")
    found = {
        (name, file): {
            path: _at(yaml.safe_load(find(objects, "ConfigMap", name)["data"][file]), path) for path in paths
        }
        for (name, file), paths in WRITTEN.items()
    }

    assert found == WRITTEN


def test_thresholds_and_probes_are_the_owners(objects_of: Callable[[str], list[Object]]) -> None:
    data = find(objects_of("everything_on"), "ConfigMap", "prometheus")["data"]
    (group,) = yaml.safe_load(data["thresholds.rules.yml"])["groups"]
    limits = {rule["record"].rpartition(":")[2]: rule["expr"] for rule in group["rules"]}
    jobs = {job["job_name"]: job for job in yaml.safe_load(data["prometheus.yml"])["scrape_configs"]}
    probed = {target["labels"]["target"]: target["labels"] for target in jobs["probe"]["static_configs"]}

    assert (limits["disk_free_percent"], limits["disk_inodes_free_percent"]) == ("vector(15)", "vector(5)")
    assert probed["https://example.org/"]["module"] == "http"
    assert probed["192.168.1.20"]["module"] == "icmp"
    assert "https://nas.home.example.org/" not in "".join(probed)


def _arguments(role: Role) -> Iterator[tuple[str, Any]]:
    """Return the arguments of all tasks of a role, each with the names of its file, module and itself.

    The action `component` has what the role declares.
    """
    yield from ((f"component {name}", value) for name, value in components().get(role.name, {}).items())
    for file in sorted((role.path / "tasks").glob("*.yml")):
        for task in tasks_of(file):
            for name, argument in _leaves(task):
                yield f"{file.stem} {name}", argument


def _leaves(given: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        path = prefix + name.rpartition(".")[2]
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


@pytest.mark.parametrize("name", GIVEN)
def test_tasks_are_given_what_the_options_say(name: str, tmp_path: Path) -> None:
    options, expected = GIVEN[name]
    (role,) = (role for role in ROLES if role.name == name)
    rendered = rendering.Role(name, tmp_path, **RUN, **options)
    found = [
        (place, rendered.evaluated(argument)) for place, argument in _arguments(role) if place in expected
    ]

    assert sorted(found, key=str) == sorted(expected.items(), key=str)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_no_task_waits_for_less_than_an_option_says(role: Role, tmp_path: Path) -> None:
    longer = dict.fromkeys((name for name in role.defaults if name.endswith("_timeout_seconds")), LONG)
    rendered = rendering.Role(role.name, tmp_path, **RUN, **longer)
    waits = [
        (place, int(rendered.evaluated(argument)))
        for place, argument in _arguments(role)
        if place.endswith((".timeout", " timeout", " retries"))
    ]
    short = [(place, wait) for place, wait in waits if wait < LONG // 3]

    assert sorted(short) == sorted(SHORT.get(role.name, {}).items())


def test_a_node_may_be_drained_and_join_for_as_long_as_the_options_say(tmp_path: Path) -> None:
    options = {"microk8s_drain_timeout_seconds": 700, "microk8s_join_timeout_seconds": 800}
    known = RUN | {"_microk8s_info": {"addresses": ["192.0.2.2"]}, "_microk8s_answers": True}
    role = rendering.Role("microk8s", tmp_path, _microk8s_node_name="attic", **known, **options)
    (microk8s,) = (role for role in ROLES if role.name == "microk8s")
    (command,) = (argument for place, argument in _arguments(microk8s) if place == "drain command.argv")

    assert "--timeout=700s" in role.evaluated(command)
    assert role.value("_microk8s_admitted") == ["192.0.2.2 timeout 800s"]


def test_backups_are_made_and_kept_as_the_options_say(tmp_path: Path) -> None:
    options = {"backup_schedule": "Mon 04:00", "backup_keep": {"yearly": 1}}
    role = rendering.Role("backup", tmp_path, **options)
    timers = {unit["name"]: unit["content"] for unit in role.value("_backup_unit_files")}

    assert "\nOnCalendar=Mon 04:00\n" in timers["homeserver-backup.timer"]
    assert role.value("_backup_settings.keep") == {"yearly": 1}
