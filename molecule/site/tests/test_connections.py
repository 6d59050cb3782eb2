"""The cluster's network enforces the table of connections between all pairs of pods."""

import pytest
from testinfra.host import Host

from harness.home import Kubectl
from harness.reachability import Connection, Pod, allowed, reachable, running_pods


@pytest.fixture(scope="module")
def pods(host: Host, kubectl: Kubectl) -> list[Pod]:
    """A pod of each app."""
    return running_pods(host, kubectl)


@pytest.fixture(scope="module")
def connected(host: Host, pods: list[Pod]) -> set[Connection]:
    """All connections that can be made."""
    return reachable(host, pods)


def test_a_pod_cannot_connect_where_the_table_does_not_allow_it(
    pods: list[Pod], connected: set[Connection]
) -> None:
    assert sorted(connected - set(allowed(pods))) == []


def test_a_pod_can_connect_where_the_table_allows_it(pods: list[Pod], connected: set[Connection]) -> None:
    assert sorted(set(allowed(pods)) - connected) == []
