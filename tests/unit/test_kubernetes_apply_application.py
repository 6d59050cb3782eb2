"""How an application is applied, pruned, waited for and taken away, on a cluster that is a dictionary."""

import copy
import itertools
from collections.abc import Callable
from typing import Any, cast

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import kubernetes_waiting
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_application import (
    Application,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_cluster import (
    Cluster,
    Kind,
    RefusedError,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_objects import (
    HASH,
    Identity,
    identity,
    owner_application,
    prepare,
    template_hash,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_waiting import ApplicationError

Object = dict[str, Any]

CLUSTER_WIDE = ("Namespace", "CustomResourceDefinition")
APPLIED = [{"manager": "homeserver", "operation": "Apply"}]


class FakeCluster:
    """Keeps what is applied, runs nothing, and refuses what says `refuse` of itself."""

    def __init__(self) -> None:
        self.objects: dict[Identity, Object] = {}
        self.calls: list[str] = []
        self.events: list[str] = []
        self.log_lines: list[str] = []
        self.warnings: list[str] = []
        self._uids = itertools.count(1)
        self._unknown = {"Route"}

    def put(self, obj: Object, application: str = "demo", **metadata: Any) -> Object:
        """Put an object there that an earlier run of an application left."""
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
        self, application: str, _objects: list[Object] | None = None
    ) -> dict[Identity, Object]:
        return {key: obj for key, obj in self.objects.items() if owner_application(obj) == application}

    def get(self, obj: Object) -> Object | None:
        return self.objects.get(identity(obj))

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        if obj.get("refuse"):
            raise RefusedError(422, "Invalid", "spec.x: is wrong")
        namespace = obj["metadata"].get("namespace")
        if namespace and Identity("", "Namespace", "", namespace) not in self.objects:
            raise RefusedError(404, "NotFound", f'namespaces "{namespace}" not found')
        before = self.objects.get(identity(obj))
        if before and obj["kind"] == "PersistentVolumeClaim" and obj["spec"] != before["spec"]:
            raise RefusedError(403, "Forbidden", "it cannot be resized")
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

    def delete(self, obj: Object) -> None:
        self.calls.append(f"delete {identity(obj)}")
        if not obj["metadata"].get("finalizers"):
            del self.objects[identity(obj)]

    def pods(self, namespace: str) -> list[Object]:
        found = (obj for obj in self.objects.values() if obj["kind"] == "Pod")
        return [pod for pod in found if pod["metadata"]["namespace"] == namespace]

    def warnings_about(self, _namespace: str, name: str) -> list[str]:
        return [f"{name}: {event}" if name == "web-1" else event for event in self.events]

    def log(self, _pod: Object, _container: str, *, previous: bool) -> list[str]:
        return [f"{line} ({'previous' if previous else 'current'} run)" for line in self.log_lines]


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: list[tuple[float, Callable[[], Any]]] = []

    def monotonic(self) -> float:
        return self.now

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
    monkeypatch.setattr(kubernetes_waiting, "time", clock)
    return clock


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def application(cluster: FakeCluster, *, check_mode: bool = False, timeout: float = 100) -> Application:
    return Application(cast(Cluster, cluster), "demo", timeout=timeout, check_mode=check_mode)


def an_object(kind: str, name: str = "web", **more: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "demo"}, **more}


def a_workload(kind: str = "Deployment", image: str = "web:1") -> Object:
    template = {"spec": {"containers": [{"name": "web", "image": image, "readinessProbe": {}}]}}
    return an_object(kind, spec={"replicas": 1, "template": template})


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


def test_applies_only_what_differs(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, an_object("ConfigMap", data={"k": "1"}), an_object("Service")])
    cluster.calls.clear()
    changed = application(cluster)
    changed.present([NAMESPACE, an_object("ConfigMap", data={"k": "2"}), an_object("Service")])
    assert cluster.calls == ["apply ConfigMap demo/web"]
    assert changed.outcome.updated == ["ConfigMap demo/web"]


def test_applies_nothing_when_anything_is_refused_and_tells_all_of_it(cluster: FakeCluster) -> None:
    wrong = [an_object("Service", refuse=True), an_object("Ingress", refuse=True)]
    with pytest.raises(ApplicationError) as failed:
        application(cluster).present([NAMESPACE, an_object("ConfigMap"), *wrong])
    assert str(failed.value).splitlines() == [
        "Service demo/web was refused: Invalid: spec.x: is wrong",
        "Ingress demo/web was refused: Invalid: spec.x: is wrong",
    ]
    assert cluster.calls == ["apply Namespace demo"]


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (an_object("Route"), "the cluster knows no Route of v1: its CRD is missing"),
        (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}},
            "Pod web .* it names no namespace",
        ),
    ],
)
def test_says_what_the_api_would_not(cluster: FakeCluster, obj: Object, message: str) -> None:
    with pytest.raises(ApplicationError, match=message):
        application(cluster).present([NAMESPACE, obj])


def a_claim(size: str) -> Object:
    return an_object("PersistentVolumeClaim", spec={"resources": {"requests": {"storage": size}}})


def test_a_volume_that_cannot_be_resized_stays_as_it_is(cluster: FakeCluster) -> None:
    application(cluster).present([NAMESPACE, a_claim("10Gi")])
    smaller = application(cluster)
    smaller.present([NAMESPACE, a_claim("5Gi")])
    assert smaller.outcome.updated == []
    assert cluster.warnings == [
        "PersistentVolumeClaim demo/web keeps its size: Forbidden: it cannot be resized"
    ]


def test_leaves_what_belongs_to_another_application(cluster: FakeCluster) -> None:
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


def test_check_mode_changes_nothing_and_says_what_would_be(cluster: FakeCluster) -> None:
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


def test_check_mode_bears_with_a_namespace_and_a_kind_that_are_yet_to_come(cluster: FakeCluster) -> None:
    dry = application(cluster, check_mode=True)
    dry.present([NAMESPACE, CRD, an_object("Route"), an_object("Service")])
    assert len(dry.outcome.created) == 4


def test_prunes_what_it_applied_and_no_longer_renders(cluster: FakeCluster) -> None:
    cluster.put(NAMESPACE)
    for kind in ("ConfigMap", "Service", "PersistentVolumeClaim"):
        cluster.put(an_object(kind, "old"))
    cluster.put(an_object("Endpoints", "old"), managedFields=[{"manager": "someone", "operation": "Update"}])
    cluster.put(an_object("ConfigMap", "theirs"), application="other")
    pruned = application(cluster)
    pruned.present([NAMESPACE])
    assert pruned.outcome.deleted == ["Service demo/old", "ConfigMap demo/old"]
    assert cluster.calls == ["delete Service demo/old", "delete ConfigMap demo/old"]


def test_a_part_is_applied_ahead_and_the_whole_is_waited_for(cluster: FakeCluster) -> None:
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


def test_waits_for_what_is_about_to_go_before_applying_it_anew(cluster: FakeCluster, clock: Clock) -> None:
    cluster.put(NAMESPACE)
    going = cluster.put(an_object("ConfigMap"), deletionTimestamp="now")
    clock.after(10, lambda: cluster.objects.pop(identity(going)))
    run = application(cluster)
    run.present([NAMESPACE, an_object("ConfigMap")])
    assert run.outcome.created == ["ConfigMap demo/web"]


def test_takes_everything_away_in_reverse(cluster: FakeCluster) -> None:
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


def test_says_what_holds_an_object_that_does_not_go(cluster: FakeCluster) -> None:
    cluster.put(an_object("ConfigMap"), finalizers=["example.org/never"])
    with pytest.raises(ApplicationError) as failed:
        application(cluster, timeout=7).absent()
    assert str(failed.value) == "not gone after 7 s:\nConfigMap demo/web: example.org/never"


class Rollout:
    """A workload that is applied, and pods of it."""

    def __init__(self, cluster: FakeCluster, kind: str = "Deployment") -> None:
        self._cluster = cluster
        self._kind = kind

    def fail(self, timeout: float = 100) -> str:
        with pytest.raises(ApplicationError) as failed:
            self.run(timeout)
        return str(failed.value)

    def run(self, timeout: float = 100) -> None:
        application(self._cluster, timeout=timeout).present([NAMESPACE, a_workload(self._kind)])

    def pod(
        self, name: str, state: Object, *, current: bool = True, ready: bool = False, **more: Any
    ) -> None:
        """Add a pod, of the manifest being applied or of another one."""
        [workload] = prepare("demo", [a_workload(self._kind)])
        digest = template_hash(workload) if current else "another"
        container = {"name": "web", "ready": ready, "state": state, "restartCount": 0, **more}
        pod = an_object("Pod", name, status={"containerStatuses": [container]})
        pod["metadata"] |= {"uid": name, "annotations": {HASH: digest}}
        self._cluster.objects[identity(pod)] = pod


IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
CRASHED = {"waiting": {"reason": "CrashLoopBackOff"}}
ENDED = {"terminated": {"exitCode": 3}}


def test_a_missing_image_fails_the_rollout_long_before_its_time(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", IMAGE)
    message = rollout.fail(timeout=1000)
    assert message.splitlines()[:2] == [
        "Deployment demo/web: 0 of 1 replicas updated",
        "  Pod demo/web-1: container web: ImagePullBackOff: no such image",
    ]
    assert 15 <= clock.now - 1000 <= 30


def test_an_image_that_comes_late_is_waited_for(cluster: FakeCluster, clock: Clock) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-1", IMAGE)
    done = {"updatedReplicas": 1, "availableReplicas": 1, "replicas": 1}
    clock.after(15, lambda: cluster.objects[Identity("", "Deployment", "demo", "web")].update(status=done))
    rollout.run()


def test_pods_that_no_probe_calls_ready_are_on_trial(cluster: FakeCluster, clock: Clock) -> None:
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


def test_a_crash_loop_shows_the_last_words(cluster: FakeCluster, clock: Clock) -> None:
    cluster.log_lines = ["cannot open /data"]
    cluster.events = ["BackOff: restarting"]
    rollout = Rollout(cluster)
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=2)
    assert rollout.fail().splitlines() == [
        "Deployment demo/web: 0 of 1 replicas updated",
        "  Pod demo/web-1: container web: CrashLoopBackOff: exit code 3, 2 restarts",
        "    last lines of container web:",
        "      cannot open /data (current run)",
    ]
    assert clock.now == 1000


def test_pods_of_an_earlier_manifest_do_not_fail_the_one_that_mends_it(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster)
    rollout.pod("web-0", CRASHED, current=False, lastState=ENDED, restartCount=9)
    rollout.pod("web-1", {"waiting": {"reason": "ContainerCreating"}})
    message = rollout.fail(timeout=60)
    assert message.startswith("not rolled out after 60 s:\n")
    assert "web-0" not in message


@pytest.mark.parametrize(
    ("kind", "deleted"), [("StatefulSet", ["delete Pod demo/web-0"]), ("Deployment", [])]
)
def test_a_broken_pod_does_not_keep_a_stateful_set_from_being_mended(
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


def test_how_often_a_job_is_tried_the_job_says(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster, kind="Job")
    rollout.pod("web-1", CRASHED, lastState=ENDED, restartCount=5)
    assert rollout.fail(timeout=60).startswith("not rolled out after 60 s:\nJob demo/web: not complete")


def test_pods_that_may_not_be_made_fail_the_rollout(cluster: FakeCluster, clock: Clock) -> None:
    cluster.events = ["FailedCreate: violates PodSecurity"]
    assert "Deployment demo/web: FailedCreate: violates PodSecurity" in Rollout(cluster).fail()
    assert clock.now - 1000 < 60


def test_two_pods_are_described_and_the_others_counted(cluster: FakeCluster) -> None:
    rollout = Rollout(cluster)
    for number in range(5):
        rollout.pod(f"web-{number}", IMAGE)
    message = rollout.fail()
    assert message.count("ImagePullBackOff") == 2
    assert message.endswith("  and 3 more pods")
