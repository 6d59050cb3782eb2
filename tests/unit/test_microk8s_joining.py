"""Who may join, stay, leave and be forgotten, and what a node is given."""

from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import joining
from ansible_collections.homeserver.stack.plugins.module_utils.problem import Problem

FOUNDER: dict[str, Any] = {
    "node": "home",
    "addresses": ["192.0.2.1"],
    "worker": False,
    "joining": False,
    "authority": "ours",
    "servers": [],
    "address": "192.0.2.1",
}
WORKER: dict[str, Any] = FOUNDER | {
    "node": "attic",
    "addresses": ["192.0.2.2"],
    "worker": True,
    "servers": ["192.0.2.1"],
    "address": "",
}
FRESH = WORKER | {"worker": False, "authority": "its own", "servers": []}


def node(name: str, address: str = "192.0.2.2", *, ready: bool = True) -> dict[str, Any]:
    return {"name": name, "address": address, "ready": ready, "reason": "Kubelet stopped posting"}


def cluster(*nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"member": FOUNDER, "nodes": [node("home", "192.0.2.1"), *nodes], "volumes": [], **changes}


def texts(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("member", "nodes", "reason"),
    [
        (WORKER, [node("attic")], ""),
        (WORKER, [node("attic", ready=False)], ""),
        (FRESH, [], "it is not part of the cluster"),
        (FRESH | {"joining": True}, [], "it is not part of the cluster"),
        (WORKER | {"joining": True}, [node("attic")], "an earlier attempt to join was interrupted"),
        (WORKER, [], "the cluster has forgotten it"),
        (WORKER | {"servers": []}, [node("attic")], "it looks for the cluster at no address"),
        (
            WORKER | {"servers": ["192.0.2.9"]},
            [node("attic")],
            "it looks for the cluster at 192.0.2.9",
        ),
    ],
)
def test_a_host_joins_until_it_is_part_of_the_cluster(
    member: dict[str, Any], nodes: list[dict[str, Any]], reason: str
) -> None:
    assert joining.why_join(member, cluster(*nodes)) == reason


@pytest.mark.parametrize(
    ("member", "workloads", "nodes", "problem"),
    [
        (FRESH, [], [], ""),
        (WORKER, [], [node("attic")], ""),
        # It has got another address, and its node is not given up yet.
        (WORKER, [], [node("attic", "192.0.2.9")], ""),
        (WORKER | {"authority": "new", "joining": True}, [], [], ""),
        (FRESH | {"joining": True}, [], [node("attic", "192.0.2.2", ready=False)], ""),
        (FRESH, [], [node("attic", "192.0.2.9", ready=False)], ""),
        (
            FRESH,
            ["apps", "db"],
            [],
            "it has a cluster of its own, with workloads in apps, db -> move what you need of it, then remove"
            " that: ansible-playbook playbooks/microk8s.yml -e microk8s_state=absent"
            " -e microk8s_confirm_removal=attic --limit attic",
        ),
        (
            WORKER | {"authority": "theirs", "servers": ["192.0.2.77"]},
            [],
            [],
            "it is part of another cluster than that of home, at 192.0.2.77 -> move what you need of it",
        ),
        (
            FRESH,
            [],
            [node("attic", "192.0.2.9")],
            "its host name is 'attic', as is that of the node at 192.0.2.9 -> on the host: hostnamectl",
        ),
    ],
)
def test_what_would_end_another_cluster_is_refused(
    member: dict[str, Any], workloads: list[str], nodes: list[dict[str, Any]], problem: str
) -> None:
    own = {"member": member, "workloads": workloads}
    found = texts(joining.cannot_join(own, cluster(*nodes), "attic", "home"))
    assert [text[: len(problem)] for text in found] == ([problem] if problem else [])


@pytest.mark.parametrize(
    ("member", "nodes", "belongs"),
    [
        (WORKER, [node("attic")], True),
        (WORKER, [node("attic", "192.0.2.9")], True),
        (FRESH, [node("attic")], True),
        (FRESH, [node("attic", "192.0.2.9")], False),
        (WORKER, [], False),
        (FRESH | {"node": "home"}, [], False),
        (FRESH | {"node": "home", "addresses": ["192.0.2.1"]}, [], False),
    ],
)
def test_a_namesake_is_no_member(member: dict[str, Any], nodes: list[dict[str, Any]], belongs: bool) -> None:
    assert joining.is_member(member, cluster(*nodes)) is belongs


def test_a_worker_of_another_home_cannot_found_one() -> None:
    (problem,) = texts(joining.cannot_found(WORKER, "attic"))
    assert problem.startswith("it is a worker of the cluster at 192.0.2.1, and cannot be the control plane")
    assert texts(joining.cannot_found(FOUNDER, "home")) == []


def test_a_second_control_plane_is_refused_with_the_reason() -> None:
    problem = str(joining.second_control_plane("attic"))
    assert "when one of them stops, the API of MicroK8s 1.34 to 1.36 looks healthy" in problem
    assert "-> move attic to the group workers" in problem


@pytest.mark.parametrize(
    ("wanted", "founders", "fits"),
    [("1.35/stable", "v1.35.4", True), ("1.36/stable", "v1.35.4", False), ("v1.34.9", "1.35/stable", False)],
)
def test_both_have_the_same_minor_version(wanted: str, founders: str, fits: bool) -> None:
    found = texts(joining.other_minor(wanted, founders, "home"))
    assert (found == []) is fits
    assert fits or f"it would join with MicroK8s {wanted}, and home has {founders} (homeserver_" in found[0]


def test_a_dead_member_is_named_before_another_joins() -> None:
    nodes = [node("home"), node("shed", ready=False), node("attic", ready=False)]
    assert texts(joining.dead_members(nodes, ["home", "attic"])) == [
        "the node shed does not answer (Kubelet stopped posting), and nothing joins beside it -> switch it"
        " on, or forget it: ansible-playbook playbooks/forget.yml -e node=shed"
    ]


def test_a_node_that_the_inventory_lacks_is_told() -> None:
    nodes = [node("home", "192.0.2.1"), node("shed", "192.0.2.3"), node("attic", "192.0.2.4")]
    (found,) = texts(joining.unknown_nodes(nodes, {"home"}, {"192.0.2.4"}))
    assert found.startswith("the node shed (192.0.2.3) is in the cluster and not in the inventory -> add it")


VOLUMES = [
    {"claim": "apps/blog-data", "node": "attic"},
    {"claim": "apps/wiki-data", "node": "attic"},
    {"claim": "logging/data", "node": "home"},
]


def test_data_that_only_a_leaving_node_has_are_kept_unless_they_are_named() -> None:
    assert joining.lost_volumes(VOLUMES, "attic", []) == ["apps/blog-data", "apps/wiki-data"]
    abandoned = ["apps/blog-data", "logging/data"]
    (problem,) = texts(joining.would_lose(joining.lost_volumes(VOLUMES, "attic", abandoned), "attic"))
    assert problem == (
        "the data of apps/wiki-data are on attic and nowhere else -> save what you need; to give it up:"
        """ -e '{"microk8s_abandon_volumes": ["apps/wiki-data"]}'"""
    )
    assert joining.given_up(VOLUMES, "attic", abandoned) == VOLUMES[:1]


@pytest.mark.parametrize(
    ("name", "nodes", "problem"),
    [
        ("attic", [node("attic", ready=False)], ""),
        ("attik", [node("attic")], "the cluster has no node 'attik' (node) -> name one of its nodes: attic"),
        ("", [], "the cluster has no node '' (node) -> name one of its nodes: none but the founder"),
        ("home", [], "home is the control plane (node) -> "),
        ("attic", [node("attic")], "attic is alive (node) -> let it leave"),
    ],
)
def test_only_a_dead_node_is_forgotten(name: str, nodes: list[dict[str, Any]], problem: str) -> None:
    found = texts(joining.cannot_forget(name, cluster(*nodes), "home", []))
    assert [text[: len(problem)] for text in found] == ([problem] if problem else [])


def test_a_dead_node_with_data_is_forgotten_only_with_them() -> None:
    dead = cluster(node("attic", ready=False), volumes=VOLUMES)
    (problem,) = texts(joining.cannot_forget("attic", dead, "home", ["apps/blog-data"]))
    assert problem.startswith("the data of apps/wiki-data are on attic")
    assert texts(joining.cannot_forget("attic", dead, "home", ["apps/blog-data", "apps/wiki-data"])) == []


def test_a_founder_with_workers_is_not_removed() -> None:
    (problem,) = texts(joining.workers_left([node("home"), node("attic"), node("shed")], "home"))
    assert problem.startswith("attic, shed would be left without a control plane -> let each leave first")
    assert texts(joining.workers_left([node("home")], "home")) == []


SYSTEM = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}
OURS = {"key": "only", "value": "db", "effect": "NoSchedule"}


def kubernetes_node(patch: dict[str, Any] | None = None, **labels: str) -> dict[str, Any]:
    """Return a node to which a patch was applied."""
    given = patch or {}
    metadata = given.get("metadata", {})
    merged = {"system": "1", **labels} | metadata.get("labels", {})
    return {
        "metadata": {
            "resourceVersion": "7",
            "labels": {name: value for name, value in merged.items() if value is not None},
            "annotations": metadata.get("annotations", {}),
        },
        "spec": {"taints": given.get("spec", {}).get("taints", [SYSTEM])},
    }


def test_a_node_gets_labels_and_taints_and_keeps_those_of_others() -> None:
    patch = joining.node_patch(kubernetes_node(), {"disk": "large"}, [OURS])
    assert patch["metadata"]["labels"] == {"disk": "large"}
    assert patch["metadata"]["resourceVersion"] == "7"
    assert patch["spec"] == {"taints": [SYSTEM, OURS]}
    assert joining.node_patch(kubernetes_node(patch), {"disk": "large"}, [OURS]) == {}


def test_a_node_loses_what_was_removed_from_the_inventory() -> None:
    before = kubernetes_node(
        joining.node_patch(kubernetes_node(), {"disk": "large", "room": "attic"}, [OURS])
    )
    patch = joining.node_patch(before, {"room": "attic"}, [])
    assert patch["metadata"]["labels"] == {"disk": None}
    assert patch["spec"] == {"taints": [SYSTEM]}
    after = kubernetes_node(patch, room="attic")
    assert joining.node_patch(after, {"room": "attic"}, []) == {}
    assert joining.node_patch(after, {}, [])["metadata"]["labels"] == {"room": None}


def test_a_node_that_is_to_have_nothing_is_left_alone() -> None:
    assert joining.node_patch(kubernetes_node(), {}, []) == {}


def test_a_taint_with_another_value_replaces_the_first() -> None:
    before = kubernetes_node(joining.node_patch(kubernetes_node(), {}, [OURS]))
    changed = OURS | {"value": "cache"}
    assert joining.node_patch(before, {}, [changed])["spec"] == {"taints": [SYSTEM, changed]}
