"""Whether lines arrive and can be parsed."""

from tools.dashboards.kibana import fields, views
from tools.dashboards.kibana.objects import Json, Panel, Where, search
from tools.dashboards.kibana.page import HALF, NODE, page
from tools.dashboards.kibana.panels import UNPARSED, By, Lines, exists, newest, over_time, ranking

LINES = Lines(fields.ALL)
OF_PODS = Lines(fields.ALL, (exists(fields.NODE),))
NOT_READ = Lines(fields.ALL, (UNPARSED,))
DATASET = By(fields.DATASET, "Source")
BY_NODE = By(fields.NODE, "Node")
POD = By(fields.POD, "Pod", most=15)


def build() -> list[Json]:
    """Build the dashboard."""
    return page(
        "pipeline",
        "Whether the lines of every source and node arrive, and which of them could not be read.",
        [
            [
                Panel(over_time("lines-by-source", "Lines by source", LINES, DATASET), HALF),
                Panel(newest("newest-lines", "Last line of each source", LINES, DATASET), HALF),
            ],
            [
                Panel(over_time("lines-by-node", "Lines of pods by node", OF_PODS, BY_NODE), HALF),
                Panel(ranking("unparsed-by-pod", "Not read, by pod", NOT_READ, POD, DATASET), HALF),
            ],
            [Panel(_unparsed_lines(), height=18)],
            [Panel(_refused_lines(), height=14)],
        ],
        [NODE],
    )


def _unparsed_lines() -> Json:
    return search(
        "unparsed-lines",
        "Lines that could not be read",
        "They are kept as they came.",
        views.ALL,
        [fields.DATASET, fields.POD, fields.MESSAGE, fields.TAGS],
        where=[Where("Could not be read", UNPARSED)],
    )


def _refused_lines() -> Json:
    return search(
        "refused-lines",
        "Lines that Elasticsearch refused",
        "They did not fit the index that they were for.",
        views.INVALID,
        [fields.REASON, fields.MESSAGE],
    )
