"""How an application is applied, pruned, awaited and deleted, on a cluster that is a dictionary."""

import copy
import itertools
from collections.abc import Callable, Container, Iterable
from contextlib import nullcontext
from typing import Any, cast

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes import waiting
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.application import Application
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    ApiError,
    Cluster,
    Kind,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import (
    HASH,
    NEEDS,
    Identity,
    identity,
    kind_of,
    owner_application,
    prepare,
    template_hash,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import (
    ApplicationError,
    Say,
    say_nothing,
)

Object = dict[str, Any]

CLUSTER_WIDE = ("Namespace", "CustomResourceDefinition", "PersistentVolume")
SYSTEM = "kube-system"
RECORD = Identity("", "ConfigMap", SYSTEM, "homeserver-demo")
APPLIED = [{"manager": "homeserver", "operation": "Apply"}]


class FakeCluster:
    """Keeps applied objects, runs nothing, and refuses objects with the key `refuse`."""

    def __init__(self) -> None:
        self.objects: dict[Identity, Object] = {}
        self.calls: list[str] = []
        self.told: list[str] = []
        self.pod_events: list[Object] = []
        self.log_lines: list[str] = []
        self.warnings: list[str] = []
        self._uids = itertools.count(1)
        self._unknown = {"Route"}

    def put(self, obj: Object, application: str = "demo", **metadata: Any) -> Object:
        """Add an object that an earlier run of an application left."""
        labels = {"app.kubernetes.io/managed-by": "homeserver", "app.kubernetes.io/part-of": application}
        stored = copy.deepcopy(obj)
        stored["metadata"] |= {
            "uid": str(next(self._uids)),
            "managedFields": APPLIED,
            "labels": labels,
            **metadata,
        }
        self.objects[identity(stored)] = stored
        return stored

    def discover(self) -> None:
        for obj in self.objects.values():
            if obj["kind"] == "CustomResourceDefinition":
                self._unknown.discard(obj["spec"]["names"]["kind"])

    def kind(self, obj: Object) -> Kind | None:
        name = obj["kind"]
        return (
            None if name in self._unknown else Kind("v1", name, name, name not in CLUSTER_WIDE, frozenset())
        )

    def of_application(
        self, application: str, objects: Iterable[Object] = (), kinds: Container[str] | None = None
    ) -> dict[Identity, Object]:
        wanted = set(map(kind_of, objects))
        return {
            key: obj
            for key, obj in self.objects.items()
            if owner_application(obj) == application
            and (kinds is None or kind_of(obj) in kinds or kind_of(obj) in wanted)
        }

    def get(self, obj: Object) -> Object | None:
        return self.objects.get(identity(obj))

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        if obj.get("refuse"):
            raise ApiError(422, "Invalid", "spec.x: is wrong")
        namespace = obj["metadata"].get("namespace")
        if namespace == SYSTEM:
            self.objects[identity(obj)] = obj
            return obj
        if namespace and Identity("", "Namespace", "", namespace) not in self.objects:
            raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found')
        before = self.objects.get(identity(obj))
        if before and obj["kind"] == "PersistentVolumeClaim" and obj["spec"] != before["spec"]:
            raise ApiError(403, "Forbidden", "it cannot be resized")
        if obj["kind"] == "StatefulSet" and before and _service(before) != _service(obj):
            raise ApiError(422, "Invalid", "spec: Forbidden: updates to statefulset spec for other fields")
        applied = copy.deepcopy(obj)
        applied["metadata"] |= {
            "uid": before["metadata"]["uid"] if before else "new",
            "managedFields": APPLIED,
        }
        if not dry_run:
            self.calls.append(f"apply {identity(obj)}")
            applied["metadata"]["uid"] = before["metadata"]["uid"] if before else str(next(self._uids))
            self.objects[identity(obj)] = {**(before or {}), **applied}
        return applied

    def delete(self, obj: Object, *, orphan: bool = False) -> None:
        if obj["metadata"].get("namespace") == SYSTEM:
            self.objects.pop(identity(obj), None)
            return
        self.calls.append(f"delete {identity(obj)}{' alone' if orphan else ''}")
        if not obj["metadata"].get("finalizers"):
            del self.objects[identity(obj)]

    def nodes(self) -> list[Object]:
        return [obj for obj in self.objects.values() if obj["kind"] == "Node"]

    def pods(self, namespace: str) -> list[Object]:
        found = (obj for obj in self.objects.values() if obj["kind"] == "Pod")
        return [pod for pod in found if pod["metadata"]["namespace"] == namespace]

    def warnings_about(self, _namespace: str, name: str) -> list[str]:
        return [f"{name}: {event}" if name == "web-1" else event for event in self.told]

    def events(self, _namespace: str, _field_selector: str) -> list[Object]:
        return self.pod_events

    def log(self, _pod: Object, _container: str, *, previous: bool) -> list[str]:
        return [f"{line} ({'previous' if previous else 'current'} run)" for line in self.log_lines]


class Clock:
    """Time that only passes by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: list[tuple[float, Callable[[], Any]]] = []

    def monotonic(self) -> float:
        return self.now

    def strftime(self, _format: str) -> str:
        return "14:02:31"

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at, happen in list(self.alarms):
            if self.now >= at:
                self.alarms.remove((at, happen))
                happen()

    def after(self, seconds: float, happen: Callable[[], Any]) -> None:
        self.alarms.append((self.now + seconds, happen))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def application(
    cluster: FakeCluster, *, check_mode: bool = False, timeout: float = 100, say: Say = say_nothing
) -> Application:
    return Application(cast(Cluster, cluster), "demo", timeout=timeout, check_mode=check_mode, say=say)


def an_object(kind: str, name: str = "web", **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "demo"}, **more}


def a_workload(kind: str = "Deployment", image: str = "web:1", name: str = "web") -> Object:
    template = {"spec": {"containers": [{"name": "web", "image": image, "readinessProbe": {}}]}}
    return an_object(kind, name, spec={"replicas": 1, "template": template})


NAMESPACE: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
CRD: Object = {
    "apiVersion": "v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "routes"},
    "spec": {"group": "g", "names": {"kind": "Route"}, "versions": [{"name": "v1", "served": True}]},
}


def test_applies_everything_once(cluster: FakeCluster) -> None:
    wanted = [an_object("Service"), an_object("ConfigMap"), NAMESPACE]
    first = application(cluster)
    first.present(wanted)
    assert first.outcome.created == ["Namespace demo", "ConfigMap demo/web", "Service demo/web"]
    assert cluster.calls == [f"apply {name}" for name in first.outcome.created]
    cluster.calls.clear()
    second = application(cluster)
    second.present(wanted)
    assert (cluster.calls, second.outcome.diff) == ([], [])


def test_lists_only_the_kinds_of_the_run_before(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, an_object("ConfigMap"), an_object("Service")])
    assert cluster.objects[RECORD]["data"] == {"kinds": "ConfigMap Namespace Service"}
    unrecorded = identity(cluster.put(an_object("Ingress")))
    application(cluster).present([NAMESPACE, an_object("ConfigMap")])
    assert unrecorded in cluster.objects
    assert cluster.objects[RECORD]["data"] == {"kinds": "ConfigMap Namespace"}


def test_lists_all_kinds_without_a_record(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, an_object("ConfigMap")])
    del cluster.objects[RECORD]
    cluster.put(an_object("Ingress"))
    application(cluster).present([NAMESPACE, an_object("ConfigMap")])
    assert cluster.calls[-1] == "delete Ingress demo/web"


def test_deletes_what_an_interrupted_run_applied(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, an_object("ConfigMap")])
    with pytest.raises(ApplicationError):
        application(cluster, timeout=10).present([NAMESPACE, an_object("ConfigMap"), a_workload()])
    application(cluster).present([NAMESPACE, an_object("ConfigMap")])
    assert cluster.calls[-1] == "delete Deployment demo/web"


def test_keeps_the_kind_of_a_volume_that_stays(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, an_object("PersistentVolumeClaim", spec={})])
    application(cluster).present([NAMESPACE])
    assert cluster.objects[RECORD]["data"] == {"kinds": "Namespace PersistentVolumeClaim"}


def test_a_dry_run_and_a_removal_leave_no_record(cluster: FakeCluster) -> None:
    application(cluster, check_mode=True).present([an_object("ConfigMap")])
    assert RECORD not in cluster.objects
    application(cluster).present([NAMESPACE, an_object("ConfigMap")])
    application(cluster).absent()
    assert RECORD not in cluster.objects


def test_applies_only_what_differs(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, an_object("ConfigMap", data={"k": "1"}), an_object("Service")])
    cluster.calls.clear()
    changed = application(cluster)
    changed.present([NAMESPACE, an_object("ConfigMap", data={"k": "2"}), an_object("Service")])
    assert cluster.calls == ["apply ConfigMap demo/web"]
    assert changed.outcome.updated == ["ConfigMap demo/web"]


def test_applies_nothing_when_an_object_is_refused_and_reports_all(cluster: FakeCluster) -> None:
    wrong = [an_object("Service", refuse=True), an_object("Ingress", refuse=True)]
    with pytest.raises(ApplicationError) as failed:
        application(cluster).present([NAMESPACE, an_object("ConfigMap"), *wrong])
    assert str(failed.value).splitlines() == [
        "Service demo/web was refused: Invalid: spec.x: is wrong",
        "Ingress demo/web was refused: Invalid: spec.x: is wrong",
    ]
    assert cluster.calls == ["apply Namespace demo"]


def test_a_refused_change_of_an_object_is_reported_unchanged(cluster: FakeCluster) -> None:
    """Only for a volume, another size is tried."""
    cluster.put(NAMESPACE)
    cluster.put(an_object("Service"))
    with pytest.raises(ApplicationError, match="Service demo/web was refused"):
        application(cluster).present([NAMESPACE, an_object("Service", refuse=True)])


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (an_object("Route"), "the cluster serves no Route of v1: its CRD is missing"),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}},
            "Pod web .* metadata.namespace is missing",
        ),
    ],
)
def test_explains_errors_that_the_api_does_not_explain(
    cluster: FakeCluster, obj: Object, message: str
) -> None:
    with pytest.raises(ApplicationError, match=message):
        application(cluster).present([NAMESPACE, obj])


def a_claim(size: str) -> Object:
    return an_object("PersistentVolumeClaim", spec={"resources": {"requests": {"storage": size}}})


def test_a_volume_that_cannot_be_resized_keeps_its_size(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, a_claim("10Gi")])
    smaller = application(cluster)
    smaller.present([NAMESPACE, a_claim("5Gi")])
    assert smaller.outcome.updated == []
    assert cluster.warnings == [
        "PersistentVolumeClaim demo/web keeps its size: Forbidden: it cannot be resized"
    ]


def test_does_not_touch_objects_of_another_application(cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE, application="other")
    with pytest.raises(
        ApplicationError, match="Namespace demo was refused: it belongs to the application other"
    ):
        application(cluster).present([NAMESPACE])


def test_a_kind_can_be_defined_and_used_in_one_run(cluster: FakeCluster) -> None:
    route = an_object("Route")
    route["apiVersion"] = "g/v1"
    application(cluster).present([route, CRD, NAMESPACE])
    assert cluster.calls[-1] == "apply Route demo/web"


def test_check_mode_changes_nothing_and_reports_the_changes(cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE)
    cluster.put(an_object("ConfigMap"))
    cluster.put(an_object("Secret", "old"))
    before = copy.deepcopy(cluster.objects)
    dry = application(cluster, check_mode=True)
    dry.present([NAMESPACE, an_object("ConfigMap", data={"k": "1"}), an_object("Service"), a_workload()])
    assert (dry.outcome.created, dry.outcome.updated, dry.outcome.deleted) == (
        ["Service demo/web", "Deployment demo/web"],
        ["ConfigMap demo/web"],
        ["Secret demo/old"],
    )
    assert (cluster.objects, cluster.calls) == (before, [])


def test_check_mode_refuses_what_the_api_refuses(cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE)
    with pytest.raises(ApplicationError, match="Service demo/web was refused"):
        application(cluster, check_mode=True).present([NAMESPACE, an_object("Service", refuse=True)])


def test_check_mode_accepts_a_namespace_and_a_kind_that_do_not_exist_yet(cluster: FakeCluster) -> None:
    dry = application(cluster, check_mode=True)
    dry.present([NAMESPACE, CRD, an_object("Route"), an_object("Service")])
    assert len(dry.outcome.created) == 4


def test_prunes_objects_that_are_no_longer_rendered(cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE)
    for kind in ("ConfigMap", "Service", "PersistentVolumeClaim"):
        cluster.put(an_object(kind, "old"))
    cluster.put(an_object("Endpoints", "old"), managedFields=[{"manager": "someone", "operation": "Update"}])
    cluster.put(an_object("ConfigMap", "theirs"), application="other")
    pruned = application(cluster)
    pruned.present([NAMESPACE])
    assert pruned.outcome.deleted == ["Service demo/old", "ConfigMap demo/old"]
    assert cluster.calls == ["delete Service demo/old", "delete ConfigMap demo/old"]


def test_a_workload_of_another_kind_runs_until_its_successor_does(cluster: FakeCluster, clock: Clock) -> None:
    cluster.put(NAMESPACE)
    cluster.put(a_workload("Deployment"))
    cluster.put(an_object("ConfigMap", "old"))
    successor = a_workload("DaemonSet")
    successor["metadata"]["generation"] = 1
    status = {"observedGeneration": 1, "desiredNumberScheduled": 0}

    def ready() -> None:
        cluster.calls.append("ready")
        cluster.objects[identity(successor)]["status"] = status

    clock.after(10, ready)
    application(cluster).present([NAMESPACE, successor])
    assert cluster.calls == [
        "apply DaemonSet demo/web",
        "delete ConfigMap demo/old",
        "ready",
        "delete Deployment demo/web",
    ]


def _node(name: str, ready: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(("state", "runs"), [("Unknown", True), ("True", False)])
def test_pods_of_a_daemon_set_on_a_dead_node_are_not_awaited(
    cluster: FakeCluster, state: str, runs: bool
) -> None:
    daemons = a_workload("DaemonSet")
    daemons["metadata"]["generation"] = 1
    cluster.put(NAMESPACE)
    cluster.put(_node("home", "True"), application="none")
    cluster.put(_node("attic", state), application="none")
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2}
    with nullcontext() if runs else pytest.raises(ApplicationError, match="1 of 2 replicas available"):
        application(cluster).present([NAMESPACE, daemons | {"status": {**status, "numberAvailable": 1}}])


def test_a_part_is_applied_first_and_the_whole_is_awaited(cluster: FakeCluster) -> None:
    cluster.put(an_object("ConfigMap", "old"))
    whole = [NAMESPACE, an_object("Service"), a_workload("Deployment")]
    ahead = application(cluster, timeout=7)
    ahead.present([NAMESPACE, a_workload("Deployment")], partial=True)
    assert ahead.outcome.created == ["Namespace demo", "Deployment demo/web"]
    assert ahead.outcome.deleted == []
    with pytest.raises(ApplicationError, match="not rolled out after 7 s"):
        application(cluster, timeout=7).present(whole)
    assert cluster.calls[-1] == "delete ConfigMap demo/old"


def test_a_changed_job_is_replaced(cluster: FakeCluster) -> None:
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    application(cluster).present([NAMESPACE, a_workload("Job") | {"status": done}])
    cluster.calls.clear()
    again = application(cluster)
    again.present([NAMESPACE, a_workload("Job") | {"status": done}])
    assert cluster.calls == []
    again.present([NAMESPACE, a_workload("Job", image="web:2") | {"status": done}])
    assert cluster.calls == ["delete Job demo/web", "apply Job demo/web"]


def _service(stateful_set: Object) -> str:
    name: str = stateful_set["spec"].get("serviceName", "")
    return name


def _stateful(service: str, image: str = "web:1") -> Object:
    workload = a_workload("StatefulSet", image=image)
    return workload | {"spec": workload["spec"] | {"serviceName": service}}


def test_a_stateful_set_of_another_service_takes_over_the_pods(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, _stateful("web")], partial=True)
    dry = application(cluster, check_mode=True)
    cluster.calls.clear()
    dry.present([NAMESPACE, _stateful("web-pods")], partial=True)
    assert (dry.outcome.updated, cluster.calls) == (["StatefulSet demo/web"], [])
    assert "web-pods" in str(dry.outcome.diff)

    again = application(cluster)
    again.present([NAMESPACE, _stateful("web-pods")], partial=True)
    assert again.outcome.updated == ["StatefulSet demo/web"]
    assert cluster.calls == ["delete StatefulSet demo/web alone", "apply StatefulSet demo/web"]
    last = application(cluster)
    last.present([NAMESPACE, _stateful("web-pods")], partial=True)
    assert last.outcome.updated == last.outcome.created == []


def test_a_failed_job_is_replaced(cluster: FakeCluster) -> None:
    failed = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    done = {"conditions": [{"type": "Complete", "status": "True"}]}
    (job,) = prepare("demo", [a_workload("Job")])
    cluster.put(NAMESPACE)
    cluster.put(job | {"status": failed})
    dry = application(cluster, check_mode=True)
    dry.present([NAMESPACE, a_workload("Job")])
    assert dry.outcome.updated == ["Job demo/web"]
    again = application(cluster)
    again.present([NAMESPACE, a_workload("Job") | {"status": done}])
    assert again.outcome.updated == ["Job demo/web"]
    assert cluster.calls == ["delete Job demo/web", "apply Job demo/web"]


def test_waits_for_a_deletion_before_applying_the_object_again(cluster: FakeCluster, clock: Clock) -> None:
    cluster.put(NAMESPACE)
    going = cluster.put(an_object("ConfigMap"), deletionTimestamp="now")
    clock.after(10, lambda: cluster.objects.pop(identity(going)))
    run = application(cluster)
    run.present([NAMESPACE, an_object("ConfigMap")])
    assert run.outcome.created == ["ConfigMap demo/web"]


def test_deletes_everything_in_reverse_order(cluster: FakeCluster) -> None:
    for obj in (an_object("Route"), CRD, NAMESPACE, an_object("Service"), an_object("Deployment")):
        cluster.put(obj)
    cluster.put(an_object("PersistentVolumeClaim", "data"), managedFields=[])
    cluster.put(an_object("Endpoints"), managedFields=[])
    cluster.put(an_object("ConfigMap", "theirs"), application="other")
    gone = application(cluster)
    gone.absent()
    assert [call.split()[1] for call in cluster.calls] == [
        "Route",
        "Deployment",
        "Service",
        "PersistentVolumeClaim",
        "CustomResourceDefinition",
        "Namespace",
    ]


def test_volumes_are_kept_with_their_namespace(cluster: FakeCluster) -> None:
    directory: Object = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "demo-data"}}
    for obj in (NAMESPACE, directory, an_object("PersistentVolumeClaim", "data"), an_object("Deployment")):
        cluster.put(obj)
    gone = application(cluster)
    gone.absent(delete_volumes=False)
    assert gone.outcome.deleted == ["Deployment demo/web"]
    assert cluster.warnings == ["PersistentVolumeClaim demo/data is kept"]
    cluster.objects.clear()
    cluster.put(NAMESPACE)
    gone.absent(delete_volumes=False)
    assert cluster.objects == {}


def test_a_volume_that_is_no_longer_rendered_is_deleted_only_if_that_is_meant(cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE)
    cluster.put(an_object("PersistentVolumeClaim", "data"))
    application(cluster).present([NAMESPACE])
    assert cluster.calls == []
    application(cluster).present([NAMESPACE], delete_volumes=True)
    assert cluster.calls == ["delete PersistentVolumeClaim demo/data"]


def test_names_the_finalizers_that_prevent_a_deletion(cluster: FakeCluster) -> None:
    cluster.put(an_object("ConfigMap"), finalizers=["example.org/never"])
    with pytest.raises(ApplicationError) as failed:
        application(cluster, timeout=7).absent()
    assert str(failed.value) == "not gone after 7 s:\nConfigMap demo/web: example.org/never"


class Rollout:
    """A workload that is applied, and its pods; with `needs`, beside a Deployment `db`."""

    def __init__(self, cluster: FakeCluster, kind: str = "Deployment", needs: str = "") -> None:
        self._cluster = cluster
        self._kind = kind
        self._workloads = [a_workload(kind)]
        if needs:
            self._workloads[0]["metadata"]["annotations"] = {NEEDS: needs}
            self._workloads.append(a_workload(name="db"))

    def fail(self, timeout: float = 100) -> str:
        with pytest.raises(ApplicationError) as failed:
            self.run(timeout)
        return str(failed.value)

    def run(self, timeout: float = 100) -> list[str]:
        """Apply it, and return the reports."""
        said: list[str] = []
        run = application(self._cluster, timeout=timeout, say=said.append)
        run.present([NAMESPACE, *self._workloads])
        return said

    def finish(self, name: str = "web") -> None:
        """Finish the rollout of a workload."""
        done = {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
        self._cluster.objects[Identity("", self._kind, "demo", name)].update(status=done)

    def image_event(self, reason: str, when: str, pod: str = "web-1") -> None:
        """Add an event of the kubelet about the image of a pod."""
        about = {"uid": pod, "fieldPath": "spec.containers{web}"}
        event = {"involvedObject": about, "reason": reason, "lastTimestamp": when}
        self._cluster.pod_events = [event, *self._cluster.pod_events]

    def pod(
        self, name: str, state: Object, *, current: bool = True, ready: bool = False, **more: Any
    ) -> None:
        """Add a pod of the current manifest or of another one."""
        [workload] = prepare("demo", [a_workload(self._kind)])
        digest = template_hash(workload) if current else "another"
        container = {
            "name": "web",
            "image": "web:1",
            "ready": ready,
            "state": state,
            "restartCount": 0,
            **more,
        }
        pod = an_object("Pod", name, status={"containerStatuses": [container]})
        pod["metadata"] |= {"uid": name, "annotations": {HASH: digest}}
        self._cluster.objects[identity(pod)] = pod


IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": "web:1: not found"}}
OVERLOADED = {"waiting": {"reason": "ImagePullBackOff", "message": "503 Service Unavailable"}}
CREATED = {"waiting": {"reason": "ContainerCreating"}}
CRASHED = {"waiting": {"reason": "CrashLoopBackOff"}}
ENDED = {"terminated": {"exitCode": 3}}


def test_a_missing_image_fails_the_rollout_early(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", IMAGE)
    message = rollout.fail(timeout=1000)
    assert message.splitlines()[:2] == [
        "Deployment demo/web: 0 of 1 replicas updated",
        "  Pod demo/web-1: container web: ImagePullBackOff: web:1: not found",
    ]
    assert 15 <= clock.now - 1000 <= 30


def test_waits_for_a_registry_that_recovers_in_minutes(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", OVERLOADED)
    clock.after(300, rollout.finish)
    said = rollout.run(timeout=100)
    tried = "demo: waiting for 1 of 1 images: web:1 (pull failed, retrying since 14:02:31)"
    assert set(said) == {tried}
    assert 8 <= len(said) <= 12


def test_a_registry_that_does_not_recover_fails_the_rollout(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", OVERLOADED)
    assert "container web: ImagePullBackOff web:1: 503 Service Unavailable" in rollout.fail(timeout=100)
    assert 590 <= clock.now - 1000 <= 610


def test_pulling_an_image_does_not_count_as_waiting(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", CREATED)
    rollout.image_event("Pulling", "2026-11-25T10:00:00Z")
    clock.after(300, cluster.pod_events.clear)  # Kubernetes forgets events
    clock.after(1200, rollout.finish)
    assert set(rollout.run(timeout=100)) == {
        "demo: waiting for 1 of 1 images: web:1 (pulling since 14:02:31)"
    }


def test_a_retry_in_progress_does_not_count_as_trouble(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", OVERLOADED)
    rollout.image_event("BackOff", "2026-11-25T10:00:00Z")
    clock.after(400, lambda: rollout.image_event("Pulling", "2026-11-25T10:06:40Z"))
    clock.after(1600, lambda: rollout.image_event("Failed", "2026-11-25T10:26:40Z"))
    rollout.fail(timeout=100)
    assert 1790 <= clock.now - 1000 <= 1820


def test_the_time_counts_once_the_image_is_pulled(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", CREATED)
    rollout.image_event("Pulling", "2026-11-25T10:00:00Z")
    clock.after(500, lambda: rollout.image_event("Pulled", "2026-11-25T10:08:20Z"))
    assert rollout.fail(timeout=100).startswith("not rolled out after 100 s:")
    assert 595 <= clock.now - 1000 <= 610


def test_gives_up_a_pull_that_does_not_end(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", CREATED)
    rollout.image_event("Pulling", "2026-11-25T10:00:00Z")
    assert rollout.fail(timeout=100).startswith("not rolled out after 100 s:")
    assert 3690 <= clock.now - 1000 <= 3710


def test_reports_which_workload_is_awaited(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", {"running": {}})
    said: list[str] = []
    run = application(cluster, timeout=50, say=said.append)
    with pytest.raises(ApplicationError):
        run.present([NAMESPACE, a_workload()])
    assert said == ["demo: waiting for Deployment demo/web (0 of 1 replicas updated)"] * 2


def test_pods_without_a_readiness_probe_have_to_keep_running(cluster: FakeCluster, clock: Clock) -> None:
    workload = a_workload()
    del workload["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    running = {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
    objects = [NAMESPACE, workload | {"status": running}]
    key = Identity("", "Deployment", "demo", "web")
    clock.after(2, lambda: cluster.objects[key].update(status={"updatedReplicas": 1}))
    clock.after(20, lambda: cluster.objects[key].update(status=running))
    application(cluster).present(objects)
    assert clock.now - 1000 >= 25
    started = clock.now
    application(cluster).present(objects)
    assert clock.now == started


def test_a_crash_loop_shows_the_last_log_lines(cluster: FakeCluster, clock: Clock) -> None:
    cluster.log_lines = ["cannot open /data"]
    cluster.told = ["BackOff: restarting"]
    rollout = Rollout(cluster)
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=2)
    assert rollout.fail().splitlines() == [
        "Deployment demo/web: 0 of 1 replicas updated",
        "  Pod demo/web-1: container web: CrashLoopBackOff: exit code 3, 2 restarts",
        "    last lines of container web:",
        "      cannot open /data (current run)",
    ]
    assert clock.now == 1000


def test_an_app_may_crash_until_what_it_needs_is_there(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster, needs="cache,db")
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=9)
    clock.after(60, lambda: rollout.finish("db"))
    clock.after(61, lambda: rollout.pod("web-2", {"running": {}}))
    clock.after(70, rollout.finish)
    rollout.run()
    assert clock.now - 1000 == pytest.approx(70, abs=1)
    assert cluster.calls.count("delete Pod demo/web-1") == 1


def test_a_pod_that_runs_at_last_is_not_started_anew(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster, needs="db")
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=9)
    clock.after(60, lambda: rollout.pod("web-1", {"running": {}}, lastState=ENDED, restartCount=10))
    clock.after(61, lambda: rollout.finish("db"))
    clock.after(70, rollout.finish)
    rollout.run()
    assert "delete Pod demo/web-1" not in cluster.calls


def test_an_app_that_crashes_beside_what_it_needs_fails_the_rollout(
    cluster: FakeCluster, clock: Clock
) -> None:
    rollout = Rollout(cluster, needs="db")
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=9)
    clock.after(60, lambda: rollout.finish("db"))
    clock.after(70, lambda: rollout.pod("web-2", CRASHED, lastState=ENDED, restartCount=2))
    assert "Pod demo/web-2: container web: CrashLoopBackOff" in rollout.fail(timeout=300)
    assert clock.now - 1000 == pytest.approx(70, abs=1)


def test_pods_of_a_broken_manifest_do_not_fail_the_one_that_fixes_it(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-0", CRASHED, current=False, lastState=ENDED, restartCount=9)
    rollout.pod("web-1", {"waiting": {"reason": "ContainerCreating"}})
    message = rollout.fail(timeout=60)
    assert message.startswith("not rolled out after 60 s:\n")
    assert "web-0" not in message


@pytest.mark.parametrize(
    ("kind", "deleted"), [("StatefulSet", ["delete Pod demo/web-0"]), ("Deployment", [])]
)
def test_a_broken_pod_does_not_keep_a_stateful_set_from_being_fixed(
    cluster: FakeCluster, kind: str, deleted: list[str]
) -> None:
    workload = cluster.put(a_workload(kind))
    rollout = Rollout(cluster, kind)
    for name, ready, current in (("web-0", False, False), ("web-1", True, False), ("web-2", False, True)):
        rollout.pod(name, {"running": {}}, ready=ready, current=current)
        pod = cluster.objects[Identity("", "Pod", "demo", name)]
        pod["metadata"]["ownerReferences"] = [{"uid": workload["metadata"]["uid"]}]
    rollout.fail()
    assert [call for call in cluster.calls if call.startswith("delete")] == deleted


def test_a_job_itself_limits_its_retries(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster, kind="Job")
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=5)
    assert rollout.fail(timeout=60).startswith("not rolled out after 60 s:\nJob demo/web: not complete")


def test_pods_that_cannot_be_created_fail_the_rollout(cluster: FakeCluster, clock: Clock) -> None:
    cluster.told = ["FailedCreate: violates PodSecurity"]
    assert "Deployment demo/web: FailedCreate: violates PodSecurity" in Rollout(cluster).fail()
    assert clock.now - 1000 < 60


def test_two_pods_are_described_and_the_others_counted(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster)
    for number in range(5):
        rollout.pod(f"web-{number}", IMAGE)
    message = rollout.fail()
    assert message.count("ImagePullBackOff") == 2
    assert message.endswith("  and 3 more pods")
