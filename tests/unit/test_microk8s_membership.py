"""What the files and the API of MicroK8s on a host tell about its cluster."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import host_facts
from ansible_collections.homeserver.stack.plugins.modules import microk8s_cluster, microk8s_join

PROXIED = """
tcp:
  services:
    kube-apiserver:
      loadBalancer:
        servers:
        - address: 192.0.2.1:16443
        - address: "192.0.2.3:16443"
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of MicroK8s, with an authority of its own."""
    monkeypatch.setattr(membership, "DATA", tmp_path)
    monkeypatch.setattr(membership, "DEFAULTS", tmp_path / "default-kubelet")
    monkeypatch.setattr(host_facts, "own_addresses", lambda: ["192.0.2.2"])
    monkeypatch.setattr("socket.gethostname", lambda: "Attic")
    for folder in ("args/traefik", "certs", "var/lock"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "certs/ca.crt").write_text("its own\n")
    return tmp_path


def become_worker(data: Path) -> None:
    (data / "var/lock/clustered.lock").touch()
    (data / "certs/ca.remote.crt").write_text("ours")
    (data / "args/traefik/provider.yaml").write_text(PROXIED)


def test_a_host_without_microk8s_is_part_of_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(membership, "DATA", tmp_path / "missing")
    monkeypatch.setattr(membership, "MICROK8S", str(tmp_path / "missing"))
    found = membership.membership()
    assert (found["worker"], found["joining"], found["authority"], found["servers"]) == (False, False, "", [])
    assert membership.cluster() == {"running": False, "nodes": [], "volumes": [], "pods": []}


def test_a_worker_trusts_the_authority_of_its_founder(data: Path) -> None:
    own = membership.membership()["authority"]
    become_worker(data)
    (data / "var/lock/join-in-progress").touch()
    found = membership.membership()
    assert found["worker"]
    assert found["joining"]
    assert found["servers"] == ["192.0.2.1", "192.0.2.3"]
    assert found["node"] == "attic"
    assert found["authority"] not in ("", own)
    (data / "certs/ca.crt").write_text("ours\n")
    (data / "var/lock/clustered.lock").unlink()
    assert membership.membership()["authority"] == found["authority"], (
        "the founder's own file ends with a newline"
    )


def test_a_worker_is_not_asked_what_only_its_founder_knows(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    become_worker(data)
    monkeypatch.setattr(membership, "MICROK8S", str(data))
    monkeypatch.setattr("subprocess.run", pytest.fail)
    assert not membership.cluster()["running"]


def test_the_datastore_tells_where_members_would_reach_it(data: Path) -> None:
    assert membership.datastore_address() == ""
    backend = data / "var/kubernetes/backend"
    backend.mkdir(parents=True)
    (backend / "info.yaml").write_text("Address: 192.0.2.2:19001\nID: 3297041220608546238\nRole: 0\n")
    assert membership.datastore_address() == "192.0.2.2"


def test_arguments_are_read_in_both_spellings(data: Path) -> None:
    (data / "args/kubelet").write_text('--a=b=c\n--d e\n# --no\n--f\n--g="h<1"\n')
    (data / "default-kubelet").write_text("--a=x\n")
    assert membership.kubelet_arguments() == {
        "present": {"--a": "b=c", "--d": "e", "--f": "", "--g": '"h<1"'},
        "default": {"--a": "x"},
    }


def listing() -> dict[str, Any]:
    affinity = {
        "required": {
            "nodeSelectorTerms": [
                {
                    "matchExpressions": [
                        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["attic"]}
                    ]
                }
            ]
        }
    }
    annotations = {
        "projectcalico.org/IPv4Address": "192.0.2.2/24",
        "projectcalico.org/WireguardPublicKey": "not-a-real-one",
    }
    return {
        "items": [
            {
                "kind": "Node",
                "metadata": {
                    "name": "attic",
                    "annotations": annotations,
                    "labels": {
                        "node.kubernetes.io/microk8s-worker": "microk8s-worker",
                        "node-restriction.kubernetes.io/homeserver-host": "loft",
                    },
                },
                "status": {
                    "conditions": [{"type": "Ready", "status": "Unknown", "message": "stopped posting"}],
                    "addresses": [
                        {"type": "Hostname", "address": "attic"},
                        {"type": "InternalIP", "address": "192.0.2.2"},
                    ],
                    "nodeInfo": {"kubeletVersion": "v1.35.4", "kernelVersion": "6.1.0"},
                },
            },
            {
                "kind": "PersistentVolume",
                "metadata": {"name": "pvc-1"},
                "spec": {
                    "claimRef": {"namespace": "apps", "name": "blog"},
                    "nodeAffinity": affinity,
                    "hostPath": {"path": "/storage/blog"},
                },
            },
            {"kind": "PersistentVolume", "metadata": {"name": "nfs"}, "spec": {}},
            {
                "kind": "Pod",
                "metadata": {"name": "blog", "namespace": "apps"},
                "spec": {"nodeName": "attic"},
                "status": {"phase": "Running", "podIP": "10.1.0.2"},
            },
            {
                "kind": "Pod",
                "metadata": {"name": "calico", "namespace": "kube-system"},
                "spec": {"hostNetwork": True},
                "status": {},
            },
            {
                "kind": "Pod",
                "metadata": {"name": "new", "namespace": "kube-system"},
                "spec": {},
                "status": {"phase": "Pending"},
            },
        ]
    }


def test_the_founder_tells_nodes_volumes_and_pods(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "MICROK8S", str(data))
    answer = subprocess.CompletedProcess([], 0, json.dumps(listing()), "")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: answer)
    found = membership.cluster()
    assert found["running"]
    assert found["nodes"] == [
        {
            "name": "attic",
            "ready": False,
            "reason": "stopped posting",
            "address": "192.0.2.2",
            "schedulable": True,
            "version": "v1.35.4",
            "kernel": "6.1.0",
            "calico": "192.0.2.2",
            "encrypts": True,
            "worker": True,
            "host": "loft",
        }
    ]
    assert found["volumes"] == [
        {"name": "pvc-1", "claim": "apps/blog", "node": "attic", "path": "/storage/blog"},
        {"name": "nfs", "claim": "nfs", "node": "", "path": ""},
    ]
    assert [pod["name"] for pod in found["pods"]] == ["blog", "new"]
    assert [pod["runs"] for pod in found["pods"]] == [True, False]
    assert membership.workloads(found["pods"]) == ["apps"]


@pytest.mark.parametrize(
    ("params", "lacking"),
    [
        ({}, ""),
        ({"answers": True, "running": False}, "MicroK8s does not answer -> "),
        ({"answers": True}, ""),
        ({"ready": "attic"}, ""),
        ({"ready": "shed"}, "the node shed is not ready: no network"),
        ({"ready": "garage"}, "the node garage has not registered"),
        ({"gone": "garage"}, ""),
        ({"gone": "shed"}, "the cluster still has the node shed"),
        ({"encrypting": True, "running": False}, "MicroK8s does not answer -> "),
        ({"encrypting": True}, "Calico has published no WireGuard key of cellar (kernel 4.19.0), which "),
        ({"encrypting": True, "plain": []}, ""),
    ],
)
def test_what_is_awaited_is_told(params: dict[str, Any], lacking: str) -> None:
    asked = {"answers": False, "ready": "", "gone": "", "encrypting": False, "plain": ["cellar"], **params}
    nodes = [
        {"name": "attic", "ready": True, "reason": ""},
        {"name": "cellar", "ready": True, "reason": ""},
        {"name": "shed", "ready": False, "reason": "no network"},
    ]
    for node in nodes:
        node |= {"kernel": "4.19.0", "encrypts": node["name"] not in [*asked["plain"], "shed"]}
    found = microk8s_cluster._lacking({"running": asked.pop("running", True), "nodes": nodes}, asked)
    assert found[: len(lacking) or None] == lacking


SNAP = """#!/bin/bash
# As snapd does: a shell in the environment of the snap.
[ "$1 $2 $3" = "run --shell microk8s.join" ] || exit 99
SNAP={snap} exec /bin/bash "${{@:4}}"
"""
UTILS = "use_snap_env() { export PYTHONPATH=/nowhere; }\n"
JOIN = """
import os, pathlib, sys
import beside
seen = "".join(pathlib.Path(f"/proc/{pid}/cmdline").read_text() for pid in ("self", os.getppid()))
environment = "".join(os.environ.values())
print("Contacting cluster at", sys.argv[1])
assert sys.argv[1] not in seen + environment
assert sys.argv[2:] == ["--worker"] and sys.argv[0].endswith("/join.py") and __name__ == "__main__"
sys.exit(beside.CODE)
"""
URL = f"192.0.2.1:25000/{'0a' * 16}/0123456789ab"


@pytest.fixture
def snap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A snap with MicroK8s' layout, and the command snap."""
    tree = tmp_path / "snap"
    for folder in ("actions/common", "scripts/wrappers"):
        (tree / folder).mkdir(parents=True)
    (tree / "actions/common/utils.sh").write_text(UTILS)
    (tree / "scripts/wrappers/join.py").write_text(JOIN)
    (tree / "scripts/wrappers/beside.py").write_text("CODE = 0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/snap").write_text(SNAP.format(snap=tree))
    (tmp_path / "bin/snap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tree


@pytest.mark.usefixtures("snap")
def test_the_token_is_in_no_command_line_and_no_environment() -> None:
    assert microk8s_join._join(URL, 30) == ""


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (1, "does the founder's port 25000 answer from here?"),
        (4, "another machine answers at the founder's address"),
        (6, "the token was used or withdrawn meanwhile"),
        (7, "run this again"),
    ],
)
def test_a_failed_join_is_told_without_the_token(snap: Path, code: int, cause: str) -> None:
    (snap / "scripts/wrappers/beside.py").write_text(f"CODE = {code}")
    told = microk8s_join._join(URL, 30)
    assert told.startswith(
        f"joining failed with exit code {code}: Contacting cluster at 192.0.2.1:25000/(hidden)/(hidden) -> "
    )
    assert cause in told


def test_a_join_that_is_killed_is_told_and_to_be_repeated(snap: Path) -> None:
    killed = "import os; print('Contacting', flush=True); os.kill(os.getpid(), 9)"
    (snap / "scripts/wrappers/join.py").write_text(killed)
    told = microk8s_join._join(URL, 30)
    assert told.startswith("joining was ended by SIGKILL: Contacting -> run this again")


def test_of_a_trace_only_the_error_is_told() -> None:
    trace = f'Contacting\n\nTraceback (most recent call last):\n  File "join.py"\n    {URL}\nOSError: no\n'
    assert microk8s_join.without_tokens(trace) == "Contacting Traceback (most recent call last): OSError: no"


def test_a_join_that_takes_too_long_is_ended(snap: Path) -> None:
    (snap / "scripts/wrappers/join.py").write_text("import time; time.sleep(60)")
    assert microk8s_join._join(URL, 1) == (
        "joining takes more than 1 s (microk8s_join_timeout_seconds) -> run this again"
    )
