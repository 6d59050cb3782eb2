"""What the roles would apply, for three inventories: valid for Kubernetes, and as strict as promised.

Ansible renders it: a dry run without a cluster shows every object it would create.
"""

import functools
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.programs import promtool
from tests.static.roles import ROOT

KUBERNETES = "1.35"
INVENTORIES = ("defaults", "everything_on", "everything_off")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # a path

Object = dict[str, Any]


def _known_crds() -> Path | None:
    """Traefik's CRDs, if a bundle of the lab has been built here."""
    cache = Path(os.environ.get("HOMESERVER_LAB_CACHE", "~/.cache/homeserver-lab")).expanduser()
    return next(cache.glob("bundle-*/manifests/traefik_crds.yml"), None)


@functools.cache
def _render(inventory: str) -> list[Object]:
    """Every object a dry run shows where there is no cluster yet."""
    with tempfile.TemporaryDirectory() as state:
        return _dry_run(inventory, state)


def _dry_run(inventory: str, state: str) -> list[Object]:
    command = ["ansible-playbook", "--check", "--diff", "-i", f"tests/inventories/{inventory}"]
    command += ["-e", f"homeserver_state_dir={state}", "tests/static/cluster.yml"]
    environment = os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    results = [
        result
        for play in json.loads(run.stdout)["plays"]
        for task in play["tasks"]
        for result in task["hosts"].values()
    ]
    applied = [
        difference for result in results if "created" in result for difference in result.get("diff", [])
    ]
    return [yaml.safe_load(difference["after"]) for difference in applied]


@pytest.fixture(params=INVENTORIES)
def objects(request: pytest.FixtureRequest) -> list[Object]:
    """What one inventory renders to, Traefik's CRDs left out."""
    rendered = _render(request.param)
    assert rendered
    return rendered


@pytest.fixture(scope="module")
def schemas() -> dict[str, Object]:
    """The schema of each kind of Traefik's, in which nothing unknown is allowed."""
    crds = _known_crds()
    if crds is None:
        pytest.skip(
            "no bundle of the lab is built here, so Traefik's CRDs are not at hand; the scenarios apply them"
        )
    return {
        crd["spec"]["names"]["kind"]: _closed(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        for crd in yaml.safe_load_all(crds.read_text())
        if crd
    }


def _closed(schema: Any) -> Any:
    """A CRD's schema that refuses what the API server would drop."""
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


def _name(obj: Object) -> str:
    return f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def _of(objects: list[Object], *kinds: str) -> list[Object]:
    return [obj for obj in objects if obj["kind"] in kinds]


def _containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for workload in _of(objects, *WORKLOADS):
        pod = workload["spec"]["template"]["spec"]
        for container in pod["containers"] + pod.get("initContainers", []):
            yield f"{_name(workload)} {container['name']}", container


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
        obj["data"] for obj in _of(objects, "ConfigMap") if _name(obj).endswith("monitoring/prometheus")
    ]
    for name, content in configuration.items():
        # A pod has the token of its account; here is none.
        (tmp_path / name).write_text(content.replace(TOKEN, str(tmp_path / "token")))
    (tmp_path / "token").touch()

    subprocess.run([promtool(), "check", "config", tmp_path / "prometheus.yml"], check=True)


def test_nothing_is_there_twice(objects: list[Object]) -> None:
    names = [_name(obj) for obj in objects]

    assert len(names) == len(set(names))


def test_every_namespace_restricts_its_pods(objects: list[Object]) -> None:
    levels = {
        obj["metadata"]["name"]: obj["metadata"]["labels"].get("pod-security.kubernetes.io/enforce")
        for obj in _of(objects, "Namespace")
    }

    # What looks at the hosts themselves, or tidies them up, is there, and nothing else.
    privileged = {name for name, level in levels.items() if level == "privileged"}
    assert privileged <= {"monitoring-host", "logging-host", "disk-cleanup"}
    assert {_name(obj) for obj in _of(objects, *WORKLOADS) if obj["metadata"]["namespace"] in privileged} <= {
        "DaemonSet logging-host/filebeat",
        "DaemonSet monitoring-host/node-exporter",
        "Deployment disk-cleanup/receiver",
    }
    assert {levels[name] for name in levels.keys() - privileged} == {"restricted"}


def test_every_namespace_denies_traffic_by_default(objects: list[Object]) -> None:
    denying = {
        policy["metadata"]["namespace"]
        for policy in _of(objects, "NetworkPolicy")
        if policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    }

    assert denying == {obj["metadata"]["name"] for obj in _of(objects, "Namespace")}


def test_every_container_is_confined(objects: list[Object]) -> None:
    for name, container in _containers(objects):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, name
        assert context["allowPrivilegeEscalation"] is False, name
        assert context["capabilities"] == {"drop": ["ALL"]}, name


def test_every_pod_is_unprivileged(objects: list[Object]) -> None:
    for workload in _of(objects, *WORKLOADS):
        context = workload["spec"]["template"]["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True, _name(workload)
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, _name(workload)


def test_only_what_has_to_talks_to_kubernetes(objects: list[Object]) -> None:
    with_token = {
        _name(workload)
        for workload in _of(objects, *WORKLOADS)
        if workload["spec"]["template"]["spec"].get("automountServiceAccountToken") is not False
    }

    assert with_token <= {
        "Deployment traefik/traefik",
        "StatefulSet monitoring/prometheus",
        "DaemonSet logging-host/filebeat",
        "Deployment monitoring/cluster-state",
        "Deployment monitoring/kube-state-metrics",
        "Deployment disk-cleanup/receiver",
        "Deployment tracing/collector",
    }


def test_every_container_asks_for_what_it_needs(objects: list[Object]) -> None:
    for name, container in _containers(objects):
        resources = container["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]), name
        assert "memory" in resources["limits"], name


def test_every_service_is_probed(objects: list[Object]) -> None:
    for workload in _of(objects, "Deployment", "StatefulSet", "DaemonSet"):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= set(container), _name(workload)


def test_every_image_is_pinned(objects: list[Object]) -> None:
    assert [
        name for name, container in _containers(objects) if ":" not in container["image"].split("/")[-1]
    ] == []


def test_no_route_is_served_in_the_clear(objects: list[Object]) -> None:
    entry_points = {point for route in _of(objects, "IngressRoute") for point in route["spec"]["entryPoints"]}

    assert entry_points <= {"websecure", "metrics"}


def test_a_mirror_is_in_front_of_every_image() -> None:
    images = [container["image"] for _, container in _containers(_render("everything_on"))]

    # What is built here is pulled from nowhere.
    assert [image for image in images if not image.startswith(("mirror.example.org/", "localhost/"))] == []
