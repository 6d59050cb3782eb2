"""The objects of all inventories are valid for Kubernetes and as strict as documented."""

import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from jsonschema import Draft202012Validator
from kubernetes.utils import parse_quantity

from harness.manifests import INVENTORIES, WORKLOADS, Object, containers, name_of, of, pods
from harness.programs import promtool, traefik_crds
from harness.rendering import ROOT, Role

# It would read the definitions of all kinds again for each object.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)

KUBERNETES = "1.36"
# Host paths that are written to: Filebeat's state, files that fill a disk, and what the kubelet reads.
WRITTEN = {
    "DaemonSet logging-host/filebeat registry",
    "CronJob disk-cleanup/disk-cleanup containerd",
    "CronJob disk-cleanup/disk-cleanup sideload",
    "DaemonSet apps-devices/devices cdi",
    "DaemonSet apps-devices/devices device-plugins",
}
# Apps of an owner who wants it so.
WRITABLE = {"Deployment apps/db db"}
UNPROBED = {"Deployment apps/game"}
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # a path


@pytest.fixture(scope="module")
def schemas() -> dict[str, Object]:
    """The schema of each of Traefik's kinds, without unknown fields."""
    return {
        crd["spec"]["names"]["kind"]: _closed(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        for crd in yaml.safe_load_all(traefik_crds().read_text())
        if crd
    }


def _closed(schema: Any) -> Any:
    """Return a CRD's schema that refuses fields which the API server would drop."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if closed.pop("x-kubernetes-int-or-string", False):
        closed["type"] = ["integer", "string"]
    open_ended = closed.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in closed
    if (
        isinstance(closed.get("properties"), dict)
        and closed["properties"].keys() != {"type"}
        and not open_ended
    ):
        closed["additionalProperties"] = False
    return closed


def test_kubernetes_knows_every_field(objects: list[Object]) -> None:
    for obj in objects:
        if not obj["apiVersion"].startswith("traefik.io/"):
            kubernetes_validate.validate(obj, KUBERNETES, strict=True)


def test_traefik_knows_every_field(objects: list[Object], schemas: dict[str, Object]) -> None:
    for obj in objects:
        if obj["apiVersion"].startswith("traefik.io/"):
            Draft202012Validator(schemas[obj["kind"]]).validate(obj)


def test_prometheus_can_read_its_configuration_and_rules(objects: list[Object], tmp_path: Path) -> None:
    (configuration,) = [
        obj["data"] for obj in of(objects, "ConfigMap") if name_of(obj).endswith("monitoring/prometheus")
    ]
    for name, content in configuration.items():
        # A pod has a token, which does not exist here.
        (tmp_path / name).write_text(content.replace(TOKEN, str(tmp_path / "token")))
    (tmp_path / "token").touch()

    subprocess.run([promtool(), "check", "config", tmp_path / "prometheus.yml"], check=True)


def test_no_object_exists_twice(objects: list[Object]) -> None:
    names = [name_of(obj) for obj in objects]

    assert len(names) == len(set(names))


def test_every_namespace_enforces_a_pod_security_level(objects: list[Object]) -> None:
    levels = {
        obj["metadata"]["name"]: obj["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
        for obj in of(objects, "Namespace")
    }

    # Only pods that read or clean up the hosts, or know their devices, are there.
    privileged = {name for name, level in levels.items() if level == "privileged"}
    assert privileged <= {"apps-devices", "monitoring-host", "logging-host", "disk-cleanup"}
    assert {
        name_of(obj) for obj in of(objects, *WORKLOADS) if obj["metadata"]["namespace"] in privileged
    } <= {
        "DaemonSet apps-devices/devices",
        "DaemonSet logging-host/filebeat",
        "DaemonSet monitoring-host/node-exporter",
        "Deployment disk-cleanup/receiver",
    }
    assert {levels[name] for name in levels.keys() - privileged} == {"restricted"}
    # Else each run would warn of what these pods are for: the cluster warns of more than `baseline`.
    assert privileged == {
        obj["metadata"]["name"]
        for obj in of(objects, "Namespace")
        if obj["metadata"]["labels"].get("pod-security.kubernetes.io/warn") == "privileged"
    }


def test_every_namespace_denies_traffic_by_default(objects: list[Object]) -> None:
    denying = {
        policy["metadata"]["namespace"]
        for policy in of(objects, "NetworkPolicy")
        if policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }

    assert denying == {obj["metadata"]["name"] for obj in of(objects, "Namespace")}


def test_every_container_is_confined(objects: list[Object]) -> None:
    for name, container in containers(objects):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is (name not in WRITABLE), name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_mounted_configuration_is_read_only(objects: list[Object]) -> None:
    """Configuration, secrets and the host's files are read only, except for state on the host."""
    given = {"configMap", "secret", "projected", "hostPath"}
    written = {
        f"{name} {mount['name']}"
        for name, pod in pods(objects)
        for container in pod["containers"] + pod.get("initContainers", [])
        for mount in container.get("volumeMounts", [])
        for volume in pod.get("volumes", [])
        if volume["name"] == mount["name"] and given & volume.keys() and not mount.get("readOnly")
    }

    running = {name for name, _ in pods(objects)}
    assert written == {mount for mount in WRITTEN if mount.rpartition(" ")[0] in running}


def test_what_a_pod_writes_outside_its_volumes_is_limited(objects: list[Object]) -> None:
    """Else it fills the disk of its node, or the memory."""
    for name, pod in pods(objects):
        limits = [container["resources"]["limits"]["memory"] for container in pod["containers"]]
        for directory in (volume["emptyDir"] for volume in pod.get("volumes", []) if "emptyDir" in volume):
            size = parse_quantity(directory.get("sizeLimit", 0))
            most = min(map(parse_quantity, limits)) / 2 if directory.get("medium") else 2 * 1024**3
            assert 0 < size <= most, (name, directory)


def test_every_pod_is_unprivileged(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        context = pod["securityContext"]
        # Only root may remove the files of others, or reach the kubelet's socket.
        as_root = {"CronJob disk-cleanup/disk-cleanup", "DaemonSet apps-devices/devices"}
        assert context["runAsNonRoot"] is (name not in as_root), name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name


def test_only_these_pods_have_a_token_for_kubernetes(objects: list[Object]) -> None:
    all_pods = dict(pods(objects))
    with_token = {
        name for name, pod in all_pods.items() if pod.get("automountServiceAccountToken") is not False
    }

    assert with_token == all_pods.keys() & {
        "DaemonSet traefik/traefik",
        "Deployment traefik/traefik",
        "StatefulSet monitoring/prometheus",
        "DaemonSet logging-host/filebeat",
        "Deployment monitoring/cluster-state",
        "Deployment monitoring/kube-state-metrics",
        "Deployment disk-cleanup/receiver",
        "Deployment tracing/collector",
    }


def test_every_container_has_requests_and_a_limit(objects: list[Object]) -> None:
    for name, container in containers(objects):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]), name
        reserved, most = (parse_quantity(resources[part]["memory"]) for part in ("requests", "limits"))
        assert reserved <= most <= 4 * 1024**3, name


def test_every_container_is_given_what_the_table_says(objects_of: Callable[[str], list[Object]]) -> None:
    # Some containers are there only where a component is off.
    all_objects = [obj for inventory in INVENTORIES for obj in objects_of(inventory)]
    found = {name: _given(container) for name, container in containers(all_objects)}
    found |= {name: _given(container) for name, container in containers(objects_of("everything_on"))}

    assert found == yaml.safe_load((ROOT / "tests/static/containers.yml").read_text())


def _given(container: Object) -> Object:
    given = {
        "env": [variable["name"] for variable in container.get("env", [])],
        "mounts": {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", [])},
        "probes": {
            key.removesuffix("Probe"): _asked(probe)
            for key, probe in container.items()
            if key.endswith("Probe")
        },
    }
    return {key: value for key, value in given.items() if value}


def _asked(probe: Object) -> str:
    if "httpGet" in probe:
        return f"http {probe['httpGet']['port']} {probe['httpGet']['path']}"
    if "exec" in probe:
        return f"exec {' '.join(probe['exec']['command'])}"
    return f"tcp {probe['tcpSocket']['port']}"


def test_every_container_has_probes(objects: list[Object]) -> None:
    for workload in of(objects, "Deployment", "StatefulSet", "DaemonSet"):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            probed = {"readinessProbe", "livenessProbe"} <= set(container)
            assert probed is (name_of(workload) not in UNPROBED), name_of(workload)


def test_a_full_disk_evicts_neither_a_hosts_pods_nor_what_alerts_or_keeps_logs(objects: list[Object]) -> None:
    """A DaemonSet makes evicted pods anew without end, so its pods would be away for long afterwards."""
    critical = {name for name, pod in pods(objects) if pod.get("priorityClassName", "").startswith("system-")}
    everywhere = {name_of(workload) for workload in of(objects, "DaemonSet")}

    assert critical - {"Deployment traefik/traefik"} == everywhere | {
        name_of(workload)
        for workload in of(objects, "StatefulSet")
        if workload["metadata"]["name"] in ("alertmanager", "elasticsearch", "prometheus")
    }


def test_every_stateful_set_names_a_headless_service(objects: list[Object]) -> None:
    headless = {
        (obj["metadata"]["namespace"], obj["metadata"]["name"])
        for obj in of(objects, "Service")
        if obj["spec"].get("clusterIP") == "None"
    }
    named = {(obj["metadata"]["namespace"], obj["spec"]["serviceName"]) for obj in of(objects, "StatefulSet")}

    assert named <= headless


def test_every_image_is_pinned(objects: list[Object]) -> None:
    assert [
        name for name, container in containers(objects) if ":" not in container["image"].split("/")[-1]
    ] == []


def test_no_route_is_served_without_tls(objects: list[Object]) -> None:
    entry_points = {
        point
        for route in of(objects, "IngressRoute")
        # A device that does not trust the home yet cannot open a page with TLS.
        if route["metadata"]["name"] != "welcome-http"
        for point in route["spec"]["entryPoints"]
    }

    assert entry_points <= {"websecure", "metrics"}


def test_every_page_but_an_apps_is_for_the_home_alone(objects: list[Object]) -> None:
    first = {
        name: middlewares[0] if middlewares else ""
        for name, middlewares in _guards(objects)
        if not name.startswith("apps/") and name != "traefik/ready"
    }

    assert first
    assert first.pop("welcome/welcome-http", "lan-only-http") == "lan-only-http"
    assert set(first.values()) <= {"private", "lan-only"}


def test_every_page_without_a_login_of_its_own_is_for_the_admin_alone(objects: list[Object]) -> None:
    pages = {name for name, middlewares in _guards(objects) if "private" in middlewares}
    admins = {name for name, middlewares in _guards(objects) if "admin-auth" in middlewares}

    assert {"monitoring/alertmanager", "monitoring/prometheus"} <= admins
    # whoami is also for traefik_basic_auth_users.
    assert pages - admins <= {"logging/kibana", "monitoring/grafana", "traefik/whoami"}


def _guards(objects: list[Object]) -> Iterator[tuple[str, list[str]]]:
    """The middlewares of every route, by the place of its IngressRoute."""
    for route in of(objects, "IngressRoute"):
        for rule in route["spec"]["routes"]:
            name = f"{route['metadata']['namespace']}/{route['metadata']['name']}"
            yield name, [each["name"] for each in rule.get("middlewares", [])]


def test_every_image_comes_from_the_mirror(objects: list[Object], inventory: str) -> None:
    images = [container["image"] for _, container in containers(objects)]
    mirrored = [image for image in images if not image.startswith("localhost/")]  # these are built here

    if inventory == "everything_on":
        assert [image for image in mirrored if not image.startswith("mirror.example.org/")] == []
        # Overridden in that inventory.
        overridden = f"mirror.example.org/registry.example.org/go-httpbin:2.0.0@sha256:{'2f' * 32}"
        assert overridden in images
    else:
        assert [image for image in images if image.startswith("mirror.example.org/")] == []


def test_every_host_name_is_of_the_one_list(objects: list[Object], inventory: str, tmp_path: Path) -> None:
    """The list of which the certificate is made, and with which preflight compares an owner's names."""
    directory = ROOT / "tests/inventories" / inventory
    own = directory / "group_vars/all/main.yml"
    given = DataLoader().load_from_file(str(own), trusted_as_template=True) if own.exists() else {}
    role = Role("traefik", tmp_path, inventory_dir=str(directory), **given)
    rules = [rule["match"] for route in of(objects, "IngressRoute") for rule in route["spec"]["routes"]]
    routed = {host for rule in rules for host in re.findall(r"Host\(`([^`]+)`\)", rule)}

    assert len(routed) >= 4
    assert routed - set(role.value("query('homeserver.stack.hosts')")) == set()
    assert routed - set(role.value("_traefik_certificate_hosts")) == set()
