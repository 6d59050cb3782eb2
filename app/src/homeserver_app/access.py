"""Metrics, access log and response headers of every request."""

import logging
import re
import time
import uuid

from flask import Flask, Response, g, request

from homeserver_app import browsers, health, tracing
from homeserver_app.metrics import Answer, Metrics

UNMATCHED = "unmatched"
FAILED = 400
SLOW_SECONDS = 1.0

log = logging.getLogger(__name__)


def install(app: Flask, metrics: Metrics, *, log_usual: bool) -> None:
    """Assign an id to every request, measure it, and log it.

    Args:
        app: The app.
        metrics: What measures it.
        log_usual: Whether requests that were answered well and soon are logged at the level info, too.
    """

    @app.before_request
    def start_request() -> None:
        g.started = time.perf_counter()
        g.request_id = _request_id()
        metrics.in_progress.inc()

    @app.after_request
    def finish_request(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        ids = tracing.current_ids()
        browser = browsers.family(request.user_agent.string)
        answer = Answer(request.method, route(), response.status_code, browser)
        metrics.observe(answer, seconds, ids.get("trace_id"))
        response.headers["X-Request-Id"] = g.request_id
        if ids:
            response.headers["X-Trace-Id"] = ids["trace_id"]
        failed_or_slow = answer.status >= FAILED or seconds >= SLOW_SECONDS
        asked = request.path not in health.PATHS
        _log_access(
            logging.INFO if asked and (failed_or_slow or log_usual) else logging.DEBUG, answer, seconds
        )
        return response

    @app.teardown_request
    def end_request(_error: BaseException | None) -> None:
        metrics.in_progress.dec()


def route() -> str:
    """Return the route's pattern instead of the path, to keep the number of label values small."""
    return request.url_rule.rule if request.url_rule else UNMATCHED


def _request_id() -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if re.fullmatch(r"[\w.-]{1,128}", given, re.ASCII) else uuid.uuid4().hex


def _log_access(level: int, answer: Answer, seconds: float) -> None:
    if not log.isEnabledFor(level):
        return
    fields = {
        "path": request.path,
        "status": answer.status,
        "duration_ms": round(seconds * 1000, 3),
        "user_agent": request.user_agent.string,
        "browser": answer.browser,
        "client_address": request.remote_addr,
    }
    log.log(level, "%s %s %s", request.method, request.path, answer.status, extra={"fields": fields})
