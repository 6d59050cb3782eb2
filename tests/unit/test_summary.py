"""The report at the end of site.yml, and the queries behind it."""

import copy
import http.server
import json
import re
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import http_probe, summary

from harness import tls
from harness.roles import ROOT


def deployment(name: str, image: str, *, wanted: int = 1, ready: int = 1) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"image": image}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {"replicas": wanted, "template": template},
        "status": {"readyReplicas": ready} if ready else {},
    }


def ingress(name: str, *matches: str, service: dict[str, Any]) -> dict[str, Any]:
    routes = [{"match": match, "services": [service]} for match in matches]
    return {"metadata": {"name": name, "namespace": "apps"}, "spec": {"routes": routes}}


HELLO = deployment("hello", "localhost/hello:1.0")
SERVICES = [{"metadata": {"name": "hello", "namespace": "apps"}, "spec": {"selector": {"app": "hello"}}}]


def find(*ingresses: dict[str, Any], workloads: list[dict[str, Any]] | None = None) -> list[summary.Route]:
    return list(summary.find_routes(ingresses, SERVICES, workloads or [HELLO]))


def test_a_route_leads_to_the_workload_behind_its_service() -> None:
    route = ingress("hello", "Host(`hello.home.arpa`)", service={"name": "hello", "port": 80})
    assert find(route) == [summary.Route("hello", "https://hello.home.arpa/", "hello")]


@pytest.mark.parametrize(
    ("namespace", "state"),
    [
        ("apps", "healthy"),
        ("apps-root", "healthy, with the rights of baseline pods"),
        ("apps-host", "healthy, with the rights of privileged pods"),
    ],
)
def test_an_app_that_may_do_more_is_marked(namespace: str, state: str) -> None:
    app = HELLO | {"metadata": {"name": "hello", "namespace": namespace}}
    (row,) = summary.workload_rows([app], [], [], lambda _: "")

    assert (row.state, row.healthy) == (state, True)


@pytest.mark.parametrize(
    ("amounts", "state"),
    [
        (["1", "0"], "healthy"),
        (["0", "0"], "healthy, no server has /dev/ttyUSB0"),
        ([None, None], "healthy, no server has /dev/ttyUSB0"),
    ],
)
def test_a_device_that_no_node_has_is_told(amounts: list[str | None], state: str) -> None:
    app = copy.deepcopy(HELLO)
    told = json.dumps({"homeserver.stack/ttyUSB0": "/dev/ttyUSB0"})
    app["spec"]["template"]["metadata"] = {"annotations": {"homeserver.stack/devices": told}}
    nodes = [
        {"status": {"allocatable": {} if each is None else {"homeserver.stack/ttyUSB0": each}}}
        for each in amounts
    ]
    (row,) = summary.workload_rows([app], [], [], lambda _: "", nodes)

    assert (row.state, row.healthy) == (state, state == "healthy")


def test_a_workload_without_replicas_is_not_probed() -> None:
    resting = deployment("grafana", "g:1", wanted=0, ready=0)
    hello, grafana, nas = (summary.Route(name, f"https://{name}/", name) for name in ("hello", "grafana", ""))

    assert list(summary.served([hello, grafana, nas], [HELLO, resting])) == [hello, nas]


def test_a_host_is_listed_once_with_its_shortest_path() -> None:
    rules = [
        "Host(`t.home.arpa`) && (PathPrefix(`/api`) || PathPrefix(`/dashboard`))",
        "Host(`t.home.arpa`) && Path(`/`)",
    ]
    internal = {"kind": "TraefikService", "name": "api@internal"}
    assert find(ingress("dashboard", *rules, service=internal)) == [
        summary.Route("dashboard", "https://t.home.arpa/", "traefik")
    ]
    assert find(ingress("dashboard", rules[0], service=internal))[0].url == "https://t.home.arpa/api"


def test_a_route_to_another_machine_has_no_workload() -> None:
    route = ingress("route-nas", "Host(`nas.home.arpa`)", service={"name": "route-nas"})
    assert find(route) == [summary.Route("route-nas", "https://nas.home.arpa/", "")]


@pytest.mark.parametrize(
    ("workload", "flaw", "state", "healthy"),
    [
        (HELLO, "", "healthy", True),
        (HELLO, "answers 502", "answers 502", False),
        (deployment("hello", "h:1", wanted=2, ready=1), "", "1 of 2 pods ready", False),
        (deployment("hello", "h:1", ready=0), "", "0 of 1 pods ready", False),
        (deployment("hello", "h:1", wanted=0, ready=0), "answers 503", "not run here (0 replicas)", True),
    ],
)
def test_a_workload_is_healthy_when_its_pods_and_hosts_are(
    workload: dict[str, Any], flaw: str, state: str, healthy: bool
) -> None:
    routes = [summary.Route("hello", "https://hello.home.arpa/", "hello")]
    (row,) = summary.workload_rows([workload], routes, ["/s/hello_admin.password"], lambda _: flaw)
    assert (row.state, row.healthy) == (state, healthy)
    assert (row.url, row.user, row.password_file) == (
        "https://hello.home.arpa/",
        "admin",
        "/s/hello_admin.password",
    )


def test_a_page_behind_the_shared_login_has_its_password() -> None:
    route = ingress("hello", "Host(`hello.home.arpa`)", service={"name": "hello", "port": 80})
    route["spec"]["routes"][0]["middlewares"] = [{"name": "basic-auth", "namespace": "traefik"}]
    secrets = ["/s/hello_admin.password", "/s/traefik_dashboard.password"]
    (row,) = summary.workload_rows([HELLO], find(route), secrets, lambda _: "")
    assert row.password_file == "/s/traefik_dashboard.password"


def test_an_owners_machine_that_is_off_is_listed_but_no_fault() -> None:
    routes = [summary.Route("route-nas", "https://nas.home.arpa/", "")]
    (row,) = summary.foreign_rows(routes, [], lambda _: "answers 504")
    assert (row.component, row.state, row.healthy) == ("nas", "answers 504", True)


def test_an_owners_machine_behind_the_shared_login_has_its_password() -> None:
    routes = [summary.Route("route-nas", "https://nas.home.arpa/", "", shares_login=True)]
    (row,) = summary.foreign_rows(routes, ["secrets/traefik_dashboard.password"], lambda _: "")
    assert (row.user, row.password_file) == ("admin", "secrets/traefik_dashboard.password")


def test_the_cluster_is_healthy_when_its_nodes_and_its_own_workloads_are() -> None:
    def node(ready: str) -> dict[str, Any]:
        info = {"kubeletVersion": "v1.35.4"}
        return {"status": {"nodeInfo": info, "conditions": [{"type": "Ready", "status": ready}]}}

    def deployment(ready: int) -> summary.Object:
        return {
            "kind": "Deployment",
            "metadata": {"name": "coredns"},
            "spec": {"replicas": 1},
            "status": {"readyReplicas": ready},
        }

    assert summary.cluster_row([node("True")], [deployment(1)], "10.0.0.1").healthy
    row = summary.cluster_row([node("True"), node("Unknown")], [], "10.0.0.1")
    assert (row.version, row.state, row.healthy) == ("v1.35.4", "1 of 2 nodes ready", False)
    row = summary.cluster_row([node("True")], [deployment(0)], "10.0.0.1")
    assert (row.state, row.healthy) == ("1 of 1 nodes ready, coredns is not", False)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("docker.io/library/traefik:v3.7.13", "v3.7.13"),
        ("registry:5000/a/b:1", "1"),
        ("registry:5000/a/b", ""),
        ("a/b:2@sha256:00", "2"),
    ],
)
def test_the_version_is_the_images_tag(image: str, version: str) -> None:
    assert summary.version_of(image) == version


def _node(name: str, address: str = "", ready: str = "True", **spec: Any) -> summary.Object:
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-11-2{6 if name == 'home' else 7}T09:00:00Z"},
        "spec": spec,
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.35.4"},
            "capacity": {"memory": "8052352Ki", "ephemeral-storage": "102624184Ki", "pods": "110"},
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "Hostname", "address": name},
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-27T10:00:00Z"},
            ],
        },
    }


def _pod(node: str, phase: str) -> summary.Object:
    return {"spec": {"nodeName": node}, "status": {"phase": phase}}


Amount = summary.Amount
MEMORY, DISK = 8052352 * 1024, 102624184 * 1024
MEASURED = {"node": {"memory": {"workingSetBytes": 3 * 2**30}, "fs": {"usedBytes": 12 * 2**30}}}


def test_a_node_has_its_version_state_memory_disk_and_pods() -> None:
    pods = [_pod("home", phase) for phase in ("Running", "Pending", "Succeeded", "Failed")] + [
        _pod("attic", "Running")
    ]
    rows = summary.node_rows([_node("attic"), _node("home")], pods, {"home": MEASURED}, {})

    assert rows == [
        summary.NodeRow(
            "home", "v1.35.4", "ready", Amount(3 * 2**30, MEMORY), Amount(12 * 2**30, DISK), Amount(2, 110)
        ),
        summary.NodeRow(
            "attic", "v1.35.4", "ready", Amount(None, MEMORY), Amount(None, DISK), Amount(1, 110)
        ),
    ]


@pytest.mark.parametrize(
    ("node", "flaw", "state", "healthy"),
    [
        (_node("home"), "", "ready", True),
        (_node("home", unschedulable=True), "", "ready, takes no new pods", True),
        (_node("home", ready="False"), "", "not ready since 2026-11-27T10:00:00Z", False),
        (_node("home", ready="Unknown"), "", "away since 2026-11-27T10:00:00Z", False),
        (_node("home"), "at 10.0.0.2 no answer: timed out", "ready, at 10.0.0.2 no answer: timed out", False),
    ],
)
def test_a_node_is_healthy_when_it_is_ready_and_answers(
    node: summary.Object, flaw: str, state: str, healthy: bool
) -> None:
    (row,) = summary.node_rows([node], [], {}, {"home": flaw})

    assert (row.state, row.healthy) == (state, healthy)


HOME, ATTIC, SHED = _node("home", "10.0.0.1"), _node("attic", "10.0.0.2"), _node("shed", "10.0.0.3")


@pytest.mark.parametrize(
    ("machines", "unknown"),
    [
        ({"home": {"10.0.0.1"}, "attic": {"10.0.0.2"}, "shed": {"10.0.0.3"}}, []),
        ({"home": {"10.0.0.1"}, "attic": {"10.0.0.2"}}, ["shed"]),
        # By its name, while it is reached at another address.
        ({"home": {"10.0.0.1"}, "attic": {"attic", "100.64.0.2"}}, ["shed"]),
        # Another machine joins, which is no node yet.
        ({"home": {"10.0.0.1"}, "attic": {"10.0.0.2"}, "shed": {"10.0.0.3"}, "barn": {"10.0.0.4"}}, []),
        # Either of the two nodes may be the machine at that address.
        ({"home": {"10.0.0.1"}, "vpn": {"100.64.0.2"}}, ["attic", "shed"]),
        ({"home": {"10.0.0.1"}, "vpn": {"100.64.0.2"}, "vpn-too": {"100.64.0.3"}}, []),
    ],
)
def test_a_node_that_the_inventory_lacks_is_told(machines: dict[str, set[str]], unknown: list[str]) -> None:
    assert summary.unknown_nodes([HOME, ATTIC, SHED], machines) == unknown


ALL = {"home": {"10.0.0.1"}, "attic": {"10.0.0.2"}, "shed": {"10.0.0.3"}}


def daemons(wanted: int, ready: int) -> dict[str, Any]:
    status = {"desiredNumberScheduled": wanted, "numberReady": ready}
    return {"kind": "DaemonSet", "metadata": {"name": "traefik"}, "status": status}


def test_a_machine_that_a_run_leaves_out_may_be_away() -> None:
    gone = _node("attic", "10.0.0.2", ready="Unknown")
    nodes, machines = [HOME, gone, SHED], ALL | {"attic": {"attic.lan", "10.0.0.2"}}
    # Of those that are left out, only what does not answer.
    away = summary.left_out(nodes, machines, {"attic", "shed"})
    assert away == {"attic"}

    system = summary.subtract_away_nodes([daemons(3, 2)], len(away))
    row = summary.cluster_row(nodes, system, "10.0.0.1", len(away))
    assert (row.state, row.healthy) == ("2 of 3 nodes ready", True)
    (attic,) = (row for row in summary.node_rows(nodes, [], {}, {}, away) if row.name == "attic")
    assert (attic.state, attic.healthy) == ("away since 2026-11-27T10:00:00Z, left out of this run", True)


@pytest.mark.parametrize(
    ("wanted", "ready", "lacking"), [(3, 2, []), (3, 1, ["traefik"]), (2, 2, []), (1, 0, [])]
)
def test_a_machine_that_is_left_out_needs_no_pod_of_its_own(
    wanted: int, ready: int, lacking: list[str]
) -> None:
    assert summary.unready(summary.subtract_away_nodes([daemons(wanted, ready)], 1)) == lacking
    assert summary.unready(summary.subtract_away_nodes([HELLO | {"status": {"readyReplicas": 0}}], 1)) == [
        "hello"
    ]


def _traefik(wanted: int, *addresses: str) -> list[summary.Object]:
    service = {"kind": "Service", "spec": {"externalIPs": list(addresses)}}
    return [deployment("traefik", "t:1", wanted=wanted), service, {"kind": "Service", "spec": {}}]


@pytest.mark.parametrize(
    ("nodes", "traefik", "machines", "asked"),
    [
        ([HOME, ATTIC, SHED], _traefik(3, "10.0.0.1", "10.0.0.2", "10.0.0.3"), ALL, ["attic", "shed"]),
        # One that is not ready cannot answer, and is told for that.
        ([HOME, _node("attic", "10.0.0.2", "Unknown")], _traefik(2, "10.0.0.1", "10.0.0.2"), ALL, []),
        # Nothing is to answer there.
        ([HOME, ATTIC, SHED], _traefik(3, "10.0.0.1", "10.0.0.3"), ALL, ["shed"]),
        ([HOME, ATTIC], _traefik(1, "10.0.0.1", "10.0.0.2"), ALL, []),
        # From here it is reached at another address, as through a forwarded port.
        ([HOME, ATTIC], _traefik(2, "10.0.0.1", "10.0.0.2"), ALL | {"attic": {"127.0.0.1"}}, []),
        ([HOME], _traefik(1, "10.0.0.1"), ALL, []),
        ([HOME, ATTIC], [], {}, []),
    ],
    ids=["all", "not ready", "not external", "one Traefik", "forwarded", "one node", "no Traefik"],
)
def test_every_other_node_is_asked_for_a_page_at_its_address(
    nodes: list[summary.Object],
    traefik: list[summary.Object],
    machines: dict[str, set[str]],
    asked: list[str],
) -> None:
    assert list(summary.probe_addresses(nodes, traefik, machines, "10.0.0.1")) == asked


def _volume(claim: str, *hosts: str, key: str = "kubernetes.io/hostname") -> summary.Object:
    rule = {"key": key, "operator": "In", "values": list(hosts)}
    terms = {"required": {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}
    reference = {"namespace": "apps", "name": claim} if claim else None
    return {
        "spec": {
            "claimRef": reference,
            "capacity": {"storage": "5Gi"},
            "nodeAffinity": terms if hosts else {},
        }
    }


def test_only_volumes_of_one_node_stay_there() -> None:
    volumes = [
        _volume("db", "attic"),
        _volume("blog", "attic"),
        _volume("notes", "home"),
        _volume("on-a-nas"),
        _volume("on-both", "attic", "home"),
        _volume("in-a-zone", "west", key="topology.kubernetes.io/zone"),
        _volume("", "home"),
    ]

    assert summary.volumes_by_node(volumes) == {
        "attic": ["apps/blog 5Gi", "apps/db 5Gi"],
        "home": ["apps/notes 5Gi"],
    }


MICROK8S = summary.Row("MicroK8s", "v1.35.4", "1 of 1 nodes ready", "https://10.0.0.1:16443")
ONE = summary.node_rows([HOME], [_pod("home", "Running")], {"home": MEASURED}, {})


def test_the_report_has_a_table_of_pages_then_components_without_a_page() -> None:
    rows = [
        summary.Row("hello", "1.0", "healthy", "https://h/"),
        summary.Row("elasticsearch", "8.19", "healthy"),
        summary.Row("grafana", "12", "healthy", "https://g/", "/s/grafana_admin.password"),
        summary.Row("filebeat", "8.19", "healthy"),
        summary.Row("logstash", "8.19", "not run here (0 replicas)"),
    ]
    assert summary.report(MICROK8S, ONE, rows, {"home": ["apps/db 5Gi"]}) == [
        "page     version  state    URL         user   password",
        "hello    1.0      healthy  https://h/",
        "grafana  12       healthy  https://g/  admin  /s/grafana_admin.password",
        "",
        "MicroK8s v1.35.4: 1 of 1 nodes ready, memory 3.0 of 7.7 GiB, disk 12 of 98 GiB, 1 of 110 pods, https://10.0.0.1:16443",
        "Without a page, healthy: elasticsearch 8.19, filebeat 8.19",
        "Without a page, not run here (0 replicas): logstash 8.19",
    ]


def test_a_program_gets_the_same_with_numbers() -> None:
    rows = [
        summary.Row("grafana", "12", "healthy", "https://g/", "/s/grafana_admin.password"),
        summary.Row("filebeat", "8.19", "0 of 1 pods ready", healthy=False),
    ]
    found = summary.status(MICROK8S, ONE, rows, {"home": ["apps/db 5Gi"]}, ["attic"])
    told = json.loads(summary.as_line(["filebeat: 0 of 1 pods ready"], found))

    assert told == {
        "healthy": False,
        "unhealthy": ["filebeat: 0 of 1 pods ready"],
        "cluster": {
            "version": "v1.35.4",
            "state": "1 of 1 nodes ready",
            "healthy": True,
            "url": "https://10.0.0.1:16443",
        },
        "components": [
            {
                "name": "grafana",
                "version": "12",
                "state": "healthy",
                "healthy": True,
                "url": "https://g/",
                "user": "admin",
                "password_file": "/s/grafana_admin.password",
            },
            {
                "name": "filebeat",
                "version": "8.19",
                "state": "0 of 1 pods ready",
                "healthy": False,
                "url": "",
                "user": "",
                "password_file": "",
            },
        ],
        "nodes": [
            {
                "name": "home",
                "version": "v1.35.4",
                "state": "ready",
                "healthy": True,
                "memory": {"used": 3 * 2**30, "size": MEMORY},
                "disk": {"used": 12 * 2**30, "size": DISK},
                "pods": {"used": 1, "size": 110},
            }
        ],
        "volumes": [{"node": "home", "claim": "apps/db", "size": "5Gi"}],
        "unknown_nodes": ["attic"],
    }


def test_every_field_for_a_program_is_documented() -> None:
    row = summary.Row("grafana", "12", "healthy")
    found = summary.status(MICROK8S, ONE, [row], {"home": ["apps/db 5Gi"]}, [])
    listed = re.findall(r"^\| `([\w.]+)` \|", (ROOT / "docs/howto.md").read_text(), re.MULTILINE)
    names = {"healthy", "unhealthy", *found} | {
        f"{group}.{name}"
        for group, content in found.items()
        for entry in (content if isinstance(content, list) else [content])
        for name in entry
    }

    assert names <= set(listed)


def test_several_nodes_have_a_table_and_their_volumes() -> None:
    away = _node("attic", "10.0.0.2", ready="Unknown")
    nodes = summary.node_rows([HOME, away], [_pod("home", "Running")], {"home": MEASURED}, {})
    volumes = {"home": ["monitoring/prometheus 10Gi", "traefik/acme 64Mi"], "attic": ["apps/db 5Gi"]}
    cluster = summary.cluster_row([HOME, away], [], "10.0.0.1")

    assert summary.report(cluster, nodes, [], volumes, ["attic"])[2:] == [
        "MicroK8s v1.35.4: UNHEALTHY: 1 of 2 nodes ready, https://10.0.0.1:16443",
        "attic is a node of this cluster, but not in the inventory -> add it to workers; or, if it is gone"
        " for good: ansible-playbook playbooks/remove_node.yml -e node=attic",
        "",
        "node   version  state                                       memory          disk          pods",
        "home   v1.35.4  ready                                       3.0 of 7.7 GiB  12 of 98 GiB  1 of 110",
        "attic  v1.35.4  UNHEALTHY: away since 2026-11-27T10:00:00Z  7.7 GiB         98 GiB        0 of 110",
        "A volume is a directory of its node and does not move, nor do the workloads that use it:",
        "  home: monitoring/prometheus 10Gi, traefik/acme 64Mi",
        "  attic: apps/db 5Gi",
    ]


def test_pages_have_a_fixed_order_with_the_owners_first() -> None:
    names = ["whoami", "traefik", "jaeger", "nas", "alertmanager", "prometheus", "kibana", "shop", "grafana"]
    rows = [summary.Row(name, "1", "healthy", f"https://{name}/") for name in names]

    assert [row.component for row in summary.page_rows([*rows, summary.Row("filebeat", "1", "healthy")])] == [
        *("nas", "shop", "grafana", "alertmanager", "jaeger", "prometheus", "kibana", "traefik", "whoami")
    ]


def test_every_fault_is_marked() -> None:
    rows = [
        summary.Row("hello", "1.0", "answers 502", "https://h/", healthy=False),
        summary.Row("elasticsearch", "8.19", "healthy"),
        summary.Row("filebeat", "8.19", "0 of 1 pods ready", healthy=False),
    ]
    lines = summary.report(MICROK8S._replace(state="0 of 1 nodes ready", healthy=False), [], rows, {})

    assert [line for line in lines if "UNHEALTHY: " in line] == [
        "hello  1.0      UNHEALTHY: answers 502  https://h/",
        "MicroK8s v1.35.4: UNHEALTHY: 0 of 1 nodes ready, https://10.0.0.1:16443",
        "Without a page, UNHEALTHY: 0 of 1 pods ready: filebeat 8.19",
    ]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server on this machine with a certificate for hello.home.arpa, and the file of its authority."""
    pem = tls.self_signed(tmp_path, "hello.home.arpa")

    class Answering(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Host"].startswith("hello.")
            asked = self.path.strip("/")
            self.send_response(401 if known and asked == "dashboard" else int(asked or 404))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as listening:
        listening.socket = tls.server_context(pem).wrap_socket(listening.socket, server_side=True)
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        monkeypatch.setattr("http.client.HTTPSConnection.default_port", listening.server_port)
        yield str(pem)
        listening.shutdown()


def test_a_host_is_queried_by_name_at_an_address_without_dns(server: str) -> None:
    assert http_probe.status("https://hello.home.arpa/dashboard/", "127.0.0.1", server) == 401
    assert http_probe.status("https://hello.home.arpa/", "127.0.0.1", server) == 404


@pytest.mark.parametrize(
    ("code", "flaw"),
    [
        (200, ""),
        (302, ""),
        (401, ""),
        (403, ""),
        (400, "answers 400"),
        (404, "answers 404"),
        (429, "answers 429"),
        (500, "answers 500"),
        (502, "answers 502"),
        (503, "answers 503"),
    ],
)
def test_a_page_with_an_error_is_not_healthy(server: str, code: int, flaw: str) -> None:
    assert http_probe.flaw(f"https://hello.home.arpa/{code}", "127.0.0.1", server) == flaw


def test_a_page_that_cannot_be_reached_is_not_healthy(server: str) -> None:
    assert http_probe.flaw("https://grafana.home.arpa/", "127.0.0.1", server).startswith("no answer: ")


def test_a_certificate_for_another_name_or_of_another_authority_is_refused(server: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        http_probe.status("https://grafana.home.arpa/", "127.0.0.1", server)
    with pytest.raises(ssl.SSLCertVerificationError):
        http_probe.status("https://hello.home.arpa/", "127.0.0.1")
