"""Times and sizes by value: retention, volumes, memory, and intervals of notifications."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import rendering
from harness.alertmanager_role import Role as Alertmanager
from harness.manifests import INVENTORIES, Object, containers, name_of, of
from harness.rendering import find
from harness.roles import ROOT

GIB = 1024**3

# The size of every volume in each of INVENTORIES, empty where it does not exist.
VOLUMES = {
    "apps/db-data": ("", "", "5Gi", ""),
    "logging/data-elasticsearch-0": ("20Gi", "20Gi", "40Gi", ""),
    "logging/data-elasticsearch-1": ("", "20Gi", "40Gi", ""),
    "logging/data-elasticsearch-2": ("", "20Gi", "40Gi", ""),
    "logging/elasticsearch-snapshots": ("5Gi", "", "", ""),
    "logging/logstash": ("3Gi", "3Gi", "4Gi", ""),
    "monitoring/alertmanager": ("128Mi", "128Mi", "256Mi", "128Mi"),
    "monitoring/grafana": ("2Gi", "2Gi", "5Gi", "2Gi"),
    "monitoring/prometheus": ("10Gi", "10Gi", "30Gi", "10Gi"),
    "traefik/acme": ("", "", "64Mi", ""),
}
# The memory limit of every container in MiB, 0 where it does not exist.
MEMORY = {
    "CronJob apps/blog-clean clean": (0, 0, 512, 0),
    "CronJob disk-cleanup/disk-cleanup cleanup": (0, 0, 128, 0),
    "CronJob logging/logstore-retain retain": (128, 128, 128, 0),
    "CronJob logging/logstore-snapshot snapshot": (128, 0, 0, 0),
    "DaemonSet apps-devices/devices devices": (0, 0, 128, 0),
    "DaemonSet logging-host/filebeat filebeat": (256, 256, 384, 0),
    "DaemonSet monitoring-host/node-exporter node-exporter": (96, 96, 96, 96),
    "DaemonSet traefik/traefik traefik": (256, 256, 0, 256),
    "Deployment apps/blog blog": (0, 0, 512, 0),
    "Deployment apps/blog init-1": (0, 0, 512, 0),
    "Deployment apps/db db": (0, 0, 256, 0),
    "Deployment apps/game game": (0, 0, 256, 0),
    "Deployment apps/hello hello": (256, 256, 256, 0),
    "Deployment disk-cleanup/receiver receiver": (0, 0, 96, 0),
    "Deployment logging/elasticsearch-exporter exporter": (128, 128, 128, 0),
    "Deployment logging/kibana kibana": (1024, 1024, 1536, 0),
    "Deployment logging/log-metrics metrics": (96, 96, 96, 0),
    "Deployment monitoring/blackbox-exporter blackbox-exporter": (96, 96, 96, 96),
    "Deployment monitoring/cluster-state cluster-state": (192, 192, 192, 192),
    "Deployment monitoring/grafana admin-password": (512, 512, 1024, 512),
    "Deployment monitoring/grafana grafana": (512, 512, 1024, 512),
    "Deployment monitoring/kube-state-metrics kube-state-metrics": (0, 0, 192, 0),
    "Deployment tracing/collector collector": (256, 256, 512, 0),
    "Deployment tracing/jaeger jaeger": (256, 256, 512, 0),
    "Deployment tracing/jaeger ready": (64, 64, 64, 0),
    "Deployment traefik/traefik traefik": (0, 0, 512, 0),
    "Deployment traefik/whoami whoami": (64, 64, 64, 0),
    "Deployment welcome/welcome welcome": (64, 64, 0, 0),
    "Job logging/arrival arrival": (64, 64, 64, 0),
    "Job logging/kibana-objects import": (128, 128, 128, 0),
    "Job logging/logstore-setup setup": (128, 128, 128, 0),
    "StatefulSet logging/elasticsearch elasticsearch": (2048, 2048, 4096, 0),
    "StatefulSet logging/elasticsearch settings": (64, 64, 64, 0),
    "StatefulSet logging/logstash logstash": (1280, 1280, 1536, 0),
    "StatefulSet logging/logstash ready": (64, 64, 64, 0),
    "StatefulSet monitoring/alertmanager alertmanager": (128, 128, 256, 128),
    "StatefulSet monitoring/prometheus prometheus": (1024, 1024, 2048, 1024),
}
# When jobs run.
SCHEDULES = {
    "CronJob apps/blog-clean": ("", "", "30 3 * * *", ""),
    "CronJob disk-cleanup/disk-cleanup": ("", "", "0 0 1 1 *", ""),  # suspended: the receiver starts it
    "CronJob logging/logstore-retain": ("*/15 * * * *", "*/15 * * * *", "*/5 * * * *", ""),
    "CronJob logging/logstore-snapshot": ("40 3 * * *", "", "", ""),
}


def _column(table: dict[str, Any], inventory: str) -> dict[str, Any]:
    """Return what a table says of an inventory, without what does not exist there."""
    column = INVENTORIES.index(inventory)
    return {name: row[column] for name, row in table.items() if row[column]}


def test_every_alert_waits_as_long_as_the_table_says() -> None:
    waits = {
        f"{rule['alert']} {rule['labels']['severity']}": rule["for"]
        for path in ROOT.glob("roles/prometheus/files/rules/*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
        if "for" in rule
    }

    assert waits == yaml.safe_load((ROOT / "tests/static/durations.yml").read_text())


def test_a_node_that_loses_its_power_is_told_within_two_minutes(tmp_path: Path) -> None:
    waits = yaml.safe_load((ROOT / "tests/static/durations.yml").read_text())
    prometheus = rendering.Role("prometheus", tmp_path).value("_prometheus_files")["prometheus.yml"]
    looks = yaml.safe_load(prometheus)["global"]
    steps = ("scrape_interval", "scrape_timeout", "evaluation_interval")
    until_it_fires = [*(looks[step] for step in steps), waits["NodeDown critical"], _routes()["group_wait"]]

    assert sum(_seconds(step) for step in until_it_fires) <= 120


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def _routes(**variables: Any) -> dict[str, Any]:
    route: dict[str, Any] = yaml.safe_load(Alertmanager(**variables).files()["alertmanager.yml"])["route"]
    return route


@pytest.mark.parametrize(
    ("variables", "waits", "critical", "deadman"),
    [
        ({}, ("10s", "60s", "24h"), "4h", ("0s", "5m", "150s")),
        (
            {
                "alertmanager_group_wait_seconds": 30,
                "alertmanager_group_interval_seconds": 300,
                "alertmanager_repeat_hours": 72,
                "alertmanager_repeat_critical_hours": 1,
                "alertmanager_deadman_interval_minutes": 1,
            },
            ("30s", "300s", "72h"),
            "1h",
            ("0s", "1m", "30s"),
        ),
    ],
)
def test_notifications_are_repeated_in_time(
    variables: dict[str, Any], waits: tuple[str, ...], critical: str, deadman: tuple[str, ...]
) -> None:
    receiver = {"alertmanager_webhook": [{"url": "http://robot.apps:8080/"}]}
    route = _routes(**variables, **receiver)
    times = ("group_wait", "group_interval", "repeat_interval")
    (watchdog,) = (each for each in route["routes"] if each["receiver"] == "nobody")
    (told,) = (each for each in route["routes"] if each["receiver"] == "webhook-1")

    assert tuple(route[time] for time in times) == waits
    assert tuple(watchdog[time] for time in times) == deadman
    assert watchdog["matchers"] == ['alertname="Watchdog"']
    assert [(each["matchers"], each["repeat_interval"]) for each in told["routes"]] == [
        (['severity="critical"'], critical)
    ]


def _arguments(objects: list[Object], container: str) -> list[str]:
    (found,) = [each for name, each in containers(objects) if name == container]
    arguments: list[str] = found["args"]
    return arguments


def test_the_retention_of_metrics_follows_the_options(objects: list[Object], inventory: str) -> None:
    """The size is 80 percent of the volume, which is a quarter of the budget."""
    days, size, volume = (90, 20, 30) if inventory == "everything_on" else (30, 8, 10)
    arguments = _arguments(objects, "StatefulSet monitoring/prometheus prometheus")
    claim = find(objects, "PersistentVolumeClaim", "prometheus")

    assert f"--storage.tsdb.retention.time={days}d" in arguments
    assert f"--storage.tsdb.retention.size={size}GB" in arguments
    assert claim["spec"]["resources"]["requests"]["storage"] == f"{volume}Gi"


def test_prometheus_scrapes_as_often_as_its_rules_expect(objects: list[Object]) -> None:
    data = find(objects, "ConfigMap", "prometheus")["data"]
    configuration = yaml.safe_load(data["prometheus.yml"])

    assert configuration["global"]["scrape_interval"] == "15s"
    assert configuration["global"]["evaluation_interval"] == "5s"
    assert configuration["global"]["scrape_timeout"] == "10s"
    assert configuration["storage"]["tsdb"]["out_of_order_time_window"] == "10m"


def test_jobs_run_as_often_as_the_table_says(objects: list[Object], inventory: str) -> None:
    found = {name_of(job): job["spec"]["schedule"] for job in of(objects, "CronJob")}

    assert found == _column(SCHEDULES, inventory)


def _logstore(**variables: Any) -> dict[str, Any]:
    role = rendering.Role("elk", Path("/nowhere"), **variables)
    settings: dict[str, Any] = role.value("_elk_logstore_settings")
    return settings


def test_the_retention_of_logs_follows_the_options() -> None:
    settings = _logstore()
    assert (settings["retention_days"], settings["retention_bytes"]) == (30, 16 * GIB)
    assert (settings["rollover_days"], settings["rollover_bytes"]) == (1, 1 * GIB)
    assert (settings["snapshots_kept"], settings["snapshots_bytes"]) == (3, 5 * GIB)

    other = {"elk_retention_size_gib": 3, "elk_rollover_size_gib": 2, "elk_snapshots_volume_size_gib": 4}
    settings = _logstore(elk_retention_days=90, elk_rollover_age_days=7, elk_snapshots_kept=2, **other)
    assert (settings["retention_days"], settings["retention_bytes"]) == (90, 3 * GIB)
    assert (settings["rollover_days"], settings["rollover_bytes"]) == (7, 2 * GIB)
    assert (settings["snapshots_kept"], settings["snapshots_bytes"]) == (2, 4 * GIB)


def test_elasticsearch_stops_writing_before_the_disk_is_full() -> None:
    """15, 10 and 5 percent of the budget have to stay free."""
    role = rendering.Role("elk", Path("/nowhere"), homeserver_storage_budget_gib=100)

    assert role.value("_elk_watermarks_mib") == {"low": 15360, "high": 10240, "flood_stage": 5120}


def test_browsers_remember_https_for_a_year(objects: list[Object]) -> None:
    headers = find(objects, "Middleware", "security-headers")["spec"]["headers"]

    assert headers["stsSeconds"] == 365 * 24 * 3600


def test_every_volume_has_its_size(objects: list[Object], inventory: str) -> None:
    sizes = {
        f"{claim['metadata']['namespace']}/{claim['metadata']['name']}": claim["spec"]["resources"][
            "requests"
        ]["storage"]
        for claim in of(objects, "PersistentVolumeClaim")
    }

    assert sizes == _column(VOLUMES, inventory)


def test_every_container_has_its_memory_limit(objects: list[Object], inventory: str) -> None:
    limits = {name: container["resources"]["limits"]["memory"] for name, container in containers(objects)}

    assert limits == {name: f"{mib}Mi" for name, mib in _column(MEMORY, inventory).items()}


def test_no_container_requests_more_than_its_limit(objects: list[Object]) -> None:
    for name, container in containers(objects):
        asked, limit = (container["resources"][kind]["memory"] for kind in ("requests", "limits"))
        assert asked.endswith("Mi"), name
        assert int(asked.removesuffix("Mi")) <= int(limit.removesuffix("Mi")), name
