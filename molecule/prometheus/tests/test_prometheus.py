"""Prometheus monitors everything, is not accessible to others, and reloads changes without a pause."""

import json
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from testinfra.host import Host

from harness.home import Home, Kubectl, ask_from, eventually
from harness.prometheus import Prometheus

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
    "probe-traefik",
    "prometheus",
    "traefik",
}
CONVERGE = f"{os.environ.get('MOLECULE_SCENARIO_DIRECTORY', Path(__file__).parents[1])}/converge.yml"


@pytest.fixture(scope="module", autouse=True)
def _settled(prometheus: Prometheus) -> None:
    """Everything was scraped since the installation."""
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


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("GET metrics", 200),
        ("GET metrics/cadvisor", 200),
        ("GET pods", 403),
        ("POST exec/monitoring/prometheus-0/prometheus?command=id", 403),
    ],
)
def test_its_token_only_reads_the_kubelets_metrics(
    home: Home, host: Host, kubectl: Kubectl, asked: str, status: int
) -> None:
    method, path = asked.split()
    token = kubectl("-n monitoring create token prometheus").strip()
    authorization = ("--header", f"Authorization: Bearer {token}", "--request", method)

    assert ask_from(host, f"https://{home.address}:10250/{path}", *authorization)[0] == status


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


def test_the_traefik_of_every_node_is_probed(prometheus: Prometheus, kubectl: Kubectl) -> None:
    nodes = {node["metadata"]["name"] for node in kubectl.get("nodes")["items"]}
    probed = prometheus.query('probe_success{instance=~"Traefik on .*"} == 1')

    assert {series["metric"]["node"] for series in probed} == nodes


def test_the_clusters_metrics_have_the_names_of_scraped_ones(prometheus: Prometheus) -> None:
    both = "k8s_pod_phase == 2 and on (namespace, pod) container_memory_working_set_bytes"

    assert prometheus.value(f"count({both})") > 5
    assert prometheus.value('k8s_deployment_available{namespace="apps",deployment="hello"}') == 2


def test_only_the_watchdog_fires(prometheus: Prometheus) -> None:
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


def test_a_slow_requests_trace_is_found_from_its_exemplar(prometheus: Prometheus, home: Home) -> None:
    answer = requests.get(f"https://hello.{home.domain}/", verify=home.ca, timeout=10)

    def traces() -> set[str]:
        found = prometheus.api(
            "query_exemplars",
            query="http_request_duration_seconds_bucket",
            start=f"{time.time() - 300}",
            end=f"{time.time()}",
        )
        return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}

    assert eventually(lambda: answer.headers["X-Trace-Id"] in traces(), 45)


def test_the_ui_requires_the_generated_password(prometheus: Prometheus, home: Home) -> None:
    def status(credentials: tuple[str, str] | None) -> int:
        url = f"{prometheus.url}/query"
        return requests.get(url, auth=credentials, verify=home.ca, timeout=10).status_code

    assert status(None) == 401
    assert status(("admin", "admin")) == 401
    assert status(prometheus.credentials) == 200


@pytest.mark.parametrize(
    "path", ["/-/quit", "/-/%71uit", "/%2D/quit", "/-//quit", "/-/reload", "/x/../-/quit"]
)
def test_nobody_ends_it_through_traefik(prometheus: Prometheus, home: Home, path: str) -> None:
    asked = requests.Request("POST", prometheus.url, auth=prometheus.credentials).prepare()
    asked.url = f"{prometheus.url}{path}"
    with requests.Session() as session:
        assert session.send(asked, verify=home.ca, timeout=10).status_code == 404


def test_node_exporter_requires_its_password(home: Home, host: Host) -> None:
    password = (home.secrets / "node_exporter.password").read_text().strip()

    def status(*credentials: str) -> int:
        return ask_from(host, f"https://{home.address}:9101/metrics", *credentials)[0]

    assert status() == 401
    assert status("--user", "prometheus:prometheus") == 401
    assert status("--user", f"prometheus:{password}") == 200


def test_no_pod_of_another_namespace_reaches_prometheus(home: Home, kubectl: Kubectl) -> None:
    address = kubectl.get("-n monitoring service prometheus")["spec"]["clusterIP"]
    hello = kubectl.get("-n apps service hello")["spec"]["clusterIP"]
    names = {"kubernetes": (kubectl.get("service kubernetes")["spec"]["clusterIP"], 443)}
    names |= {"prometheus": (address, 9090), "hello": (hello, 8000)}

    assert kubectl.reached(names) == {"kubernetes": True, "prometheus": False, "hello": False}
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((home.address, 9090), timeout=3)


def test_a_service_with_the_annotation_is_scraped(kubectl: Kubectl, prometheus: Prometheus) -> None:
    program = "mkdir /tmp/s; cd /tmp/s; echo drill_scraped 42 > metrics.txt; exec python -m http.server 8000"
    labels = {"app": "scraped"}
    container = {"name": "c", "image": kubectl.image("apps", "hello"), "command": ["sh", "-c", program]}
    pod = {"metadata": {"name": "scraped", "labels": labels}, "spec": {"containers": [container]}}
    # Prometheus reads text/plain only, which the server takes from the file's name.
    scraping = {"scrape": "true", "port": "8000", "path": "/metrics.txt"}
    annotations = {f"prometheus.io/{name}": value for name, value in scraping.items()}
    ports = {"selector": labels, "ports": [{"port": 8000}]}
    service = {"metadata": {"name": "scraped", "annotations": annotations}, "spec": ports}
    v1 = {"apiVersion": "v1"}
    kubectl.apply(v1 | {"kind": "Pod"} | pod, v1 | {"kind": "Service"} | service)
    try:
        assert eventually(lambda: prometheus.value('drill_scraped{job="services"}') == 42, 120)
    finally:
        kubectl("delete pod,service scraped --grace-period=1")


def _prometheus(kubectl: Kubectl) -> dict[str, Any]:
    """Return values that a restart of Prometheus would change."""
    (pod,) = kubectl.get("-n monitoring pods -l app.kubernetes.io/name=prometheus")["items"]
    return {"uid": pod["metadata"]["uid"], "state": pod["status"]["containerStatuses"][0]["state"]}


def test_an_invalid_rule_is_rejected_with_promtools_message(
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
    assert kubectl.get("-n check-prometheus jobs,secrets")["items"] == []


def test_a_new_rule_and_threshold_are_loaded_without_a_restart(
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


def test_it_fits_a_small_server(prometheus: Prometheus) -> None:
    assert prometheus.value("prometheus_tsdb_head_series") < 100_000
    assert prometheus.value('process_resident_memory_bytes{job="prometheus"}') < 400 * 2**20
