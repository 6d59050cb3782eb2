"""Every machine answers for the whole home."""

import socket
import uuid
from collections.abc import Iterator

import pytest

from harness.home import Kubectl, eventually
from harness.machines import Machines

NODES = ("molecule", "molecule-2", "molecule-3")

pytestmark = pytest.mark.usefixtures("three")


@pytest.mark.parametrize("node", NODES)
def test_traefik_answers_on_each_node_and_knows_its_client(
    machines: Machines, kubectl: Kubectl, node: str
) -> None:
    mark = uuid.uuid4().hex
    with socket.create_connection((machines.address(node), 443), timeout=10) as connection:
        (own, _) = connection.getsockname()

    assert machines.ask(node, f"workloads/{mark}") == "200"
    (pod,) = [name for name, place in machines.pods("traefik", "traefik").items() if place == node]
    (line,) = kubectl.logged("traefik", "traefik", mark)
    assert line["ClientHost"] == own
    # It was the Traefik of this node.
    assert mark in kubectl(f"-n traefik logs {pod} --since=5m")


def test_every_node_has_one_traefik(machines: Machines) -> None:
    assert sorted(machines.pods("traefik", "traefik").values()) == sorted(NODES)


@pytest.fixture
def cordoned(kubectl: Kubectl) -> Iterator[str]:
    """A node that gets no new pods."""
    kubectl("cordon molecule-2")
    yield "molecule-2"
    kubectl("uncordon molecule-2")


def test_a_cordoned_node_still_gets_a_new_traefik_and_answers(
    machines: Machines, kubectl: Kubectl, cordoned: str
) -> None:
    kubectl("-n traefik rollout restart daemonset/traefik")
    kubectl("-n traefik rollout status daemonset/traefik --timeout=180s")

    assert cordoned in machines.pods("traefik", "traefik").values()
    assert machines.ask(cordoned) == "200"


def test_two_pods_of_an_app_are_on_two_nodes(machines: Machines, kubectl: Kubectl) -> None:
    # Those that ran before the machines joined have not moved.
    kubectl("-n apps rollout restart deployment/hello")
    kubectl("-n apps rollout status deployment/hello --timeout=180s")

    assert eventually(lambda: len(machines.pods("apps", "hello")) == 2, seconds=60)
    assert len(set(machines.pods("apps", "hello").values())) == 2


def test_names_are_resolved_on_the_founder(kubectl: Kubectl) -> None:
    """Where CoreDNS was before others joined; on a worker that dies it would be missed for minutes."""
    (dns,) = kubectl.get("-n kube-system pods -l k8s-app=kube-dns")["items"]

    assert dns["spec"]["nodeName"] == "molecule"
