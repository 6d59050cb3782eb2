"""How a program checks its configuration, in a cluster that is a dictionary."""

import base64
from typing import Any, cast

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes import checks, waiting
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.checks import Check, live_files, run
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import Cluster
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.jobs import JobFailedError, finish
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import prepare
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError

Object = dict[str, Any]

FILES = {"prometheus.yml": "rule_files: [a.yml]", "a.yml": "groups: []"}
CHECK = Check("prometheus", "prometheus:1", ["/bin/promtool", "check", "config", "prometheus.yml"], FILES)


class FakeCluster:
    """Runs the only pod of a Job at once, with a given result."""

    def __init__(self, phase: str = "Succeeded") -> None:
        self.objects: dict[str, Object] = {}  # by kind
        self.applied: dict[str, Object] = {}
        self._phase = phase

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        assert not dry_run
        if obj["kind"] == "Job":
            done = {"Succeeded": "Complete", "Failed": "Failed"}.get(self._phase, "Suspended")
            obj = obj | {"status": {"conditions": [{"type": done, "status": "True"}]}}
            obj["metadata"] = obj["metadata"] | {"uid": "of-the-job"}
        self.objects[obj["kind"]] = self.applied[obj["kind"]] = obj
        return obj

    def get(self, obj: Object) -> Object | None:
        return self.objects.get(obj["kind"])

    def delete(self, obj: Object) -> None:
        self.objects.pop(obj["kind"], None)

    def pods(self, _namespace: str) -> list[Object]:
        template = self.objects["Job"]["spec"]["template"]
        metadata = {"name": "pod", "namespace": "default", "uid": "1"} | template["metadata"]
        return [{"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "status": {"phase": self._phase}}]

    def warnings_about(self, _namespace: str, _name: str) -> list[str]:
        return []

    def log(self, _pod: Object, _container: str, **_: Any) -> list[str]:
        return ["Checking prometheus.yml", "  FAILED: parse error: unexpected identifier"]


def _run(cluster: FakeCluster) -> None:
    run(cast(Cluster, cluster), CHECK, timeout=0)


def test_a_refusal_shows_the_output_of_the_program() -> None:
    cluster = FakeCluster("Failed")
    with pytest.raises(ApplicationError) as refused:
        _run(cluster)
    assert str(refused.value).splitlines() == [
        "prometheus: the configuration is refused, and nothing was changed.",
        "Checking prometheus.yml",
        "  FAILED: parse error: unexpected identifier",
    ]
    assert cluster.objects.keys() == {"Namespace"}


def test_a_good_configuration_leaves_nothing_behind() -> None:
    cluster = FakeCluster()
    _run(cluster)
    assert cluster.objects.keys() == {"Namespace"}
    assert {
        name: base64.b64decode(data).decode() for name, data in cluster.applied["Secret"]["data"].items()
    } == FILES


def test_a_password_is_where_nobody_else_is_and_goes_with_the_job() -> None:
    cluster = FakeCluster()
    _run(cluster)
    namespace, job, secret = (cluster.applied[kind] for kind in ("Namespace", "Job", "Secret"))

    assert list(cluster.applied) == ["Namespace", "Job", "Secret"]
    assert namespace["metadata"]["name"] == "check-prometheus"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {obj["metadata"]["namespace"] for obj in (job, secret)} == {"check-prometheus"}
    assert secret["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": "of-the-job"}
    ]
    # A Job whose run was killed ends some time, and is removed then.
    assert job["spec"].keys() >= {"activeDeadlineSeconds", "ttlSecondsAfterFinished"}


def test_a_check_that_does_not_run_is_not_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_POLL", 0)
    cluster = FakeCluster("Pending")
    with pytest.raises(ApplicationError, match="not rolled out after 0 s"):
        _run(cluster)
    assert cluster.objects.keys() == {"Namespace"}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("ConfigMap", FILES),
        ("Secret", {name: base64.b64encode(text.encode()).decode() for name, text in FILES.items()}),
    ],
)
def test_reads_the_files_of_a_live_object(kind: str, data: dict[str, str]) -> None:
    cluster = FakeCluster()
    assert live_files(cast(Cluster, cluster), [{"kind": kind}]) is None
    cluster.objects[kind] = {"kind": kind, "data": data}
    assert live_files(cast(Cluster, cluster), [{"kind": kind}]) == FILES


def test_a_configuration_may_be_in_several_objects() -> None:
    cluster = FakeCluster()
    cluster.objects["ConfigMap"] = {"kind": "ConfigMap", "data": {"a.yml": "groups: []"}}
    holders = [{"kind": "ConfigMap"}, {"kind": "Secret"}]
    assert live_files(cast(Cluster, cluster), holders) == {"a.yml": "groups: []"}
    password = base64.b64encode(b"a password").decode()
    cluster.objects["Secret"] = {"kind": "Secret", "data": {"b.yml": password}}
    assert live_files(cast(Cluster, cluster), holders) == {"a.yml": "groups: []", "b.yml": "a password"}


@pytest.mark.parametrize(
    ("live", "initially", "checked"),
    [(None, True, True), (None, False, False), (FILES, True, False), ({"a.yml": "groups: [b]"}, False, True)],
)
def test_checks_only_a_configuration_that_is_not_in_the_cluster(
    monkeypatch: pytest.MonkeyPatch, live: dict[str, str] | None, initially: bool, checked: bool
) -> None:
    cluster = FakeCluster()
    if live is not None:
        cluster.objects["ConfigMap"] = {"kind": "ConfigMap", "data": live}
    ran: list[Check] = []
    monkeypatch.setattr(checks, "run", lambda _cluster, check, _timeout, _say: ran.append(check))
    check = Check("prometheus", "i", ["promtool"], FILES)
    holders = ["ConfigMap/monitoring/prometheus"]
    checks.check_unless_live(cast(Cluster, cluster), check, holders, initially=initially, timeout=300)
    assert bool(ran) is checked


def test_a_private_image_is_pulled_with_a_login_that_does_not_stay() -> None:
    cluster = FakeCluster()
    login = {"registry": "ghcr.io", "username": "owner", "password": "secret"}
    check = CHECK._replace(image="ghcr.io/a/prometheus:1", logins=[login])
    run(cast(Cluster, cluster), check, timeout=0)

    pod = cluster.applied["Job"]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["imagePullSecrets"]]
    assert set(cluster.objects) == {"Namespace"}


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_job_in_the_background_is_removed_once_it_has_ended(phase: str) -> None:
    container = {"name": "program", "image": "a"}
    spec = {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
    metadata = {"name": "a", "namespace": "default"}
    (job,) = prepare("a", [{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}])
    cluster = FakeCluster(phase)
    cluster.apply(job, dry_run=False)

    if phase == "Failed":
        with pytest.raises(JobFailedError, match="parse error"):
            finish(cast(Cluster, cluster), job, timeout=0)
    else:
        finish(cast(Cluster, cluster), job, timeout=0)

    assert cluster.objects == {}
