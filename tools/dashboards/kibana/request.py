"""All log lines of one request, by the id that the user saw."""

from tools.dashboards.kibana import fields, views
from tools.dashboards.kibana.objects import Control, Json, Panel, Where, search
from tools.dashboards.kibana.page import page
from tools.dashboards.kibana.panels import Lines, exists, moments, text

TRACED = exists(fields.TRACE)
TOLD = {
    "Level": fields.LEVEL,
    "Pod": fields.POD,
    "Status": fields.STATUS,
    "Message": fields.MESSAGE,
}
HOW = """
Choose the id above, or write `trace.id : "…"` into the bar. A user finds it on the page of the error, and in
the answer's header `X-Trace-Id`.
"""


def build() -> list[Json]:
    """Build the dashboard."""
    lines = Lines(fields.ALL, (TRACED,))
    return page(
        "request",
        "What Traefik and the apps wrote about one request, in the order in which it happened.",
        [
            [Panel(text("request-how", "How to find a request", HOW.strip()), height=5)],
            [Panel(moments("request-moments", "Who wrote when", lines, fields.DATASET, TOLD), height=10)],
            [Panel(_lines(), height=24)],
        ],
        [
            Control(fields.TRACE, "Id of the trace", views.ALL),
            Control(fields.REQUEST, "Id of the request", views.ALL),
        ],
        since="now-7d",
    )


def _lines() -> Json:
    return search(
        "request-lines",
        "Lines of the request",
        "From the first to the last.",
        views.ALL,
        [
            *(fields.DATASET, fields.POD, fields.LEVEL, fields.MESSAGE),
            *(fields.STATUS, fields.DURATION, fields.STACK, fields.TRACE),
        ],
        where=[Where("Belongs to a request", TRACED)],
        order="asc",
    )
