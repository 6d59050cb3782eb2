"""Before MicroK8s is upgraded, it is known what the new version lacks. After it, the same runs as before."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import versions, workloads
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership
from ansible_collections.homeserver.stack.plugins.modules import removed_apis

from harness.rendering import Role

UNAVAILABLE = "Warning: networking.k8s.io/v1beta1 ServiceCIDR is deprecated in v1.34+, unavailable in v1.37+"
DISCOVERED = {
    "groups": [
        {"versions": [{"groupVersion": "apps/v1", "version": "v1"}]},
        {
            "versions": [
                {"groupVersion": "networking.k8s.io/v1", "version": "v1"},
                {"groupVersion": "networking.k8s.io/v1beta1", "version": "v1beta1"},
            ]
        },
        {"versions": [{"groupVersion": "traefik.io/v1alpha1", "version": "v1alpha1"}]},
    ]
}


def _resource(name: str, kind: str, *verbs: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "verbs": verbs}


def _object(name: str, namespace: str = "", **writers: str) -> dict[str, Any]:
    fields = [{"manager": manager, "apiVersion": version} for manager, version in writers.items()]
    place = {"namespace": namespace} if namespace else {}
    return {"metadata": {"name": name, **place, "managedFields": fields}}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any, str], None]:
    """A `microk8s` that answers what it is told to, by the last of its arguments."""
    program = tmp_path / "microk8s"
    program.write_text(
        f"""#!/bin/sh
for last; do :; done
name={tmp_path}/$(echo "$last" | tr '/?=' '___')
cat "$name.warnings" >&2 2>/dev/null
exec cat "$name"
"""
    )
    program.chmod(0o755)
    monkeypatch.setattr(membership, "MICROK8S", str(program))
    monkeypatch.setattr(membership, "is_worker", lambda: False)

    def answer(to: str, content: Any, warning: str = "") -> None:
        file = tmp_path / to.translate(str.maketrans("/?=", "___"))
        file.write_text(json.dumps(content))
        file.with_name(f"{file.name}.warnings").write_text(warning)

    return answer


@pytest.fixture
def served(cluster: Callable[..., None]) -> Callable[..., None]:
    """A cluster that serves a version that 1.37 lacks, and an unstable one of somebody else."""
    cluster("/apis", DISCOVERED)
    listed = [
        _resource("servicecidrs", "ServiceCIDR", "get", "list"),
        _resource("servicecidrs/status", "", "get"),
    ]
    cluster("/apis/networking.k8s.io/v1beta1", {"resources": listed})
    cluster("/apis/traefik.io/v1alpha1", {"resources": [_resource("middlewares", "Middleware", "list")]})
    written = {"kubectl": "traefik.io/v1alpha1"}
    cluster(
        "/apis/traefik.io/v1alpha1/middlewares?limit=500", {"items": [_object("auth", "apps", **written)]}
    )
    return cluster


def _removed(minor: int) -> list[str]:
    return list(removed_apis._removed(minor))


def test_objects_that_somebody_writes_in_a_removed_version_are_named(served: Callable[..., None]) -> None:
    beta = "networking.k8s.io/v1beta1"
    mine = _object("mine", helm=beta, kubectl="networking.k8s.io/v1")
    own = _object("kubernetes", **{"kube-apiserver": beta})
    served(f"/apis/{beta}/servicecidrs?limit=500", {"items": [mine, own]}, UNAVAILABLE)

    assert _removed(37) == [f"ServiceCIDR mine ({beta}, written by helm)"]
    assert _removed(38) == _removed(37)
    assert _removed(36) == []


def test_a_namespace_is_part_of_the_name(served: Callable[..., None]) -> None:
    beta = "networking.k8s.io/v1beta1"
    served(f"/apis/{beta}/servicecidrs?limit=500", {"items": [_object("a", "b", me=beta)]}, UNAVAILABLE)

    assert _removed(37) == [f"ServiceCIDR b/a ({beta}, written by me)"]


def test_an_api_that_does_not_answer_is_no_consent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "microk8s"
    program.write_text("#!/bin/sh\necho connection refused >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(membership, "MICROK8S", str(program))

    with pytest.raises(removed_apis.SilentError, match=r"does not return /apis: connection refused"):
        _removed(37)


@pytest.mark.parametrize(("version", "minor"), [("v1.36.3", 36), ("1.37/stable", 37)])
def test_the_minor_of_a_version_and_of_a_channel(version: str, minor: int) -> None:
    assert versions.minor(version) == minor


def _deployment(name: str, available: int, wanted: int = 2) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "apps", "generation": 1},
        "spec": {"replicas": wanted},
        "status": {
            "observedGeneration": 1,
            "replicas": wanted,
            "updatedReplicas": wanted,
            "availableReplicas": available,
        },
    }


WHERE = "--output=json"


def test_what_runs_and_what_does_not(cluster: Callable[..., None]) -> None:
    cluster(WHERE, {"items": [_deployment("wiki", 2), _deployment("shop", 1)]})

    assert workloads.unready() == {
        "Deployment apps/wiki": "",
        "Deployment apps/shop": "1 of 2 replicas available",
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that only goes on while somebody sleeps."""
    slept: list[float] = []
    monkeypatch.setattr("time.monotonic", lambda: sum(slept))
    monkeypatch.setattr("time.sleep", slept.append)


def test_only_what_ran_before_is_awaited(cluster: Callable[..., None]) -> None:
    cluster(WHERE, {"items": [_deployment("wiki", 2), _deployment("shop", 1)]})

    assert workloads.wait(["Deployment apps/wiki", "Deployment apps/deleted"], 0) == {}


@pytest.mark.usefixtures("clock")
def test_a_bound_counts_from_the_last_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a", "b", "c"]
    answers = [{"Kubernetes' API": "it does not answer"}] * 4
    answers += [dict.fromkeys(names, "0 of 1")] * 4
    answers += [dict.fromkeys(names[:2], "0 of 1")] * 4
    answers += [dict.fromkeys(names[:1], "0 of 1")] * 4
    left = iter(answers)
    monkeypatch.setattr(workloads, "unready", lambda: next(left, {}))

    # 32 s altogether, but never more than 16 without one more that runs.
    assert workloads.wait(names, 18) == {}


@pytest.mark.usefixtures("clock")
def test_what_does_not_run_again_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        workloads, "unready", lambda: {"a": "", "b": "0 of 1 replicas available", "other": "x"}
    )

    assert workloads.wait(["a", "b"], 10) == {"b": "0 of 1 replicas available"}


def _role(tmp_path: Path, **variables: Any) -> Role:
    snap = {"version": "v1.35.4", "revision": "x1", "channel": "1.35/stable"} | variables.pop("snap", {})
    info = {"snaps": {"microk8s": snap}, "upgrade": {}, "member": {"node": "home"}} | variables.pop(
        "info", {}
    )
    return Role("microk8s", tmp_path, _microk8s_info=info, homeserver_bundle="", **variables)


def _channel(name: str) -> dict[str, Any]:
    return {"homeserver_version_overrides": {"microk8s_channel": name}}


@pytest.mark.parametrize(
    ("wanted", "snap", "upgrades"),
    [
        ("1.35/stable", {}, False),
        ("1.36/stable", {}, True),
        ("1.35/candidate", {}, True),
        # After a revert.
        ("1.36/stable", {"channel": "1.36/stable"}, True),
        ("1.36/stable", {"channel": "1.36/stable", "version": "v1.36.3"}, False),
        ("1.36/stable", {"channel": "1.36/stable", "version": "1.36.3"}, False),
        ("1.3/stable", {"channel": "1.3/stable"}, True),
    ],
)
def test_another_channel_or_version_is_an_upgrade(
    tmp_path: Path, wanted: str, snap: dict[str, str], upgrades: bool
) -> None:
    assert _role(tmp_path, snap=snap, **_channel(wanted)).value("_microk8s_is_upgraded") is upgrades


def test_an_upgrade_goes_on_until_it_has_ended(tmp_path: Path) -> None:
    begun = {"version": "v1.35.4", "revision": "x1", "running": ["a"], "drained": False}
    snap = {"channel": "1.36/stable", "version": "v1.36.3"}
    role = _role(tmp_path, snap=snap, info={"upgrade": begun}, **_channel("1.36/stable"))

    assert role.value("_microk8s_is_upgraded")
    assert not role.value("_microk8s_is_outdated")
    assert role.value("_microk8s_before") == begun


def _node(name: str, ready: bool = True, schedulable: bool = True) -> dict[str, Any]:
    return {"name": name, "ready": ready, "schedulable": schedulable}


@pytest.mark.parametrize(
    ("nodes", "drained"),
    [
        ([_node("home")], False),
        ([_node("home"), _node("attic")], True),
        ([_node("home"), _node("attic", ready=False)], False),
        ([_node("home"), _node("attic", schedulable=False)], False),
        # By the owner, who would not expect it to be undone.
        ([_node("home", schedulable=False), _node("attic")], False),
    ],
)
def test_a_node_is_drained_if_another_can_take_its_pods(
    tmp_path: Path, nodes: list[dict[str, Any]], drained: bool
) -> None:
    role = _role(tmp_path, _microk8s_nodes={"nodes": nodes}, _microk8s_workloads={"running": ["a"]})

    expected = {"version": "v1.35.4", "revision": "x1", "running": ["a"], "drained": drained}
    assert role.value("_microk8s_before") == expected
