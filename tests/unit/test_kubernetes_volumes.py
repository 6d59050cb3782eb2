"""A volume tells on which nodes it is."""

from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.volumes import volume_hosts

HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


def rule(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


@pytest.mark.parametrize(
    ("terms", "hosts"),
    [
        ([[rule(HOST, "In", "attic")]], ["attic"]),
        ([[rule(HOST, "In", "attic", "home")]], ["attic", "home"]),
        ([[rule(HOST, "In", "attic")], [rule(HOST, "In", "home")]], ["attic", "home"]),
        ([[rule(ZONE, "In", "west"), rule(HOST, "In", "attic")]], ["attic"]),
        ([[rule(ZONE, "In", "west")]], []),
        ([[rule(HOST, "NotIn", "attic")]], []),
        ([[rule(HOST, "Exists")]], []),
    ],
    ids=["one", "either", "two terms", "with a zone", "only a zone", "anywhere else", "any"],
)
def test_the_hosts_are_those_that_its_affinity_names(
    terms: list[list[dict[str, Any]]], hosts: list[str]
) -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": rules} for rules in terms]}

    assert volume_hosts({"spec": {"nodeAffinity": {"required": required}}}) == hosts


@pytest.mark.parametrize(
    "spec",
    [{}, {"nodeAffinity": {}}, {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchFields": []}]}}}],
    ids=["no affinity", "empty", "no expressions"],
)
def test_a_volume_that_names_no_host_has_none(spec: dict[str, Any]) -> None:
    assert volume_hosts({"spec": spec}) == []
