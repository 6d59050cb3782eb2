"""Requests through Traefik: how many, how many fail, and how long they take."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import variables
from tools.dashboards.grafana.answers import at_a_glance, time_to_answer
from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import (
    STATUS_COLOURS,
    Column,
    Query,
    graph,
    hosts,
    number,
    row_link,
    rows,
    threshold,
    yes_or_no,
)

TO = 'service=~"$service"'
REQUESTS = f"traefik_service_requests_total{{{TO}}}[$__rate_interval]"
FAILED = f'traefik_service_requests_total{{{TO}, code=~"5.."}}[$__rate_interval]'
DURATIONS = f"traefik_service_request_duration_seconds_bucket{{{TO}}}[$__rate_interval]"
ERROR_RATIO = f"service:traefik_request_errors:ratio_rate5m{{{TO}}}"
BUDGET = f"{threshold('traefik_error_budget_percent')} / 100"


def build() -> Dashboard:
    """Build the dashboard."""
    requests, errors, within = at_a_glance(REQUESTS, FAILED, DURATIONS, BUDGET)
    return page(
        "traefik",
        "Traefik",
        "Requests from outside, by the service that answers them.",
        {
            "At a glance": [
                requests,
                errors.description("Answers with a status from 500 on."),
                within,
                number("Open connections", units.Short, "sum(traefik_open_connections)"),
                number(
                    "Certificate lasts",
                    units.Seconds,
                    "min(traefik_tls_certs_not_after - time())",
                ),
                number(
                    "Routes read",
                    units.DateTimeFromNow,
                    "1000 * max(traefik_config_last_reload_success)",
                ).description("When Traefik last took over a change of its routes."),
            ],
            "By service": [
                rows(
                    "Services",
                    Column(
                        "Service", label="service", link=row_link("Service", "traefik", service="Service")
                    ),
                    Column(
                        "Requests",
                        expr=f"service:traefik_requests:rate5m{{{TO}}}",
                        unit=units.RequestsPerSecond,
                    ),
                    Column(
                        "Errors",
                        expr=ERROR_RATIO,
                        unit=units.PercentUnit,
                    ),
                    Column(
                        "95 of 100 within",
                        expr=f"service:traefik_request_duration_seconds:p95_5m{{{TO}}}",
                        unit=units.Seconds,
                    ),
                    sort_by="Requests",
                ),
            ],
            "Requests": [
                graph(
                    "Requests by service",
                    units.RequestsPerSecond,
                    Query(f"service:traefik_requests:rate5m{{{TO}}}", "{{service}}"),
                    stacked=True,
                ),
                graph(
                    "Requests by status",
                    units.RequestsPerSecond,
                    Query(f"sum by (code) (rate({REQUESTS}))", "{{code}}"),
                    stacked=True,
                    colours=STATUS_COLOURS,
                ),
                graph(
                    "Errors by service", units.PercentUnit, Query(ERROR_RATIO, "{{service}}"), limit=BUDGET
                ),
                time_to_answer(DURATIONS),
            ],
            "Traefik itself": [
                hosts(
                    yes_or_no("Answers", 'max by (node) (probe_success{job="probe", node!=""})'),
                    Column(
                        "In",
                        expr='max by (node) (probe_duration_seconds{job="probe", node!=""})',
                        unit=units.Seconds,
                    ),
                    Column(
                        "Requests",
                        expr="sum by (node) (rate(traefik_entrypoint_requests_total[$__rate_interval]))",
                        unit=units.RequestsPerSecond,
                    ),
                    sort_by="Requests",
                ),
                graph(
                    "Received and sent",
                    units.BytesPerSecondIEC,
                    Query("sum(rate(traefik_entrypoint_requests_bytes_total[$__rate_interval]))", "received"),
                    Query("sum(rate(traefik_entrypoint_responses_bytes_total[$__rate_interval]))", "sent"),
                ),
                graph(
                    "Requests by entry point",
                    units.RequestsPerSecond,
                    Query(
                        "sum by (entrypoint) (rate(traefik_entrypoint_requests_total[$__rate_interval]))",
                        "{{entrypoint}}",
                    ),
                    stacked=True,
                ),
            ],
        },
        [variables.service()],
    )
