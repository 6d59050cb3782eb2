"""The logs of the cluster and its hosts."""

from tools.dashboards.kibana import fields, views
from tools.dashboards.kibana.objects import Control, Json, Panel, search
from tools.dashboards.kibana.page import HALF, NODE, page
from tools.dashboards.kibana.panels import By, Lines, over_time, ranking

CLUSTER = Lines(fields.KUBERNETES)
HOSTS = Lines(fields.HOSTS)
NAMESPACE = By(fields.NAMESPACE, "Namespace", most=15)
LEVEL = By(fields.LEVEL, "Level")
POD = By(fields.POD, "Pod", most=15)
CONTAINER = By(fields.CONTAINER, "Container", most=15)
HOST = By(fields.HOST, "Host")
UNIT = By(fields.UNIT, "Unit", most=15)


def build() -> list[Json]:
    """Build the dashboard."""
    return page(
        "cluster",
        "Lines of Kubernetes' pods and of the hosts.",
        [
            [
                Panel(over_time("lines-by-namespace", "Lines by namespace", CLUSTER, NAMESPACE), HALF),
                Panel(over_time("lines-by-level", "Lines by level", CLUSTER, LEVEL), HALF),
            ],
            [
                Panel(ranking("talkative-pods", "Pods that write most", CLUSTER, POD, CONTAINER), HALF),
                Panel(ranking("talkative-units", "Units of hosts that write most", HOSTS, UNIT, HOST), HALF),
            ],
            [Panel(_cluster_lines(), height=20)],
            [Panel(_host_lines(), height=16)],
        ],
        [Control(fields.NAMESPACE, "Namespace", views.ALL), NODE],
    )


def _cluster_lines() -> Json:
    return search(
        "cluster-lines",
        "Lines of the cluster",
        "What pods write that are neither Traefik nor apps.",
        views.KUBERNETES,
        [fields.NAMESPACE, fields.POD, fields.LEVEL, fields.MESSAGE],
    )


def _host_lines() -> Json:
    return search(
        "host-lines",
        "Lines of hosts",
        "The journals of the hosts.",
        views.HOSTS,
        [fields.HOST, fields.UNIT, fields.MESSAGE],
    )
