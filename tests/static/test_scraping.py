"""Each scrape job has targets, all metrics have a job, and alerts use metrics that are kept."""

import base64
import re
from collections import Counter
from typing import Any

import pytest
import yaml

from harness import dashboards, promql
from harness.manifests import Object, name_of, of, template_of
from harness.roles import ROOT

# The pods that each job finds by label, and the names of their ports with metrics.
PODS = {
    "prometheus": ("StatefulSet monitoring/prometheus", {"http"}),
    "alertmanager": ("StatefulSet monitoring/alertmanager", {"http"}),
    "blackbox": ("Deployment monitoring/blackbox-exporter", {"http"}),
    "cluster-state": ("Deployment monitoring/cluster-state", {"metrics"}),
    "grafana": ("Deployment monitoring/grafana", {"http"}),
    "kube-state-metrics": ("Deployment monitoring/kube-state-metrics", {"http"}),
    "traefik": ("DaemonSet traefik/traefik", {"metrics"}),
}
# Jobs for Kubernetes, the hosts, and annotated pods and services.
OTHERS: dict[str, dict[str, Any]] = {
    "node": {"kubernetes_sd_configs": [{"role": "node"}], "scheme": "https"},
    "kubelet": {"kubernetes_sd_configs": [{"role": "node"}], "scheme": "https"},
    "cadvisor": {
        "kubernetes_sd_configs": [{"role": "node"}],
        "scheme": "https",
        "metrics_path": "/metrics/cadvisor",
    },
    "apiserver": {"scheme": "https"},
    "coredns": {},
    "apps": {
        "kubernetes_sd_configs": [
            {"role": "pod", "namespaces": {"names": ["apps", "apps-root", "apps-host"]}}
        ]
    },
    "pods": {"kubernetes_sd_configs": [{"role": "pod"}]},
    "services": {"kubernetes_sd_configs": [{"role": "endpointslice"}]},
    "probe": {"metrics_path": "/probe"},
    "probe-traefik": {"metrics_path": "/probe", "params": {"module": ["host"]}},
    "probe-kubernetes": {"metrics_path": "/probe", "params": {"module": ["tls"]}},
}
OPTIONAL = {"kube-state-metrics", "nas", "router"}  # in everything_on only
CONSTANT = ("kubernetes_sd_configs", "scheme", "metrics_path", "scrape_interval", "params", "honor_labels")

# The job that scrapes the metrics with each prefix; None if they do not come from a job.
BRINGS = {
    "ALERTS": None,
    "alertmanager_": "alertmanager",
    "apiserver_": "apiserver",
    "app:": None,
    "container_": "cadvisor",
    "coredns_": "coredns",
    "elasticsearch_": "pods",
    "homeserver:": None,
    "homeserver_app_": "apps",
    "homeserver_backup_": "node",
    "homeserver_patch_": "node",
    "homeserver_update_": "node",
    "http_request": "apps",
    "k8s_": None,  # cluster-state sends them with OTLP
    "kubelet_": "kubelet",
    "logstore_": "pods",
    "machine_": "cadvisor",
    "namespace": None,
    "node:": None,
    "node_": "node",
    "otelcol_": "pods",
    "probe_": "probe",
    "process_resident_memory_bytes": "prometheus",
    "prometheus_": "prometheus",
    "scrape_": "prometheus",
    "service:": None,
    "smartmon_": "node",
    "smartctl_": None,  # from an exporter of the owner's, if there is one
    "traces_": None,  # the Collector sends them with OTLP
    "traefik_": "traefik",
    "up": "prometheus",
}

# The number of rules by which a job drops targets or samples. `keep` instead would leave nearly nothing.
DROPPING = {
    "prometheus": 3,
    "alertmanager": 3,
    "blackbox": 3,
    "cluster-state": 3,
    "grafana": 3,
    "node": 1,
    "cadvisor": 3,
    "apiserver": 2,
    "coredns": 1,
    "traefik": 2,
    "services": 1,
    "probe": 1,
    "probe-traefik": 1,
    "probe-kubernetes": 1,
}

Job = dict[str, Any]


@pytest.fixture
def jobs(objects: list[Object]) -> dict[str, Job]:
    """The scrape jobs by name."""
    (configuration,) = [
        obj for obj in of(objects, "ConfigMap") if name_of(obj).endswith("monitoring/prometheus")
    ]
    found = yaml.safe_load(configuration["data"]["prometheus.yml"])
    assert found["scrape_config_files"] == ["owner.scrapes.yml"]
    (owner,) = [obj for obj in of(objects, "Secret") if name_of(obj).endswith("monitoring/prometheus-owner")]
    added = yaml.safe_load(base64.b64decode(owner["data"]["owner.scrapes.yml"]))
    return {job["job_name"]: job for job in found["scrape_configs"] + added["scrape_configs"]}


def _labelled(objects: list[Object], namespace: str, label: str) -> list[Object]:
    key, _, value = label.partition("=")
    return [
        workload
        for workload in of(objects, "Deployment", "StatefulSet", "DaemonSet")
        if workload["metadata"]["namespace"] == namespace
        and template_of(workload)["metadata"]["labels"].get(key) == value
    ]


def _kept_ports(job: Job) -> str:
    (rule,) = [
        rule
        for rule in job["relabel_configs"]
        if rule.get("source_labels") == ["__meta_kubernetes_pod_container_port_name"]
    ]
    assert rule["action"] == "keep"
    return str(rule["regex"])


def test_these_are_the_jobs(jobs: dict[str, Job], inventory: str) -> None:
    more = OPTIONAL if inventory == "everything_on" else set()

    assert jobs.keys() == (PODS.keys() | OTHERS.keys()) - OPTIONAL | more


def test_only_these_jobs_drop_targets_or_samples(jobs: dict[str, Job]) -> None:
    dropping = Counter(
        name
        for name, job in jobs.items()
        for rule in (*job.get("relabel_configs", []), *job.get("metric_relabel_configs", []))
        if rule.get("action") == "drop"
    )

    assert dropping == DROPPING


def test_whom_anybody_can_make_answer_is_limited_most(jobs: dict[str, Job], inventory: str) -> None:
    limited = {name: job["sample_limit"] for name, job in jobs.items() if "sample_limit" in job}

    app, most = (2000, 10000) if inventory == "everything_on" else (1000, 5000)
    assert limited == {"apps": app, "pods": most, "services": most}


def test_a_job_has_its_constant_settings(jobs: dict[str, Job]) -> None:
    for name, expected in OTHERS.items():
        constant = {key: jobs[name][key] for key in CONSTANT if key in jobs[name]}
        for key in CONSTANT:
            if key != "kubernetes_sd_configs" or key in expected:
                assert constant.get(key) == expected.get(key), name
    for name in PODS.keys() & jobs.keys():
        assert jobs[name].get("honor_labels", False) is (name == "kube-state-metrics")


@pytest.mark.parametrize("name", PODS)
def test_a_job_finds_its_pods_and_their_port(jobs: dict[str, Job], objects: list[Object], name: str) -> None:
    if name not in jobs:
        assert name in OPTIONAL
        return
    (found,) = jobs[name]["kubernetes_sd_configs"]
    (namespace,) = found["namespaces"]["names"]
    (selector,) = found["selectors"]
    (workload,) = _labelled(objects, namespace, selector["label"])
    ports = {
        port["name"]
        for container in template_of(workload)["spec"]["containers"]
        for port in container["ports"]
        if re.fullmatch(_kept_ports(jobs[name]), port["name"])
    }

    # With ACME, Traefik is a Deployment.
    found_there = name_of(workload).replace("Deployment traefik/traefik", "DaemonSet traefik/traefik")
    assert (found_there, ports) == PODS[name]


def test_node_exporter_is_scraped_at_its_port(jobs: dict[str, Job], objects: list[Object]) -> None:
    (exporter,) = _labelled(objects, "monitoring-host", "app.kubernetes.io/name=node-exporter")
    ((port,),) = [container["ports"] for container in template_of(exporter)["spec"]["containers"]]
    address = jobs["node"]["relabel_configs"][0]

    assert address["source_labels"] == ["__meta_kubernetes_node_address_InternalIP"]
    assert address["replacement"] == f"$1:{port['containerPort']}"
    assert jobs["node"]["basic_auth"]["username"] == "prometheus"
    # The authority is in the same volume as the configuration; no name of it is resolved.
    server = jobs["node"]["tls_config"]["server_name"]
    assert jobs["node"]["tls_config"] == {"ca_file": "ca.crt", "server_name": server}
    assert server.startswith("node-exporter.home.")


def test_probes_use_the_blackbox_exporter(jobs: dict[str, Job], objects: list[Object]) -> None:
    (service,) = [
        obj for obj in of(objects, "Service") if name_of(obj).endswith("monitoring/blackbox-exporter")
    ]
    address = f"blackbox-exporter.monitoring.svc:{service['spec']['ports'][0]['port']}"

    for name in ("probe", "probe-traefik", "probe-kubernetes"):
        replaced = [
            rule for rule in jobs[name]["relabel_configs"] if rule.get("target_label") == "__address__"
        ]
        assert [rule["replacement"] for rule in replaced] == [address]


def test_each_traefik_is_probed_at_its_own_port(jobs: dict[str, Job], objects: list[Object]) -> None:
    (found,) = jobs["probe-traefik"]["kubernetes_sd_configs"]
    (workload,) = _labelled(objects, found["namespaces"]["names"][0], found["selectors"][0]["label"])
    ports = [port["name"] for c in template_of(workload)["spec"]["containers"] for port in c["ports"]]
    rules = jobs["probe-traefik"]["relabel_configs"]
    labels = {rule["target_label"]: rule for rule in rules if "target_label" in rule}

    assert ports.count(_kept_ports(jobs["probe-traefik"])) == 1
    assert labels["node"]["source_labels"] == ["__meta_kubernetes_pod_node_name"]
    assert labels["instance"]["replacement"] == "Traefik on $1"
    assert labels["__param_hostname"]["replacement"].startswith("prometheus.")
    assert labels["job"]["replacement"] == "probe"


def test_every_port_for_metrics_has_a_job(objects: list[Object]) -> None:
    """A port named metrics belongs to a job, or is annotated for the job of all annotated pods."""
    named = {name for name, _ in PODS.values()} | {
        "DaemonSet monitoring-host/node-exporter",
        "Deployment traefik/traefik",  # with ACME
    }
    for workload in of(objects, "Deployment", "StatefulSet", "DaemonSet"):
        name, template = name_of(workload), template_of(workload)
        annotations = template["metadata"].get("annotations", {})
        ports = {
            port["name"]: port["containerPort"]
            for container in template["spec"]["containers"]
            for port in container.get("ports", [])
        }
        if annotations.get("prometheus.io/scrape") == "true":
            assert int(annotations["prometheus.io/port"]) in ports.values(), name
        elif "metrics" in ports and workload["metadata"]["namespace"] != "apps":
            assert name in named, name


def test_an_annotated_pod_is_found(jobs: dict[str, Job]) -> None:
    keep, *others = jobs["pods"]["relabel_configs"]
    assert keep["source_labels"] == [
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape",
        "__meta_kubernetes_pod_phase",
    ]
    assert (keep["regex"], keep["action"]) == ("true;Running", "keep")
    assert {rule["target_label"] for rule in others} == {
        "namespace", "pod", "node", "app", "__address__", "__metrics_path__", "__scheme__",
    }  # fmt: skip


def _expressions() -> list[tuple[str, str]]:
    rules = [
        (rule.get("alert") or rule["record"], rule["expr"])
        for path in sorted(ROOT.glob("roles/prometheus/files/rules/*.yml"))
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]
    panels = [
        (str(question), question.expr)
        for each in dashboards.read().values()
        for question in dashboards.asked(each)
    ]
    return rules + panels


def _job_of(metric: str) -> str | None:
    beginnings = [beginning for beginning in BRINGS if metric.startswith(beginning)]
    assert beginnings, f"no job brings {metric}"
    return BRINGS[max(beginnings, key=len)]


def _survives(metric: str, job: Job) -> bool:
    """Return whether a job keeps a metric with any labels."""
    for rule in job.get("metric_relabel_configs", []):
        if rule.get("source_labels") == ["__name__"]:
            matches = re.fullmatch(rule["regex"], metric) is not None
            if matches == (rule["action"] == "drop"):
                return False
    return True


def test_each_used_metric_is_scraped_and_kept(jobs: dict[str, Job]) -> None:
    asked = {(asker, metric) for asker, expr in _expressions() for metric in promql.metrics(expr)}
    lost = [
        (asker, metric)
        for asker, metric in asked
        if (job := _job_of(metric)) and not (job in jobs and _survives(metric, jobs[job]))
    ]

    assert asked
    assert lost == []


def test_a_selected_job_exists(jobs: dict[str, Job]) -> None:
    selected = {
        (asker, job)
        for asker, expr in _expressions()
        for jobs_of in re.findall(r'\bjob=~?"([^"]+)"', expr)
        for job in re.split(r"\|", jobs_of)
    }

    assert [pair for pair in selected if pair[1] not in jobs] == []
