"""When a workload counts as rolled out, and what is said of one that is not."""

from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes_rollout import (
    failure,
    troubles,
    unfinished,
)


def a_workload(kind: str, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}


def a_pod(*containers: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"status": {"conditions": [], "containerStatuses": list(containers), **status}}


def a_container(
    state: dict[str, Any], last: dict[str, Any] | None = None, restarts: int = 0
) -> dict[str, Any]:
    last_state = {"terminated": last} if last else {}
    return {"name": "c", "ready": False, "state": state, "lastState": last_state, "restartCount": restarts}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize(
    ("status", "lacks"),
    [
        ({}, "not yet seen by its controller"),
        ({"observedGeneration": 1, "updatedReplicas": 2}, "not yet seen by its controller"),
        ({"observedGeneration": 2}, "0 of 2 replicas updated"),
        ({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2}, "0 of 2 replicas available"),
        (
            {"observedGeneration": 2, "updatedReplicas": 2, "replicas": 3, "availableReplicas": 3},
            "1 replicas of before still running",
        ),
        ({"observedGeneration": 2, "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}, ""),
    ],
)
def test_a_workload_with_replicas(kind: str, status: dict[str, Any], lacks: str) -> None:
    assert unfinished(a_workload(kind, status, replicas=2)) == lacks


def test_a_workload_without_replicas_is_rolled_out() -> None:
    assert unfinished(a_workload("Deployment", {"observedGeneration": 2}, replicas=0)) == ""


@pytest.mark.parametrize(
    ("status", "lacks"),
    [
        ({"desiredNumberScheduled": 1}, "0 of 1 replicas updated"),
        ({"desiredNumberScheduled": 1, "updatedNumberScheduled": 1}, "0 of 1 replicas available"),
        ({"desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberAvailable": 1}, ""),
        ({"desiredNumberScheduled": 0}, ""),
    ],
)
def test_a_daemon_set(status: dict[str, Any], lacks: str) -> None:
    assert unfinished(a_workload("DaemonSet", {"observedGeneration": 2, **status})) == lacks


@pytest.mark.parametrize(
    ("conditions", "lacks", "failed"),
    [
        ([], "not complete", ""),
        ([{"type": "Complete", "status": "True"}], "", ""),
        (
            [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}],
            "not complete",
            "BackoffLimitExceeded: too often",
        ),
    ],
)
def test_a_job(conditions: list[dict[str, str]], lacks: str, failed: str) -> None:
    job = a_workload("Job", {"conditions": conditions})
    assert (unfinished(job), failure(job)) == (lacks, failed)


def test_a_ready_pod_is_in_no_trouble() -> None:
    assert not list(troubles(a_pod({"name": "c", "ready": True, "state": {"running": {}}})))


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError"])
def test_an_image_that_does_not_come_is_hopeless_before_long(reason: str) -> None:
    waiting = {"waiting": {"reason": reason, "message": "no such image"}}
    [trouble] = troubles(a_pod(a_container(waiting)))
    assert str(trouble) == f"container c: {reason}: no such image"
    assert trouble.patience is not None
    assert 0 < trouble.patience < 60


def test_a_container_being_created_may_take_its_time() -> None:
    [trouble] = troubles(a_pod(a_container({"waiting": {"reason": "ContainerCreating"}})))
    assert trouble.patience is None


@pytest.mark.parametrize(("restarts", "patience"), [(0, None), (1, None), (2, 0.0), (9, 0.0)])
def test_the_third_crash_is_one_too_many(restarts: int, patience: float | None) -> None:
    ended = {"exitCode": 3, "reason": "Error"}
    crashed = a_container({"terminated": ended}, restarts=restarts)
    waits = a_container({"waiting": {"reason": "CrashLoopBackOff"}}, last=ended, restarts=restarts)
    for container in (crashed, waits):
        [trouble] = troubles(a_pod(container))
        assert trouble.patience == patience
        assert trouble.crashed
        assert "exit code 3" in str(trouble)


def test_too_little_memory_is_called_so() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    [trouble] = troubles(
        a_pod(a_container({"waiting": {"reason": "CrashLoopBackOff"}}, last=ended, restarts=4))
    )
    assert "OOMKilled, it used more memory than its limit (exit code 137), 4 restarts" in str(trouble)


def test_a_container_that_runs_but_is_not_ready() -> None:
    [trouble] = troubles(a_pod(a_container({"running": {}})))
    assert str(trouble) == "container c: NotReady: running, but not ready"
    assert trouble.patience is None


def test_a_pod_no_node_takes() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"}
    [trouble] = troubles({"status": {"phase": "Pending", "conditions": [condition]}})
    assert str(trouble) == "Unschedulable: no memory"


def test_a_failing_init_container_is_named() -> None:
    init = a_container({"waiting": {"reason": "ErrImagePull"}}) | {"name": "init"}
    waits = a_container({"waiting": {"reason": "PodInitializing"}})
    reasons = [(t.container, t.reason) for t in troubles(a_pod(waits, initContainerStatuses=[init]))]
    assert reasons == [("init", "ErrImagePull"), ("c", "PodInitializing")]


def test_a_pod_that_did_its_work_is_in_no_trouble() -> None:
    done = a_container({"terminated": {"exitCode": 0}})
    assert not list(troubles(a_pod(done, phase="Succeeded")))
