"""A configuration is checked by the program it is for, in a cluster that is a dictionary."""

import base64
from typing import Any, cast

import pytest
from ansible_collections.homeserver.stack.plugins.action import check_configuration
from ansible_collections.homeserver.stack.plugins.module_utils import kubernetes_waiting
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_check import Check, live_files, run
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_cluster import Cluster
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_waiting import ApplicationError

Object = dict[str, Any]

FILES = {"prometheus.yml": "rule_files: [a.yml]", "a.yml": "groups: []"}
CHECK = Check("prometheus", "prometheus:1", ["/bin/promtool", "check", "config", "prometheus.yml"], FILES)


class FakeCluster:
    """Runs a Job's only pod at once, to an end that is given."""

    def __init__(self, phase: str = "Succeeded") -> None:
        self.objects: dict[str, Object] = {}
        self.applied: dict[str, Object] = {}
        self._phase = phase

    def apply(self, obj: Object, *, dry_run: bool) -> Object:
        assert not dry_run
        if obj["kind"] == "Job":
            done = {"Succeeded": "Complete", "Failed": "Failed"}.get(self._phase, "Suspended")
            obj = obj | {"status": {"conditions": [{"type": done, "status": "True"}]}}
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


def test_a_refusal_is_told_in_the_programs_own_words() -> None:
    cluster = FakeCluster("Failed")
    with pytest.raises(ApplicationError) as refused:
        _run(cluster)
    assert str(refused.value).splitlines() == [
        "prometheus: the configuration is refused, and nothing was changed.",
        "Checking prometheus.yml",
        "  FAILED: parse error: unexpected identifier",
    ]
    assert cluster.objects == {}


def test_a_good_configuration_leaves_nothing_behind() -> None:
    cluster = FakeCluster()
    _run(cluster)
    assert cluster.objects == {}
    assert {
        name: base64.b64decode(data).decode() for name, data in cluster.applied["Secret"]["data"].items()
    } == FILES


def test_a_check_that_does_not_run_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_waiting, "_POLL", 0)
    cluster = FakeCluster("Pending")
    with pytest.raises(ApplicationError, match="not rolled out after 0 s"):
        _run(cluster)
    assert cluster.objects == {}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("ConfigMap", FILES),
        ("Secret", {name: base64.b64encode(text.encode()).decode() for name, text in FILES.items()}),
    ],
)
def test_what_is_in_the_cluster_is_read_as_the_files_that_it_was(kind: str, data: dict[str, str]) -> None:
    cluster = FakeCluster()
    assert live_files(cast(Cluster, cluster), {"kind": kind}) is None
    cluster.objects[kind] = {"kind": kind, "data": data}
    assert live_files(cast(Cluster, cluster), {"kind": kind}) == FILES


@pytest.mark.parametrize(
    ("live", "initially", "checked"),
    [(None, True, True), (None, False, False), (FILES, True, False), ({"a.yml": "groups: [b]"}, False, True)],
)
def test_only_what_is_not_in_the_cluster_is_checked(
    monkeypatch: pytest.MonkeyPatch, live: dict[str, str] | None, initially: bool, checked: bool
) -> None:
    cluster = FakeCluster()
    if live is not None:
        cluster.objects["ConfigMap"] = {"kind": "ConfigMap", "data": live}
    ran: list[Check] = []
    monkeypatch.setattr(check_configuration, "Cluster", lambda _kubeconfig: cluster)
    monkeypatch.setattr(check_configuration, "run", lambda _cluster, check, _timeout: ran.append(check))
    check_configuration._check(
        "kubeconfig",
        {"kind": "ConfigMap", "namespace": "monitoring", "name": "prometheus"},
        timeout=300,
        initially=initially,
        application="prometheus",
        image="i",
        command=["promtool"],
        files=FILES,
    )
    assert bool(ran) is checked
