"""`homeserver.stack.kubernetes_apply` on the real cluster that KUBECONFIG names."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from harness.roles import ROOT
from harness.waiting import wait_until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG is not set"),
]

# The tests mostly wait, so several run at once, each worker in a separate namespace.
APPLICATION = f"kubernetes-apply-test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
NAMESPACE = APPLICATION

Object = dict[str, Any]


class Playbook:
    """A play with one task, run in the same way as an owner's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.file = directory / "play.yml"
        self.output = ""

    def write(self, *objects: Object, **arguments: Any) -> list[str]:
        """Write the playbook and return the command that runs it."""
        (self._directory / "objects.yaml").write_text(yaml.safe_dump_all(objects))
        task = {
            "kubeconfig": os.environ["KUBECONFIG"],
            "application": APPLICATION,
            "files": [str(self._directory / "objects.yaml")] if objects else [],
            "timeout": 120,
            **arguments,
        }
        play = {"hosts": "localhost", "gather_facts": False}
        tasks = [{"name": "It runs", "homeserver.stack.kubernetes_apply": task}]
        self.file.write_text(yaml.safe_dump([play | {"tasks": tasks}]))
        return ["ansible-playbook", "--inventory", "localhost,", str(self.file)]

    def run(self, *objects: Object, flags: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
        """Run the playbook and return the task's result."""
        command = [*self.write(*objects, **arguments), *flags]
        environment = os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=400
        )
        self.output = done.stdout
        start = self.output.index("{\n")  # a verbose run prints other lines first
        play = json.loads(self.output[start:])["plays"][0]
        result: dict[str, Any] = play["tasks"][0]["hosts"]["localhost"]
        return result

    def apply(self, *objects: Object, **arguments: Any) -> dict[str, Any]:
        """Run the playbook, which must succeed."""
        result = self.run(*objects, **arguments)
        assert not result.get("failed"), result["msg"]
        return result

    def fail(self, *objects: Object, **arguments: Any) -> str:
        """Run the playbook, which must fail."""
        result = self.run(*objects, **arguments)
        assert result.get("failed")
        return str(result["msg"])


@pytest.fixture(scope="module")
def core() -> client.CoreV1Api:
    return client.CoreV1Api(config.new_client_from_config())


@pytest.fixture(scope="module")
def image(core: client.CoreV1Api) -> str:
    """CoreDNS' image: every node has it, and its program can be made to fail with a message."""
    pods = core.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
    return str(pods[0].spec.containers[0].image)


@pytest.fixture
def playbook(tmp_path: Path) -> Iterator[Playbook]:
    """A playbook; all objects that it applied are deleted afterwards."""
    playbook = Playbook(tmp_path)
    yield playbook
    playbook.apply(state="absent")


NAMESPACE_OBJECT: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


def an_object(kind: str, name: str, api_version: str = "v1", **content: Any) -> Object:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        **content,
    }


def a_config_map(name: str = "settings", **data: str) -> Object:
    return an_object("ConfigMap", name, data=data)


COREFILE = a_config_map("corefile", Corefile=".:1053 {\n  errors\n}\n")
BASE = (NAMESPACE_OBJECT, COREFILE)
WORKS = "-conf=/etc/coredns/Corefile"
CRASHES = "-conf=/nowhere/Corefile"


def a_deployment(image: str, argument: str = WORKS, name: str = "web", **container: Any) -> Object:
    labels = {"app": name}
    mount = {"name": "corefile", "mountPath": "/etc/coredns"}
    content = {"name": "web", "image": image, "args": [argument], "volumeMounts": [mount], **container}
    pod = {
        "containers": [content],
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "corefile", "configMap": {"name": "corefile"}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return an_object("Deployment", name, "apps/v1", spec=spec)


def the_pods(core: client.CoreV1Api) -> set[str]:
    """Return the pods that are not being deleted."""
    pods = core.list_namespaced_pod(NAMESPACE).items
    return {pod.metadata.name for pod in pods if not pod.metadata.deletion_timestamp}


def restarts(core: client.CoreV1Api, app: str) -> int:
    """Return how often the containers of an app were restarted."""
    pods = core.list_namespaced_pod(NAMESPACE, label_selector=f"app={app}").items
    return sum(each.restart_count for pod in pods for each in pod.status.container_statuses or [])


def test_it_tells_how_long_a_single_pod_was_away(playbook: Playbook, image: str) -> None:
    single = a_deployment(image)
    single["spec"]["strategy"] = {"type": "Recreate"}
    created = playbook.apply(*BASE, single)
    single["spec"]["template"]["metadata"]["annotations"] = {"changed": "yes"}

    changed = playbook.apply(*BASE, single)

    assert created["away"] == {}
    (workload,) = changed["away"]
    assert workload == f"Deployment {NAMESPACE}/web"
    assert 0 < changed["away"][workload] < 60
    assert f"{workload} was away for " in playbook.output


def test_a_pod_that_waits_for_the_next_one_was_never_away(playbook: Playbook, image: str) -> None:
    rolling = a_deployment(image)
    playbook.apply(*BASE, rolling)
    rolling["spec"]["template"]["metadata"]["annotations"] = {"changed": "yes"}

    assert playbook.apply(*BASE, rolling)["away"] == {}


def test_a_rejected_manifest_is_reported_by_object_and_field_and_nothing_is_applied(
    playbook: Playbook, core: client.CoreV1Api, image: str
) -> None:
    wrong = a_deployment(image)
    wrong["spec"]["replicas"] = -1
    misspelt = a_deployment(image, name="misspelt")
    misspelt["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Never"
    message = playbook.fail(NAMESPACE_OBJECT, a_config_map(), wrong, misspelt)
    first, second = message.splitlines()
    assert first.startswith(f"Deployment {NAMESPACE}/web was refused: Invalid: spec.replicas: ")
    assert second.startswith(f"Deployment {NAMESPACE}/misspelt was refused: ")
    assert "imagePullPolice" in second
    with pytest.raises(client.ApiException, match="404"):
        core.read_namespaced_config_map("settings", NAMESPACE)


def test_a_missing_image(playbook: Playbook) -> None:
    started = time.monotonic()
    # Only an image that must not be pulled is certain never to come: a registry may come back.
    missing = a_deployment("registry.invalid/nothing:1", imagePullPolicy="Never")
    message = playbook.fail(*BASE, missing, timeout=300)
    assert message.startswith(
        f"Deployment {NAMESPACE}/web: 0 of 1 replicas available\n  Pod {NAMESPACE}/web-"
    )
    assert "container web: " in message
    assert "ErrImageNeverPull" in message
    assert "registry.invalid/nothing:1" in message
    assert time.monotonic() - started < 60


def test_a_crash_loop(playbook: Playbook, image: str) -> None:
    started = time.monotonic()
    message = playbook.fail(*BASE, a_deployment(image, CRASHES), timeout=300)
    assert f"  Pod {NAMESPACE}/web-" in message
    assert "exit code 1" in message
    assert "last lines of container web:\n" in message
    assert "/nowhere/Corefile" in message
    assert time.monotonic() - started < 60


def test_an_app_may_crash_until_what_it_needs_is_there(
    playbook: Playbook, core: client.CoreV1Api, image: str
) -> None:
    probe = {"tcpSocket": {"port": 1053}}
    # Until then the other one ends at least three times.
    db = a_deployment(image, name="db", readinessProbe=probe | {"initialDelaySeconds": 60})
    web = a_deployment(image, readinessProbe=probe)
    web["metadata"]["annotations"] = {"homeserver.stack/needs": "db"}
    web["spec"]["template"]["spec"]["volumes"][0]["configMap"] = {"name": "late", "optional": True}
    command = playbook.write(*BASE, db, web, timeout=240)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None and restarts(core, "web") < 2:
            time.sleep(1)
        core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "late"}, "data": COREFILE["data"]})
        output, _ = running.communicate(timeout=400)
    assert running.returncode == 0, output


def test_a_probe_that_never_passes(playbook: Playbook, image: str) -> None:
    probe = {"httpGet": {"path": "/never", "port": 8199}, "periodSeconds": 1}
    deployment = a_deployment(image, readinessProbe=probe)
    message = playbook.fail(*BASE, deployment, timeout=15)
    assert message.startswith(
        f"not rolled out after 15 s:\nDeployment {NAMESPACE}/web: 0 of 1 replicas available"
    )
    assert "container web: NotReady: running, but not ready" in message
    assert "Unhealthy: Readiness probe failed: " in message
    assert "last lines of container web:" in message


def test_pods_that_violate_pod_security(playbook: Playbook, image: str) -> None:
    namespace = NAMESPACE_OBJECT | {
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    }
    result = playbook.run(namespace, COREFILE, a_deployment(image), timeout=300)
    assert "FailedCreate" in result["msg"]
    assert 'violates PodSecurity "restricted' in result["msg"]


def test_the_next_run_fixes_a_failed_rollout(playbook: Playbook, image: str) -> None:
    playbook.fail(*BASE, a_deployment(image, CRASHES))
    playbook.apply(*BASE, a_deployment(image))


def test_the_next_run_fixes_a_broken_stateful_set(playbook: Playbook, image: str) -> None:
    def stateful(argument: str) -> Object:
        deployment = a_deployment(image, argument)
        return deployment | {"kind": "StatefulSet", "spec": deployment["spec"] | {"serviceName": "web"}}

    playbook.fail(*BASE, stateful(CRASHES))
    playbook.apply(*BASE, stateful(WORKS))


def test_a_stateful_set_gets_another_service_while_its_pod_runs_on(
    playbook: Playbook, core: client.CoreV1Api, image: str
) -> None:
    def stateful(service: str) -> Object:
        deployment = a_deployment(image)
        return deployment | {"kind": "StatefulSet", "spec": deployment["spec"] | {"serviceName": service}}

    playbook.apply(*BASE, stateful("web"))
    before = core.read_namespaced_pod("web-0", NAMESPACE)
    assert playbook.apply(*BASE, stateful("web-pods"))["updated"] == [f"StatefulSet {NAMESPACE}/web"]
    after = core.read_namespaced_pod("web-0", NAMESPACE)

    assert after.metadata.uid == before.metadata.uid
    assert after.metadata.owner_references[0].uid != before.metadata.owner_references[0].uid
    assert not playbook.apply(*BASE, stateful("web-pods"))["changed"]


def test_the_next_run_completes_a_killed_one(playbook: Playbook, core: client.CoreV1Api, image: str) -> None:
    objects = [*BASE, a_config_map(), a_deployment(image)]
    slow = {"exec": {"command": ["/never"]}, "periodSeconds": 1}
    unready = [
        *BASE,
        a_config_map(),
        a_config_map("old"),
        a_deployment(image, readinessProbe=slow),
    ]
    process = subprocess.Popen(
        playbook.write(*unready), cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    wait_until(lambda: NAMESPACE in _namespaces(core) and the_pods(core))
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert playbook.apply(*objects)["deleted"] == [f"ConfigMap {NAMESPACE}/old"]
    assert not playbook.apply(*objects)["changed"]


def _namespaces(core: client.CoreV1Api) -> list[str]:
    return [namespace.metadata.name for namespace in core.list_namespace().items]


def test_a_changed_configuration_restarts_the_pods_that_use_it(
    playbook: Playbook, core: client.CoreV1Api, image: str
) -> None:
    def apply(greeting: str, other: str) -> set[str]:
        playbook.apply(
            *BASE,
            a_config_map(greeting=greeting),
            a_config_map("unused", k=other),
            a_deployment(image, envFrom=[{"configMapRef": {"name": "settings"}}]),
        )
        return the_pods(core)

    first = apply("hello", "1")
    assert apply("hello", "2") == first
    assert not apply("good evening", "2") & first


def test_objects_that_are_no_longer_rendered_are_deleted_except_data(
    playbook: Playbook, core: client.CoreV1Api
) -> None:
    claim = an_object(
        "PersistentVolumeClaim",
        "data",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    )
    service = an_object("Service", "old", spec={"ports": [{"port": 80}], "selector": {"app": "old"}})
    playbook.apply(NAMESPACE_OBJECT, a_config_map(), a_config_map("old"), service, claim)
    core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "by-hand"}})
    result = playbook.apply(NAMESPACE_OBJECT, a_config_map())
    assert result["deleted"] == [f"Service {NAMESPACE}/old", f"ConfigMap {NAMESPACE}/old"]
    assert core.read_namespaced_persistent_volume_claim("data", NAMESPACE)
    assert core.read_namespaced_config_map("by-hand", NAMESPACE)


def test_a_changed_job_runs_again(playbook: Playbook, image: str) -> None:
    def job(argument: str) -> Object:
        container = {"name": "once", "image": image, "args": [argument]}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        return an_object("Job", "once", "batch/v1", spec={"backoffLimit": 0, "template": template})

    playbook.apply(NAMESPACE_OBJECT, job("-version"))
    assert not playbook.apply(NAMESPACE_OBJECT, job("-version"))["changed"]
    assert playbook.apply(NAMESPACE_OBJECT, job("-plugins"))["updated"] == [f"Job {NAMESPACE}/once"]
    message = playbook.fail(NAMESPACE_OBJECT, job(CRASHES))
    assert message.startswith(f"Job {NAMESPACE}/once: BackoffLimitExceeded: ")
    assert "/nowhere/Corefile" in message


def test_a_kind_is_defined_and_used_in_one_run(playbook: Playbook) -> None:
    group = "kubernetes-apply-test.home.arpa"
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
            ],
        },
    }
    thing = an_object("Thing", "one", f"{group}/v1", spec={"x": 1})
    objects = (thing, definition, NAMESPACE_OBJECT)
    assert playbook.run(*objects, flags=("--check",))["changed"]
    playbook.apply(*objects)
    assert not playbook.apply(*objects)["changed"]
    misspelt = an_object("Thing", "one", f"{group}/v1", spec={"y": 1})
    message = playbook.fail(misspelt, definition, NAMESPACE_OBJECT)
    assert message.startswith(f"Thing {NAMESPACE}/one was refused: ")
    assert "spec.y" in message


def test_a_dry_run_shows_everything_but_secrets_and_changes_nothing(
    playbook: Playbook, core: client.CoreV1Api, image: str
) -> None:
    secret = an_object("Secret", "password", stringData={"password": "hush-hush"})
    objects = (NAMESPACE_OBJECT, a_config_map(k="visible"), secret, a_deployment(image))
    for virgin in (True, False):
        if not virgin:
            playbook.apply(*objects[:1])
        playbook.run(*objects, flags=("--check", "--diff", "-vvv"))
        assert "k: visible" in playbook.output
        assert "password: (hidden)" in playbook.output
        assert not any(secret in playbook.output for secret in ("hush-hush", "aHVzaC1odXNo"))
    assert not [
        item for item in core.list_namespaced_secret(NAMESPACE).items if item.metadata.name == "password"
    ]


def test_state_absent_deletes_all_and_is_idempotent(playbook: Playbook, core: client.CoreV1Api) -> None:
    playbook.apply(NAMESPACE_OBJECT, a_config_map())
    assert playbook.apply(state="absent")["deleted"] == [
        f"ConfigMap {NAMESPACE}/settings",
        f"Namespace {NAMESPACE}",
    ]
    assert NAMESPACE not in _namespaces(core)
    assert not playbook.apply(state="absent")["changed"]
