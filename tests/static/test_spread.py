"""Where pods run in a home of several machines, and how soon they leave one that is dead."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness import rendering
from harness.manifests import Object, name_of, of, pods
from harness.rendering import ROOT, find

# What has data on its node, by a volume or a path of the host, and waits for it.
STAYS = {
    "CronJob disk-cleanup/disk-cleanup",
    "Deployment apps/db",
    "Deployment monitoring/grafana",
    "Deployment traefik/traefik",  # with ACME
    "StatefulSet logging/elasticsearch",
    "StatefulSet logging/logstash",
    "StatefulSet monitoring/alertmanager",
    "StatefulSet monitoring/prometheus",
}
SOON = {"node.kubernetes.io/not-ready": 20, "node.kubernetes.io/unreachable": 20}


@pytest.fixture
def several(objects_of: Callable[[str], list[Object]]) -> list[Object]:
    """The objects of a home of three machines."""
    return objects_of("several")


def _patience(pod: Object) -> dict[str, int]:
    return {
        each["key"]: each["tolerationSeconds"]
        for each in pod.get("tolerations", [])
        if "tolerationSeconds" in each
    }


def test_a_pod_leaves_a_dead_node_soon_unless_it_has_data_there(objects: list[Object]) -> None:
    for name, pod in pods(objects):
        assert _patience(pod) == ({} if name in STAYS or name.startswith("DaemonSet ") else SOON), name


def test_a_daemonset_is_on_every_node(objects: list[Object]) -> None:
    for name, pod in pods(of(objects, "DaemonSet")):
        assert pod["tolerations"] == [{"operator": "Exists"}], name
        assert not pod.keys() & {"affinity", "nodeSelector"}, name


def test_pods_of_an_app_share_a_node_only_if_they_must(objects: list[Object]) -> None:
    for app in of(objects, "Deployment"):
        if app["metadata"]["namespace"] == "apps":
            (spread,) = app["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert (spread["topologyKey"], spread["maxSkew"]) == ("kubernetes.io/hostname", 1)
            # A pod that waited for a node that is down, or full, would serve nobody.
            assert spread["whenUnsatisfiable"] == "ScheduleAnyway", name_of(app)
            # Those that are being replaced do not count.
            assert spread["matchLabelKeys"] == ["pod-template-hash"]
            assert spread["labelSelector"] == app["spec"]["selector"]


def test_three_elasticsearch_are_apart(several: list[Object]) -> None:
    spec = find(several, "StatefulSet", "elasticsearch")["spec"]
    ((preferred,),) = spec["template"]["spec"]["affinity"]["podAntiAffinity"].values()
    term = preferred["podAffinityTerm"]

    assert spec["replicas"] == 3
    assert term == {"topologyKey": "kubernetes.io/hostname", "labelSelector": spec["selector"]}
    assert "NODE_NAME" in {each["name"] for each in spec["template"]["spec"]["containers"][0]["env"]}


def test_traefik_is_asked_at_every_address(several: list[Object]) -> None:
    service = find(several, "Service", "traefik")["spec"]

    # The third is a name, whose address Kubernetes knows.
    assert service["externalIPs"] == ["192.168.1.10", "192.168.1.11"]
    assert service["externalTrafficPolicy"] == "Local"
    assert find(several, "DaemonSet", "traefik")


def test_only_nodes_reach_the_tunnels_between_them(tmp_path: Path) -> None:
    """Calico is told the port of WireGuard."""
    encrypt = yaml.safe_load((ROOT / "roles/microk8s/tasks/encrypt.yml").read_text())
    wireguard = encrypt[0]["kubernetes.core.k8s"]["definition"]["spec"]["wireguardListeningPort"]

    assert rendering.Role("firewall", tmp_path).value("_firewall_node_udp_ports") == [4789, wireguard]
