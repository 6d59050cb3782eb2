"""When a workload counts as rolled out, and how one that does not is described."""

import json
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.rollout import (
    failure,
    troubles,
    unfinished,
)


def a_workload(kind: str, status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status}


CRASHED = {"exitCode": 3, "reason": "Error"}


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
            "1 old replicas still running",
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


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
@pytest.mark.parametrize(
    ("message", "least", "most"),
    [
        ('failed to resolve reference "docker.io/x/y:1": docker.io/x/y:1: not found', 10, 60),
        ("unexpected status from HEAD request to https://r/v2/x/manifests/1: 401 Unauthorized", 10, 60),
        ("pull access denied, repository does not exist or may require authorization", 10, 60),
        ("failed to do request: Head https://r: dial tcp: lookup r on 1.1.1.1:53: no such host", 10, 60),
        ("unexpected status from HEAD request to https://r/v2/x: 503 Service Unavailable", 300, 1200),
        ("failed to copy: httpReadSeeker: failed open: context canceled", 300, 1200),
        ("dial tcp 10.0.0.1:443: i/o timeout", 300, 1200),
        ("toomanyrequests: You have reached your pull rate limit", 300, 1200),
        ("", 300, 1200),
    ],
)
def test_a_failing_pull_may_last_minutes_unless_it_is_hopeless(
    reason: str, message: str, least: float, most: float
) -> None:
    [trouble] = troubles(a_pod(a_container({"waiting": {"reason": reason, "message": message}})))
    assert trouble.patience is not None
    assert least < trouble.patience < most


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "docker.io/x/y@sha256:12: not found",
            "ErrImagePull docker.io/x/y:1@sha256:12: docker.io/x/y@sha256:12: not found",
        ),
        ("docker.io/x/y:1@sha256:12: not found", "ErrImagePull: docker.io/x/y:1@sha256:12: not found"),
    ],
)
def test_the_image_is_named_with_its_tag(message: str, expected: str) -> None:
    container = a_container({"waiting": {"reason": "ErrImagePull", "message": message}})
    [trouble] = troubles(a_pod(container | {"image": "docker.io/x/y:1@sha256:12"}))
    assert str(trouble) == f"container c: {expected}"


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "InvalidImageName"])
def test_other_trouble_is_hopeless_soon(reason: str) -> None:
    [trouble] = troubles(a_pod(a_container({"waiting": {"reason": reason, "message": "so it is"}})))
    assert str(trouble) == f"container c: {reason}: so it is"
    assert trouble.patience is not None
    assert 0 < trouble.patience < 60


def test_a_container_being_created_may_take_its_time() -> None:
    [trouble] = troubles(a_pod(a_container({"waiting": {"reason": "ContainerCreating"}})))
    assert trouble.patience is None


@pytest.mark.parametrize("state", [{"waiting": {"reason": "CrashLoopBackOff"}}, {"terminated": CRASHED}])
@pytest.mark.parametrize(("restarts", "patience"), [(0, None), (1, None), (2, 0.0), (9, 0.0)])
def test_the_third_crash_is_one_too_many(
    state: dict[str, Any], restarts: int, patience: float | None
) -> None:
    """Also while the kubelet does not call it a loop yet."""
    [trouble] = troubles(a_pod(a_container(state, last=CRASHED, restarts=restarts)))
    assert trouble.patience == patience
    assert trouble.crashed
    assert "exit code 3" in str(trouble)


@pytest.mark.parametrize(
    "state",
    [
        {"waiting": {"reason": "PodInitializing"}},
        {"waiting": {"reason": "CrashLoopBackOff"}},
        {"terminated": {"exitCode": 255, "reason": "Unknown"}},
        {"terminated": CRASHED},
    ],
)
def test_a_container_that_reboots_ended_may_take_its_time(state: dict[str, Any]) -> None:
    ended = {"exitCode": 255, "reason": "Unknown"}
    [trouble] = troubles(a_pod(a_container(state, last=ended, restarts=9)))
    assert trouble.patience is None


def test_names_too_little_memory() -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    [trouble] = troubles(
        a_pod(a_container({"waiting": {"reason": "CrashLoopBackOff"}}, last=ended, restarts=4))
    )
    assert "OOMKilled, it used more memory than its limit (exit code 137), 4 restarts" in str(trouble)


def test_a_container_that_runs_but_is_not_ready() -> None:
    [trouble] = troubles(a_pod(a_container({"running": {}})))
    assert str(trouble) == "container c: NotReady: running, but not ready"
    assert trouble.patience is None


def test_a_pod_that_fits_on_no_node() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"}
    [trouble] = troubles({"status": {"phase": "Pending", "conditions": [condition]}})
    assert str(trouble) == "Unschedulable: no memory"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("1 Insufficient homeserver.stack/ttyUSB0. no new claims", "it waits for /dev/ttyUSB0, which no"),
        (
            "1 Insufficient homeserver.stack/dri, 1 Insufficient homeserver.stack/ttyUSB0.",
            "it waits for /dev/ttyUSB0 and /dev/dri, which no server has",
        ),
        ("1 Insufficient homeserver.stack/ttyUSB01", "1 Insufficient homeserver.stack/ttyUSB01"),
        ("1 Insufficient memory", "1 Insufficient memory"),
    ],
)
def test_a_missing_device_has_its_own_name(message: str, told: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    wanted = {"homeserver.stack/ttyUSB0": "/dev/ttyUSB0", "homeserver.stack/dri": "/dev/dri"}
    metadata = {"annotations": {"homeserver.stack/devices": json.dumps(wanted)}}
    [trouble] = troubles({"metadata": metadata, "status": {"phase": "Pending", "conditions": [condition]}})
    assert trouble.message.startswith(told)
    assert message in trouble.message


def test_a_failing_init_container_is_named() -> None:
    init = a_container({"waiting": {"reason": "ErrImagePull"}}) | {"name": "init"}
    waits = a_container({"waiting": {"reason": "PodInitializing"}})
    reasons = [(t.container, t.reason) for t in troubles(a_pod(waits, initContainerStatuses=[init]))]
    assert reasons == [("init", "ErrImagePull"), ("c", "PodInitializing")]


def test_a_succeeded_pod_is_in_no_trouble() -> None:
    done = a_container({"terminated": {"exitCode": 0}})
    assert not list(troubles(a_pod(done, phase="Succeeded")))
