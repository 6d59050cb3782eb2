"""The state of monitoring: targets, rules, alerts, and Prometheus' own resources."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import (
    ANY_IS_BAD,
    ANY_IS_DOUBTFUL,
    ONLY_ALL_IS_GOOD,
    Column,
    Query,
    graph,
    number,
    rows,
    threshold,
)


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "prometheus",
        "Prometheus and alerts",
        "What is watched, what alerts, and whether both can be trusted.",
        {
            "At a glance": [
                number("Targets", units.Short, "count(up)"),
                number("Targets down", units.Short, "count(up == 0) or vector(0)", scale=ANY_IS_BAD),
                number(
                    "Alerts",
                    units.Short,
                    'count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)',
                    scale=ANY_IS_DOUBTFUL,
                ),
                number(
                    "Series",
                    units.Short,
                    "sum(prometheus_tsdb_head_series)",
                    limit=threshold("prometheus_series"),
                ),
                number(
                    "Memory",
                    units.BytesIEC,
                    'sum(process_resident_memory_bytes{job="prometheus"})',
                ),
                number(
                    "Running configuration",
                    units.DateTimeFromNow,
                    "1000 * max(prometheus_config_last_reload_success_timestamp_seconds)",
                ).description("When Prometheus last took over a configuration."),
            ],
            "Alerts": [
                graph(
                    "Alerts that fire",
                    units.Short,
                    Query('count by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"),
                    stacked=True,
                ),
                graph(
                    "Messages sent",
                    units.Short,
                    Query(
                        "sum by (integration) (increase(alertmanager_notifications_total[1h]))",
                        "{{integration}}",
                    ),
                    Query(
                        "sum by (integration) (increase(alertmanager_notifications_failed_total[1h]))",
                        "{{integration}} failed",
                    ),
                    colours={".* failed": "red"},
                ).description("By Alertmanager in an hour, by receiver."),
                graph(
                    "Alerts handed over, and lost",
                    units.EventsPerSecond,
                    Query("sum(rate(prometheus_notifications_sent_total[$__rate_interval]))", "handed over"),
                    Query("sum(rate(prometheus_notifications_dropped_total[$__rate_interval]))", "lost"),
                    colours={"lost": "red"},
                ).description("From Prometheus to Alertmanager."),
                graph(
                    "Alertmanager's alerts",
                    units.Short,
                    Query("sum by (state) (alertmanager_alerts)", "{{state}}"),
                    stacked=True,
                ),
            ],
            "Targets": [
                rows(
                    "Jobs",
                    Column("Job", label="job"),
                    Column("Targets", expr="count by (job) (up)", unit=units.Short),
                    Column(
                        "Up",
                        expr="avg by (job) (up)",
                        unit=units.PercentUnit,
                        scale=ONLY_ALL_IS_GOOD,
                    ),
                    Column("Slowest read", expr="max by (job) (scrape_duration_seconds)", unit=units.Seconds),
                    Column(
                        "Series",
                        expr="sum by (job) (scrape_samples_post_metric_relabeling)",
                        unit=units.Short,
                    ),
                    sort_by="Series",
                )
                .span(12)
                .height(10),
                graph(
                    "Time to read a target",
                    units.Seconds,
                    Query("max by (job) (scrape_duration_seconds)", "{{job}}"),
                ),
            ],
            "Prometheus itself": [
                graph(
                    "Series",
                    units.Short,
                    Query("sum(prometheus_tsdb_head_series)", "series"),
                    limit=threshold("prometheus_series"),
                ),
                graph(
                    "Samples",
                    units.CountsPerSecond,
                    Query(
                        "sum(rate(prometheus_tsdb_head_samples_appended_total[$__rate_interval]))", "samples"
                    ),
                ),
                graph(
                    "Memory",
                    units.BytesIEC,
                    Query(
                        'sum by (job) (process_resident_memory_bytes{job=~"prometheus|alertmanager"})',
                        "{{job}}",
                    ),
                ),
                graph(
                    "Time to evaluate the rules",
                    units.Seconds,
                    Query(
                        "sum by (rule_group) (prometheus_rule_group_last_duration_seconds)", "{{rule_group}}"
                    ),
                ),
                graph(
                    "Rules that could not be evaluated",
                    units.EventsPerSecond,
                    Query(
                        "sum(rate(prometheus_rule_evaluation_failures_total[$__rate_interval]))", "failures"
                    ),
                ),
                graph(
                    "Time to answer queries",
                    units.Seconds,
                    Query(
                        'max by (slice) (prometheus_engine_query_duration_seconds{quantile="0.99"})',
                        "{{slice}}",
                    ),
                ).description("What 99 of 100 queries took at most, by step."),
            ],
        },
    )
