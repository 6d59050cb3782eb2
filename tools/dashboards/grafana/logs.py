"""The path of log lines: how many arrive, how late, what is lost, and the state of Elasticsearch."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import (
    ANY_IS_BAD,
    ANY_IS_DOUBTFUL,
    ONLY_ALL_IS_GOOD,
    Query,
    graph,
    number,
    threshold,
)

SENT = "logstore_filebeat_events"
REJECTED = 'elasticsearch_thread_pool_rejected_count{type=~"write|search"}'
BUDGET = "max(logstore_retention_budget_bytes)"


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "logs",
        "Logs",
        "Whether every line arrives, in time and readable, and whether there is room for it.",
        {
            "At a glance": [
                number(
                    "Elasticsearch green",
                    units.Short,
                    'min(elasticsearch_cluster_health_status{color="green"})',
                    scale=ONLY_ALL_IS_GOOD,
                ),
                number(
                    "Lines stored",
                    units.CountsPerSecond,
                    "sum(rate(elasticsearch_indices_indexing_index_total[$__rate_interval]))",
                ),
                number(
                    "Not read",
                    units.Short,
                    "sum(logstore_unparsed_documents)",
                    scale=ANY_IS_DOUBTFUL,
                ).description("Of the last quarter of an hour."),
                number(
                    "Refused", units.Short, "sum(logstore_invalid_documents)", scale=ANY_IS_BAD
                ).description("Of the last quarter of an hour."),
                number(
                    "Of the budget",
                    units.PercentUnit,
                    f"sum(logstore_bytes) / scalar({BUDGET})",
                    limit="vector(1.1)",
                ),
                number(
                    "Tidied up",
                    units.DateTimeFromNow,
                    "1000 * max(logstore_retention_last_run_timestamp_seconds)",
                ).description("When the oldest was last deleted, if there was need."),
            ],
            "Arriving": [
                graph(
                    "Lines by source",
                    units.CountsPerSecond,
                    Query("sum by (dataset) (deriv(logstore_documents[5m]))", "{{dataset}}"),
                    stacked=True,
                ),
                graph(
                    "Since the newest line",
                    units.Seconds,
                    Query("max by (dataset) (logstore_lag_seconds)", "{{dataset}}"),
                    limit=threshold("log_lag_seconds"),
                ),
                graph(
                    "Not read, by source",
                    units.Short,
                    Query("sum by (dataset) (logstore_unparsed_documents)", "{{dataset}}"),
                    limit=threshold("unparsed_lines"),
                ),
                graph(
                    "Kept, by source",
                    units.BytesIEC,
                    Query("sum by (dataset) (logstore_bytes)", "{{dataset}}"),
                    stacked=True,
                    limit=BUDGET,
                ),
            ],
            "Filebeat": [
                graph(
                    "Lines taken from each host",
                    units.CountsPerSecond,
                    Query(f"sum by (node) (rate({SENT}_acked_total[$__rate_interval]))", "{{node}}"),
                    stacked=True,
                ),
                graph(
                    "Read and not taken yet",
                    units.Short,
                    Query(f"sum by (node) ({SENT}_active)", "{{node}}"),
                ),
                graph(
                    "Sent again, and given up",
                    units.CountsPerSecond,
                    Query(f"sum by (node) (rate({SENT}_failed_total[$__rate_interval]))", "{{node}} again"),
                    Query(
                        f"sum by (node) (rate({SENT}_dropped_total[$__rate_interval]))", "{{node}} given up"
                    ),
                ),
            ],
            "Elasticsearch": [
                graph(
                    "Memory of its heap",
                    units.BytesIEC,
                    Query('sum by (name) (elasticsearch_jvm_memory_used_bytes{area="heap"})', "{{name}}"),
                    limit='min(elasticsearch_jvm_memory_max_bytes{area="heap"})',
                ),
                graph(
                    "Free on its disk",
                    units.BytesIEC,
                    Query("min by (name) (elasticsearch_filesystem_data_available_bytes)", "{{name}}"),
                ),
                graph(
                    "Indices that can only be read",
                    units.Short,
                    Query("max(elasticsearch_indices_settings_stats_read_only_indices)", "indices"),
                ),
                graph(
                    "Refused for lack of time or memory",
                    units.CountsPerSecond,
                    Query(
                        f"sum by (type) (rate({REJECTED}[$__rate_interval]))",
                        "{{type}}",
                    ),
                    Query(
                        "sum by (breaker) (rate(elasticsearch_breakers_tripped[$__rate_interval]))",
                        "{{breaker}}",
                    ),
                ),
            ],
        },
    )
