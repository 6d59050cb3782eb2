"""The use of disk space, and how long it will last."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import variables
from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import (
    HOST_COLUMN,
    Column,
    Query,
    Scale,
    graph,
    number,
    rows,
    threshold,
)

HOST = 'node=~"$host"'
BLOCKS, NEWEST = "prometheus_tsdb_storage_blocks_bytes", "prometheus_tsdb_wal_storage_size_bytes"
FREE = f"node_filesystem_avail_bytes{{{HOST}}}"
USED_RATIO = f"node:filesystem_used:ratio{{{HOST}}}"
# Only a disk that is filling has a predicted end; 365 days mean a year or more.
DAYS_LEFT = (
    f"min by (node, mountpoint) (clamp_max(node:filesystem_full:days{{{HOST}}}, 365))"
    f" or max by (node, mountpoint) (0 * {USED_RATIO} + 365)"
)
FILLED_IN_A_DAY = f"86400 * -deriv({FREE}[6h])"


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "storage",
        "Storage and disk budget",
        "Where the room on the disks goes, and how long it will last.",
        {
            "At a glance": [
                number(
                    "Free",
                    units.BytesIEC,
                    f"min({FREE})",
                ).description("On the disk with the least."),
                number("Days until a disk is full", units.Days, f"min({DAYS_LEFT})"),
                number("Budget", units.BytesIEC, "homeserver:storage_budget:bytes"),
                number(
                    "Metrics of their share",
                    units.PercentUnit,
                    f"max(({BLOCKS} + {NEWEST}) / prometheus_tsdb_retention_limit_bytes)",
                    scale=Scale(doubtful=1.1),
                ).description("When it is used up, the oldest metrics are dropped."),
                number(
                    "Metrics kept for",
                    units.Seconds,
                    "time() - min(prometheus_tsdb_lowest_timestamp_seconds)",
                ),
                number("Metrics", units.BytesIEC, f"sum({BLOCKS} + {NEWEST})"),
            ],
            "Disks": [
                rows(
                    "Every disk",
                    HOST_COLUMN,
                    Column("Mounted at", label="mountpoint"),
                    Column(
                        "Size",
                        expr=f"max by (node, mountpoint) (node_filesystem_size_bytes{{{HOST}}})",
                        unit=units.BytesIEC,
                    ),
                    Column("Free", expr=f"max by (node, mountpoint) ({FREE})", unit=units.BytesIEC),
                    Column(
                        "In use",
                        expr=f"max by (node, mountpoint) ({USED_RATIO})",
                        unit=units.PercentUnit,
                    ),
                    Column(
                        "Days until full",
                        expr=DAYS_LEFT,
                        unit=units.Days,
                    ),
                    sort_by="In use",
                ),
                graph(
                    "In use",
                    units.PercentUnit,
                    Query(USED_RATIO, "{{node}} {{mountpoint}}"),
                    limit=f"1 - {threshold('disk_free_percent')} / 100",
                ),
                graph("Free", units.BytesIEC, Query(FREE, "{{node}} {{mountpoint}}")),
            ],
            "Who takes it": [
                graph(
                    "Metrics",
                    units.BytesIEC,
                    Query(f"sum({BLOCKS})", "blocks"),
                    Query(f"sum({NEWEST})", "newest, not yet packed"),
                    limit="max(prometheus_tsdb_retention_limit_bytes)",
                    stacked=True,
                ),
                graph(
                    "Fills in a day by",
                    units.BytesIEC,
                    Query(FILLED_IN_A_DAY, "{{node}} {{mountpoint}}"),
                ).description("If it goes on as in the last six hours. Below zero it gets emptier."),
            ],
        },
        [variables.host()],
    )
