"""Tracing: every request has a trace id; spans are exported if an endpoint is set."""

import os

from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from homeserver_app import health
from homeserver_app.settings import Settings

# Seconds to retry a batch before it is dropped; also how long a hanging receiver can delay a stop.
EXPORT_SECONDS = 2

PROBES = rf"^https?://[^/]+(?:{'|'.join(health.PATHS)})$"


def install(app: Flask, settings: Settings) -> None:
    """Create a span for every request except probes, as a child of the caller's traceparent if any."""
    # The stable names of HTTP attributes, which Traefik uses too.
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    FlaskInstrumentor.instrument_app(  # type: ignore[no-untyped-call]
        app,
        tracer_provider=_provider(settings),
        response_hook=_hide_query,
        excluded_urls=PROBES,
        enable_commenter=False,
    )


def current_ids() -> dict[str, str]:
    """Return the trace_id and span_id of the current request; empty outside a request and in probes."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}


def _provider(settings: Settings) -> TracerProvider:
    provider = TracerProvider(resource=_resource(settings))
    if settings.tracing_endpoint:
        exporter = OTLPSpanExporter(f"{settings.tracing_endpoint}/v1/traces", timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _resource(settings: Settings) -> Resource:
    attributes = {
        "service.name": settings.name,
        "service.version": settings.revision,
        "k8s.pod.name": settings.pod,
        "k8s.namespace.name": settings.namespace,
        "k8s.node.name": settings.node,
    }
    return Resource.create({name: value for name, value in attributes.items() if value})


def _hide_query(span: trace.Span, _status: str, _headers: list[tuple[str, str]]) -> None:
    # A query may contain a secret, and the span does not need it.
    span.set_attribute("url.query", "")
