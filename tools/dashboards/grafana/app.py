"""An app by rate, errors and duration of its requests, with their traces, and by browser."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import variables
from tools.dashboards.grafana.answers import answered_within, at_a_glance, time_to_answer
from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import STATUS_COLOURS, Query, graph, link, number, threshold

APP = 'namespace=~"$namespace", app=~"$app"'
OF = f'job="apps", {APP}'
REQUESTS = f"http_requests_total{{{OF}}}[$__rate_interval]"
FAILED = f'http_requests_total{{{OF}, status=~"5.."}}[$__rate_interval]'
# Without any failure there is no series of failures, so 0 times all requests replaces it.
ALL_BY_ROUTE = f"sum by (app, route) (rate({REQUESTS}))"
ERRORS_BY_ROUTE = f"(sum by (app, route) (rate({FAILED})) or 0 * {ALL_BY_ROUTE}) / {ALL_BY_ROUTE}"
LIMIT = f"{threshold('app_error_percent')} / 100"
DURATIONS = f"http_request_duration_seconds_bucket{{{OF}}}[$__rate_interval]"


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "app",
        "App",
        "Rate, errors and duration of requests; the dots are single ones, and lead to their traces.",
        {
            "At a glance": [
                *at_a_glance(REQUESTS, FAILED, DURATIONS, LIMIT),
                number("Being answered", units.Short, f"sum(http_requests_in_progress{{{OF}}})"),
                number(
                    "Pods",
                    units.Short,
                    f"count(up{{{OF}}} == 1)",
                ).data_links([link("Workloads", "workloads")]),
                number(
                    "Greetings in an hour",
                    units.Short,
                    f"round(sum(increase(homeserver_app_greetings_total{{{OF}}}[1h])))",
                ),
            ],
            "Rate": [
                graph(
                    "Requests by route",
                    units.RequestsPerSecond,
                    Query(ALL_BY_ROUTE, "{{app}} {{route}}"),
                    stacked=True,
                ),
                graph(
                    "Requests by status",
                    units.RequestsPerSecond,
                    Query(f"sum by (status) (rate({REQUESTS}))", "{{status}}"),
                    stacked=True,
                    colours=STATUS_COLOURS,
                ),
            ],
            "Errors": [
                graph(
                    "Errors by route",
                    units.PercentUnit,
                    Query(ERRORS_BY_ROUTE, "{{app}} {{route}}"),
                ),
                graph(
                    "Errors by browser",
                    units.PercentUnit,
                    Query(f"app:http_request_errors:ratio_rate5m{{{APP}}}", "{{app}} {{browser}}"),
                    limit=LIMIT,
                ),
            ],
            "Duration": [
                time_to_answer(DURATIONS, exemplars=True),
                graph(
                    "95 of 100 answered within, by route",
                    units.Seconds,
                    Query(
                        answered_within(95, DURATIONS, "app", "route"),
                        "{{app}} {{route}}",
                        exemplars=True,
                    ),
                ),
            ],
            "Browsers and pods": [
                graph(
                    "Requests by browser",
                    units.RequestsPerSecond,
                    Query(f"sum by (browser) (app:http_requests:rate5m{{{APP}}})", "{{browser}}"),
                    stacked=True,
                ),
                graph(
                    "Requests by pod",
                    units.RequestsPerSecond,
                    Query(f"sum by (pod) (rate({REQUESTS}))", "{{pod}}"),
                    stacked=True,
                ),
            ],
        },
        [variables.namespace(), variables.app()],
    )
