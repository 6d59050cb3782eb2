"""The overview dashboard. Each problem on it links to a dashboard with details."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import (
    ANY_IS_BAD,
    ANY_IS_DOUBTFUL,
    HOST_COLUMN,
    ONLY_ALL_IS_GOOD,
    Column,
    Query,
    bars,
    graph,
    hosts,
    link,
    number,
    row_link,
    rows,
    threshold,
    yes_or_no,
)


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "home-server",
        "Home server",
        "Is everything fine? Green above means that it is.",
        {
            "Is everything fine?": [
                number(
                    "Critical alerts",
                    units.Short,
                    'count(ALERTS{alertstate="firing", severity="critical"}) or vector(0)',
                    scale=ANY_IS_BAD,
                ).data_links([link("Alerts", "prometheus")]),
                number(
                    "Warnings",
                    units.Short,
                    'count(ALERTS{alertstate="firing", severity="warning"}) or vector(0)',
                    scale=ANY_IS_DOUBTFUL,
                ).data_links([link("Alerts", "prometheus")]),
                number(
                    "Hosts ready",
                    units.PercentUnit,
                    "avg(k8s_node_condition_ready == bool 1)",
                    scale=ONLY_ALL_IS_GOOD,
                ).data_links([link("Hosts", "node")]),
                number(
                    "Pods in trouble",
                    units.Short,
                    "count((k8s_pod_phase != 2) != 3) or vector(0)",
                    scale=ANY_IS_DOUBTFUL,
                )
                .description("Pods that neither run nor have done their work.")
                .data_links([link("Workloads", "workloads")]),
                number(
                    "Names that answer",
                    units.PercentUnit,
                    'avg(probe_success{job="probe", host!=""})',
                    scale=ONLY_ALL_IS_GOOD,
                ).data_links([link("Traffic", "traefik")]),
                number(
                    "Watched",
                    units.PercentUnit,
                    "avg(up)",
                    scale=ONLY_ALL_IS_GOOD,
                )
                .description("Of all that Prometheus is to watch, how much can be read.")
                .data_links([link("Targets", "prometheus")]),
            ],
            "The hosts": [
                hosts(
                    yes_or_no("Ready", "max by (node) (k8s_node_condition_ready) == bool 1"),
                    yes_or_no("Traefik answers", 'max by (node) (probe_success{job="probe", node!=""})'),
                    Column("Pods", expr="max by (node) (kubelet_running_pods)", unit=units.Short),
                    Column(
                        "Processor",
                        expr="max by (node) (node:cpu_busy:ratio_rate5m)",
                        unit=units.PercentUnit,
                    ),
                    Column(
                        "Runs for",
                        expr="max by (node) (time() - node_boot_time_seconds)",
                        unit=units.Seconds,
                    ),
                    sort_by="Pods",
                ),
                bars(
                    "Load per core",
                    units.NoUnit,
                    Query("node:load15_per_core:ratio", "{{node}}"),
                    limit=threshold("load_per_core"),
                ).data_links([link("Host", "node", host="node")]),
                bars(
                    "Memory",
                    units.PercentUnit,
                    Query("node:memory_used:ratio", "{{node}}"),
                    limit=f"1 - {threshold('memory_available_percent')} / 100",
                ).data_links([link("Host", "node", host="node")]),
                bars(
                    "Fullest disk",
                    units.PercentUnit,
                    Query("max by (node) (node:filesystem_used:ratio)", "{{node}}"),
                    limit=f"1 - {threshold('disk_free_percent')} / 100",
                ).data_links([link("Storage", "storage", host="node")]),
                number(
                    "Days until a disk is full",
                    units.Days,
                    "clamp_max(min(node:filesystem_full:days), 365) or vector(365)",
                )
                .span(3)
                .description("At the pace of the last hours; 365 for a year and more.")
                .data_links([link("Storage", "storage")]),
                number(
                    "Longest without restart",
                    units.Seconds,
                    "max(time() - node_boot_time_seconds)",
                )
                .span(3)
                .data_links([link("Hosts", "node")]),
            ],
            "What it serves": [
                rows(
                    "Names",
                    Column("Name", label="host", link=row_link("Traffic", "traefik")),
                    yes_or_no("Answers", 'max by (host) (probe_success{job="probe", host!=""})'),
                    Column(
                        "In",
                        expr='max by (host) (probe_duration_seconds{job="probe", host!=""})',
                        unit=units.Seconds,
                    ),
                    Column(
                        "Certificate lasts",
                        expr='min by (host) (probe_ssl_earliest_cert_expiry{job="probe", host!=""} - time())',
                        unit=units.Seconds,
                    ),
                    sort_by="In",
                ).span(12),
                graph(
                    "Requests",
                    units.RequestsPerSecond,
                    Query(
                        "service:traefik_requests:rate5m",
                        "{{service}}",
                    ),
                    stacked=True,
                ).data_links([link("Service", "traefik", service="service")]),
            ],
            "What is saved": [
                rows(
                    "Backups",
                    Column("Host", label="node", link=row_link("Host", "node", host="Host")),
                    Column("Repository", label="repository"),
                    Column(
                        "Made",
                        expr=_since("homeserver_backup_last_success_timestamp_seconds"),
                        unit=units.Seconds,
                    ),
                    Column(
                        "Took",
                        expr="max by (node, repository) (homeserver_backup_duration_seconds)",
                        unit=units.Seconds,
                    ),
                    Column(
                        "Size",
                        expr="max by (node, repository) (homeserver_backup_size_bytes)",
                        unit=units.BytesIEC,
                    ),
                    Column(
                        "Restored for a test",
                        expr=_since("homeserver_backup_last_drill_timestamp_seconds"),
                        unit=units.Seconds,
                    ),
                    Column(
                        "Found whole",
                        expr=_since("homeserver_backup_last_check_timestamp_seconds"),
                        unit=units.Seconds,
                    ),
                    yes_or_no("Goes well", "max by (node, repository) (homeserver_backup_failed) == bool 0"),
                    sort_by="Made",
                )
                .height(5)
                .description("Empty while backup_repositories is."),
            ],
            "What is told": [
                rows(
                    "Alerts",
                    Column("Alert", label="alertname"),
                    Column("Severity", label="severity"),
                    HOST_COLUMN,
                    Column("Namespace", label="namespace"),
                    Column(
                        "How many",
                        expr='count by (alertname, severity, node, namespace) (ALERTS{alertstate="firing"})',
                        unit=units.Short,
                    ),
                    sort_by="Severity",
                ).description("The one without severity always fires, which proves that alerts are told."),
            ],
        },
    )


def _since(metric: str) -> str:
    return f"max by (node, repository) (time() - {metric})"
