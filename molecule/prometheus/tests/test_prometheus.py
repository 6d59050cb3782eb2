"""Prometheus sees everything, is seen by nobody else, and takes what is new without a pause."""

import json
import os
import re
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.home import Home, Kubectl, eventually
from tests.prometheus import Prometheus

JOBS = {
    "alertmanager",
    "apiserver",
    "apps",
    "blackbox",
    "cadvisor",
    "cluster-state",
    "coredns",
    "kubelet",
    "node",
    "probe",
    "prometheus",
    "traefik",
}
CONVERGE = f"{os.environ.get('MOLECULE_SCENARIO_DIRECTORY', Path(__file__).parents[1])}/converge.yml"


@pytest.fixture(scope="module", autouse=True)
def _settled(prometheus: Prometheus) -> None:
    """Everything has been looked at since it was installed."""
    fine = (
        'count(up == 0) or count(probe_success == 0) or count(ALERTS{alertstate="firing",severity!="none"})'
    )
    assert eventually(lambda: prometheus.value("count(up)") > 0, 60)
    assert eventually(lambda: prometheus.query(fine) == [], 300), prometheus.query(
        'up == 0 or probe_success == 0 or ALERTS{alertstate="firing",severity!="none"}'
    )


def test_every_target_is_up(prometheus: Prometheus) -> None:
    targets = prometheus.api("targets", state="active")["activeTargets"]

    assert [target["lastError"] for target in targets if target["health"] != "up"] == []
    assert {target["scrapePool"] for target in targets} >= JOBS


def test_every_host_name_is_probed_with_its_certificate(prometheus: Prometheus, home: Home) -> None:
    hosts = {
        series["metric"]["host"]
        for series in prometheus.query('probe_ssl_earliest_cert_expiry{module="host"} > time()')
    }

    assert {
        f"{name}.{home.domain}" for name in ("alertmanager", "hello", "prometheus", "traefik", "whoami")
    } <= hosts


def test_dns_the_gateway_and_kubernetes_certificate_are_probed(prometheus: Prometheus) -> None:
    probed = {series["metric"]["module"] for series in prometheus.query("probe_success == 1")}

    assert {"dns", "icmp", "tls"} <= probed


def test_the_clusters_state_arrives_under_the_names_of_what_is_scraped(prometheus: Prometheus) -> None:
    both = "k8s_pod_phase == 2 and on (namespace, pod) container_memory_working_set_bytes"

    assert prometheus.value(f"count({both})") > 5
    assert prometheus.value('k8s_deployment_available{namespace="apps",deployment="hello"}') == 2


def test_only_the_switch_of_a_dead_man_fires(prometheus: Prometheus) -> None:
    firing = [alert for alert in prometheus.api("alerts")["alerts"] if alert["state"] == "firing"]

    assert [alert["labels"]["alertname"] for alert in firing] == ["Watchdog"], firing


def test_a_request_is_counted_by_traefik_and_by_the_app(prometheus: Prometheus, home: Home) -> None:
    counters = [
        'sum(traefik_service_requests_total{service=~"apps_hello_.*"})',
        'sum(http_requests_total{app="hello",browser="firefox"})',
    ]
    before = [prometheus.value(counter) for counter in counters]
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    for _ in range(5):
        requests.get(
            f"https://hello.{home.domain}/", headers={"User-Agent": firefox}, verify=home.ca, timeout=10
        )

    assert eventually(
        lambda: all(
            prometheus.value(counter) >= was + 5 for counter, was in zip(counters, before, strict=True)
        ),
        45,
    )


def test_a_slow_requests_trace_is_found_from_its_measurement(
    prometheus: Prometheus, home: Home, kubectl: Kubectl
) -> None:
    mark = uuid.uuid4().hex
    requests.get(
        f"https://hello.{home.domain}/", headers={"User-Agent": f"verify/{mark}"}, verify=home.ca, timeout=10
    )
    (line,) = kubectl.logged("apps", "hello", mark)

    def traces() -> set[str]:
        found = prometheus.api(
            "query_exemplars",
            query="http_request_duration_seconds_bucket",
            start=f"{time.time() - 300}",
            end=f"{time.time()}",
        )
        return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}

    assert eventually(lambda: line["trace_id"] in traces(), 45)


def test_the_ui_asks_for_the_generated_password(prometheus: Prometheus, home: Home) -> None:
    def status(credentials: tuple[str, str] | None) -> int:
        url = f"{prometheus.url}/query"
        return requests.get(url, auth=credentials, verify=home.ca, timeout=10).status_code

    assert status(None) == 401
    assert status(("admin", "admin")) == 401
    assert status(prometheus.credentials) == 200


def test_what_node_exporter_tells_is_not_for_the_lan(home: Home) -> None:
    password = (home.secrets / "node_exporter.password").read_text().strip()

    def status(credentials: tuple[str, str] | None) -> int:
        return requests.get(f"http://{home.address}:9101/metrics", auth=credentials, timeout=10).status_code

    assert status(None) == 401
    assert status(("prometheus", "prometheus")) == 401
    assert status(("prometheus", password)) == 200


def test_no_pod_of_another_namespace_reaches_prometheus(home: Home, kubectl: Kubectl) -> None:
    address = kubectl.get("-n monitoring service prometheus")["spec"]["clusterIP"]
    image = kubectl.image("apps", "hello")
    hello = kubectl.get("-n apps service hello")["spec"]["clusterIP"]
    names = {"kubernetes": (kubectl.get("service kubernetes")["spec"]["clusterIP"], 443)}
    names |= {"prometheus": (address, 9090), "hello": (hello, 80)}
    reached = _reached_from_elsewhere(kubectl, image, names)

    assert reached == {"kubernetes": True, "prometheus": False, "hello": False}
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((home.address, 9090), timeout=3)


def _reached_from_elsewhere(
    kubectl: Kubectl, image: str, addresses: dict[str, tuple[str, int]]
) -> dict[str, bool]:
    """Try to connect from a pod in a namespace without policies."""
    program = (
        "import json, socket, sys\n"
        "def reached(address):\n"
        "    try: socket.create_connection(tuple(address), 3).close()\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(json.dumps({name: reached(at) for name, at in json.loads(sys.argv[1]).items()}))\n"
    )
    container = {"name": "c", "image": image, "command": ["python", "-c", program, json.dumps(addresses)]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"}, "spec": pod})
    try:
        kubectl("wait pod/stranger --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s")
        found: dict[str, bool] = json.loads(kubectl("logs stranger"))
        return found
    finally:
        kubectl("delete pod stranger")


def _prometheus(kubectl: Kubectl) -> dict[str, Any]:
    """What would differ had Prometheus been restarted."""
    (pod,) = kubectl.get("-n monitoring pods -l app.kubernetes.io/name=prometheus")["items"]
    return {"uid": pod["metadata"]["uid"], "state": pod["status"]["containerStatuses"][0]["state"]}


def test_a_rule_that_is_none_is_refused_in_promtools_words(
    home: Home, kubectl: Kubectl, tmp_path: Path
) -> None:
    wrong = tmp_path / "garage.yml"
    rule = {"alert": "GarageOpen", "expr": "garage_open == = 1"}
    wrong.write_text(json.dumps({"groups": [{"name": "garage", "rules": [rule]}]}))
    before = kubectl.get("-n monitoring configmap prometheus")

    run = home.play(CONVERGE, "-e", json.dumps({"prometheus_rules_extra": [str(wrong)]}))

    assert run.returncode != 0
    assert "the configuration is refused, and nothing was changed" in run.stdout
    assert re.search(r"GarageOpen.*parse error: unexpected .=", run.stdout, re.DOTALL), run.stdout
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}
    assert kubectl.get("-n monitoring configmap prometheus") == before
    assert kubectl.get("-n default jobs,secrets")["items"] == []


def test_a_new_rule_and_threshold_are_taken_over_without_a_restart(
    home: Home, kubectl: Kubectl, prometheus: Prometheus, tmp_path: Path
) -> None:
    rules = tmp_path / "garage.yml"
    rule = {"record": "garage:open", "expr": "vector(1)"}
    rules.write_text(json.dumps({"groups": [{"name": "garage", "rules": [rule]}]}))
    changes = {"prometheus_rules_extra": [str(rules)], "prometheus_alert_thresholds": {"load_per_core": 42}}
    before = _prometheus(kubectl)
    try:
        run = home.play(CONVERGE, "-e", json.dumps(changes))
        assert run.returncode == 0, run.stdout
        assert eventually(lambda: prometheus.value("garage:open") == 1, 30)
        assert eventually(lambda: prometheus.value("homeserver:alert_threshold:load_per_core") == 42, 30)
    finally:
        home.play(CONVERGE)

    assert eventually(lambda: prometheus.value("homeserver:alert_threshold:load_per_core") < 42, 30)
    assert _prometheus(kubectl) == before


def test_it_stays_within_what_a_small_server_has(prometheus: Prometheus) -> None:
    assert prometheus.value("prometheus_tsdb_head_series") < 100_000
    assert prometheus.value('process_resident_memory_bytes{job="prometheus"}') < 400 * 2**20
