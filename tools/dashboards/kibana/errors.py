"""Errors: failed requests, the affected browsers, and the related log lines."""

from tools.dashboards.kibana import fields, views
from tools.dashboards.kibana.objects import Control, Json, Panel, Where, search
from tools.dashboards.kibana.page import HALF, NODE, page
from tools.dashboards.kibana.panels import ERRORS, FAILED, By, Lines, grid, over_time, ranking

REQUESTS = Lines(fields.APP, (FAILED,))
LINES = Lines(fields.ALL, (ERRORS,))
BROWSER = By(fields.BROWSER, "Browser")
ROUTE = By(fields.ROUTE, "Route", most=15)
POD = By(fields.POD, "Pod", most=15)
NAMESPACE = By(fields.NAMESPACE, "Namespace")
DATASET = By(fields.DATASET, "Source")


def build() -> list[Json]:
    """Build the dashboard."""
    return page(
        "errors",
        "Requests that were answered with 5xx, and lines of the level error and above.",
        [
            [
                Panel(over_time("failed-by-browser", "Failed requests by browser", REQUESTS, BROWSER), HALF),
                Panel(grid("failed-by-route-and-browser", "Where they fail", REQUESTS, BROWSER, ROUTE), HALF),
            ],
            [
                Panel(over_time("errors-by-source", "Lines of errors by source", LINES, DATASET), HALF),
                Panel(ranking("errors-by-pod", "Lines of errors by pod", LINES, POD, NAMESPACE), HALF),
            ],
            [Panel(_failed_requests(), height=18)],
            [Panel(_error_lines(), height=20)],
        ],
        [
            Control(fields.SERVICE, "Service", views.ALL),
            Control(fields.BROWSER, "Browser", views.ALL),
            NODE,
        ],
    )


def _failed_requests() -> Json:
    return search(
        "failed-requests",
        "Failed requests",
        "Requests that an app answered with a status from 500 on.",
        views.APP,
        [fields.METHOD, fields.PATH, fields.STATUS, fields.BROWSER, fields.POD, fields.TRACE],
        where=[Where("Status from 500 on", FAILED)],
    )


def _error_lines() -> Json:
    return search(
        "error-lines",
        "Lines of errors",
        "Lines of the level error and above, of everything, with the stack of an exception.",
        views.ALL,
        [fields.DATASET, fields.POD, fields.MESSAGE, fields.STACK, fields.TRACE],
        where=[Where("Level error and above", ERRORS)],
    )
