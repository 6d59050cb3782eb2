"""Traces: the behaviour of services by their spans, and whether all spans arrive."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import variables
from tools.dashboards.grafana.answers import answered_within
from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import Query, graph, number

OF = 'service_name=~"$traced"'
# Spans of received requests, not of outgoing ones.
ASKED = f'{OF}, span_kind="SPAN_KIND_SERVER"'
CALLS = f"traces_span_metrics_calls_total{{{ASKED}}}[$__rate_interval]"
FAILED = f'traces_span_metrics_calls_total{{{ASKED}, status_code="STATUS_CODE_ERROR"}}[$__rate_interval]'
DURATIONS = f"traces_span_metrics_duration_seconds_bucket{{{ASKED}}}[$__rate_interval]"
BY_SERVICE = f"sum by (service_name) (rate({CALLS}))"


def _spans(what: str, by: str, *, app: str = "collector|jaeger") -> str:
    """Return PromQL for spans per second; the counters' names may end in _total or not."""
    counted = f'{{__name__=~"otelcol_{what}_spans(_total)?", namespace="tracing", app=~"{app}"}}'
    return f"sum by ({by}) (rate({counted}[$__rate_interval]))"


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "traces",
        "Traces",
        "Requests by their spans, also of traces that are not kept; the dots lead to single ones.",
        {
            "At a glance": [
                number("Requests traced", units.RequestsPerSecond, f"sum(rate({CALLS}))"),
                number(
                    "Failed",
                    units.PercentUnit,
                    f"(sum(rate({FAILED})) or vector(0)) / sum(rate({CALLS}))",
                ),
                number("95 of 100 answered within", units.Seconds, answered_within(95, DURATIONS)),
                number(
                    "Spans arriving",
                    units.CountsPerSecond,
                    f"sum({_spans('receiver_accepted', 'app', app='collector')})",
                ),
                number(
                    "Spans kept",
                    units.CountsPerSecond,
                    f"sum({_spans('exporter_sent', 'app', app='jaeger')})",
                ),
                number("Traces take", units.BytesIEC, 'sum(logstore_bytes{dataset="traces"})').description(
                    "Within the budget of logs."
                ),
            ],
            "By service": [
                graph(
                    "Requests by service",
                    units.RequestsPerSecond,
                    Query(BY_SERVICE, "{{service_name}}"),
                    stacked=True,
                ),
                graph(
                    "Failed by service",
                    units.PercentUnit,
                    Query(
                        f"(sum by (service_name) (rate({FAILED})) or 0 * {BY_SERVICE}) / {BY_SERVICE}",
                        "{{service_name}}",
                    ),
                ),
                graph(
                    "95 of 100 answered within, by service",
                    units.Seconds,
                    Query(answered_within(95, DURATIONS, "service_name"), "{{service_name}}", exemplars=True),
                ),
                graph(
                    "95 of 100 answered within, by kind of request",
                    units.Seconds,
                    Query(
                        f"topk(10, {answered_within(95, DURATIONS, 'service_name', 'span_name')})",
                        "{{service_name}} {{span_name}}",
                    ),
                ),
            ],
            "On the way": [
                graph(
                    "Spans that arrive, and go on",
                    units.CountsPerSecond,
                    Query(_spans("receiver_accepted", "app"), "{{app}} took"),
                    Query(_spans("exporter_sent", "app"), "{{app}} passed on"),
                ),
                graph(
                    "Spans that are lost",
                    units.CountsPerSecond,
                    Query(_spans("receiver_refused", "app"), "{{app}} refused"),
                    Query(_spans("exporter_send_failed", "app"), "{{app}} could not deliver"),
                ),
                graph(
                    "Spans that wait",
                    units.Short,
                    Query('sum by (app) (otelcol_exporter_queue_size{namespace="tracing"})', "{{app}}"),
                    limit='min(otelcol_exporter_queue_capacity{namespace="tracing", app="collector"})',
                ),
                graph(
                    "Memory",
                    units.BytesIEC,
                    Query(
                        'sum by (container) (container_memory_working_set_bytes{namespace="tracing"})',
                        "{{container}}",
                    ),
                ),
            ],
        },
        [variables.traced()],
    )
