"""Incoming requests by route, status and browser."""

from tools.dashboards.kibana import fields, views
from tools.dashboards.kibana.objects import Control, Json, Panel, search
from tools.dashboards.kibana.page import HALF, NODE, page
from tools.dashboards.kibana.panels import (
    STATUS,
    By,
    Lines,
    exists,
    over_time,
    ranking,
    slowest,
    time_to_answer,
)

ANSWERED = (exists(fields.STATUS),)
TRAEFIK = Lines(fields.TRAEFIK, ANSWERED)
APPS = Lines(fields.APP, ANSWERED)
ROUTER = By(fields.ROUTER, "Route", most=15)
APP_ROUTE = By(fields.ROUTE, "Route", most=15)
BROWSER = By(fields.BROWSER, "Browser")


def build() -> list[Json]:
    """Build the dashboard."""
    return page(
        "traffic",
        "Requests from outside, by the route that they took, by status and by browser.",
        [
            [
                Panel(over_time("requests-by-status", "Requests by status", TRAEFIK, STATUS), HALF),
                Panel(time_to_answer("time-to-answer", "Time to answer", TRAEFIK), HALF),
            ],
            [
                Panel(
                    ranking("requests-by-route", "Requests by route of Traefik", TRAEFIK, ROUTER, STATUS),
                    HALF,
                ),
                Panel(slowest("slowest-routes", "95 of 100 answered within", TRAEFIK, ROUTER), HALF),
            ],
            [
                Panel(ranking("requests-by-browser", "Requests by browser", TRAEFIK, BROWSER, STATUS), HALF),
                Panel(
                    ranking(
                        "requests-by-app-route", "Logged requests by route of apps", APPS, APP_ROUTE, STATUS
                    ),
                    HALF,
                ),
            ],
            [Panel(_requests(), height=20)],
        ],
        [Control(fields.ROUTER, "Route", views.TRAEFIK), NODE],
    )


def _requests() -> Json:
    return search(
        "requests",
        "Requests",
        "What Traefik answered. The id of a trace leads to all that is known of the request.",
        views.TRAEFIK,
        [fields.METHOD, fields.PATH, fields.STATUS, fields.ROUTER, fields.DURATION, fields.TRACE],
    )
