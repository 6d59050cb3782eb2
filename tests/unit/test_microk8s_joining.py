"""Who may join, stay, leave and be forgotten, and what a node is given."""

from collections.abc import Iterable
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import joining
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.problem import Problem

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


def node(name: str, address: str = "192.0.2.2", *, ready: bool = True, host: str = "") -> dict[str, Any]:
    """Return a node, which the founder has recorded as a host of the inventory, or not."""
    state = {"ready": ready, "reason": "Kubelet stopped posting", "worker": True}
    return {"name": name, "address": address, "host": host, **state}


def known(**changes: Any) -> dict[str, Any]:
    """Return the node that the founder has recorded as the host of all these tests."""
    return node("attic", host="attic") | changes


def cluster(*nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"member": FOUNDER, "nodes": [node("home", "192.0.2.1"), *nodes], "volumes": [], **changes}


def texts(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("member", "nodes", "reason"),
    [
        (WORKER, [known()], ""),
        (FRESH, [], "it is not part of the cluster"),
        (FRESH | {"joining": True}, [], "an earlier attempt to join was interrupted"),
        (WORKER | {"joining": True}, [node("attic", ready=False)], "an earlier attempt to join was inter"),
        (WORKER, [], "the cluster has forgotten it"),
        # It has joined, and the run ended before the founder recorded it.
        (WORKER, [node("attic")], ""),
        (WORKER | {"joining": True}, [node("attic")], ""),
        (WORKER, [node("attic", ready=False)], "the cluster does not know it yet"),
        (FRESH, [node("shed", "192.0.2.3", host="shed")], "it is not part of the cluster"),
    ],
)
def test_a_host_joins_until_the_founder_knows_it(
    member: dict[str, Any], nodes: list[dict[str, Any]], reason: str
) -> None:
    found = joining.why_join(member, cluster(*nodes), "attic")
    assert found[: len(reason) or None] == reason


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize(
    "claim",
    [
        WORKER | {"joining": True},
        WORKER | {"servers": ["192.0.2.9"]},
        WORKER | {"servers": []},
        WORKER | {"authority": "theirs"},
        WORKER | {"node": "shed"},
        WORKER | {"node": "new", "addresses": ["192.0.2.99"]},
        FRESH,
        FRESH | {"joining": True, "node": "new", "addresses": ["192.0.2.99"]},
    ],
)
def test_a_member_gets_no_token_whatever_it_says(claim: dict[str, Any], ready: bool) -> None:
    nodes = [known(ready=ready, address="192.0.2.77"), node("shed", "192.0.2.3", host="shed")]
    assert joining.why_join(claim, cluster(*nodes), "attic") == ""


@pytest.mark.parametrize(
    ("member", "nodes", "found"),
    [
        (WORKER, [known()], "attic"),
        (WORKER | {"node": "shed"}, [known(), node("shed", host="shed")], "attic"),
        (FRESH | {"node": "home", "addresses": ["192.0.2.1"]}, [known()], "attic"),
        # Nothing is recorded yet.
        (WORKER, [node("attic")], "attic"),
        (WORKER, [node("attic", "192.0.2.9")], "attic"),
        (FRESH, [node("attic")], "attic"),
        (FRESH, [node("attic", "192.0.2.9")], ""),
        (WORKER, [], ""),
        (WORKER | {"node": "shed"}, [node("shed", host="shed")], ""),
        (FRESH | {"node": "home"}, [], ""),
        (WORKER | {"node": "home", "addresses": ["192.0.2.1"]}, [], ""),
    ],
)
def test_which_node_a_host_is_says_the_founder(
    member: dict[str, Any], nodes: list[dict[str, Any]], found: str
) -> None:
    assert joining.own_node(member, cluster(*nodes), "attic").get("name", "") == found


@pytest.mark.parametrize(
    ("servers", "astray"), [(["192.0.2.1"], False), (["192.0.2.9", "192.0.2.1"], False), ([], True)]
)
def test_a_worker_looks_for_its_founder_where_it_is(servers: list[str], astray: bool) -> None:
    member = WORKER | {"servers": servers}
    assert joining.is_astray(member, cluster(known())) is astray
    assert not joining.is_astray(member | {"worker": False}, cluster(known()))
    assert not joining.is_astray(member, cluster(known(), member=FOUNDER | {"address": ""}))


@pytest.mark.parametrize(
    ("came", "strangers"),
    [
        ([node("attic")], []),
        ([node("attic"), node("admin", "192.0.2.66")], ["admin"]),
        ([node("attic") | {"worker": False}], ["attic"]),
        ([node("other")], ["other"]),
    ],
)
def test_nobody_else_comes_with_a_worker(came: list[dict[str, Any]], strangers: list[str]) -> None:
    shed = node("shed", "192.0.2.3", host="shed")
    now = cluster(shed, *came)
    own = joining.own_node(WORKER, now, "attic")
    now["nodes"][0]["worker"] = False
    assert joining.strangers(cluster(shed), now, own) == strangers


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
            "it is part of a different cluster than that of home, at 192.0.2.77 -> move what you need of it",
        ),
        (
            FRESH,
            [],
            [node("attic", "192.0.2.9")],
            "its host name is 'attic', the same as that of the node at 192.0.2.9 -> on the host: hostnamectl",
        ),
        (WORKER | {"joining": True, "servers": []}, [], [known()], ""),
        (WORKER, [], [known(ready=False)], ""),
        (
            FRESH,
            [],
            [known(ready=False)],
            "the cluster knows it as the node attic, but it reports that it is no node -> if it was installed"
            " again, forget the node: ansible-playbook playbooks/remove_node.yml -e node=attic;"
            " if nobody did",
        ),
        (
            WORKER | {"authority": "theirs", "joining": True},
            [],
            [known()],
            "the cluster knows it as the node attic, but it reports that it is no node -> ",
        ),
        (
            WORKER | {"node": "shed"},
            [],
            [known(), node("shed", "192.0.2.3", host="shed")],
            "its host name is 'shed', and the cluster knows it as the node attic -> on the host: hostnamectl"
            " set-hostname attic",
        ),
        (
            WORKER | {"node": "shed"},
            [],
            [node("shed", host="shed")],
            "its host name is 'shed', and that node is the host shed of the inventory -> on the host: ",
        ),
        (FRESH | {"node": "x --all"}, [], [], "its host name is 'x --all', which no node can have -> on the"),
        (
            WORKER | {"node": "home", "addresses": ["192.0.2.1"]},
            [],
            [],
            "its host name is 'home', the same as that of the node at 192.0.2.1 -> on the host: hostnamectl",
        ),
    ],
)
def test_what_would_end_another_cluster_is_refused(
    member: dict[str, Any], workloads: list[str], nodes: list[dict[str, Any]], problem: str
) -> None:
    own = {"member": member, "workloads": workloads}
    found = texts(joining.cannot_join(own, cluster(*nodes), "attic", "home"))
    assert [text[: len(problem)] for text in found] == ([problem] if problem else [])


def test_a_worker_of_another_home_cannot_found_one() -> None:
    (problem,) = texts(joining.cannot_found(WORKER, "attic"))
    assert problem.startswith("it is a worker of the cluster at 192.0.2.1, and cannot be the control plane")
    assert texts(joining.cannot_found(FOUNDER, "home")) == []


def test_a_second_control_plane_is_refused_with_the_reason() -> None:
    problem = str(joining.second_control_plane("attic"))
    assert "if one of them stops, the API of MicroK8s 1.34 to 1.36 looks healthy" in problem
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
        "the node shed does not answer (Kubelet stopped posting), so nothing can join -> switch it"
        " on, or forget it: ansible-playbook playbooks/remove_node.yml -e node=shed"
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
