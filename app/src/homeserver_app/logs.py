"""Logs: one JSON object per event and line on standard output, from the app and from gunicorn."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from flask import g, has_request_context, request

from homeserver_app import tracing
from homeserver_app.access import route
from homeserver_app.settings import Settings


class JsonFormatter(logging.Formatter):
    """Formats a record as JSON, with the ids of the current request.

    A library for JSON logs would save the one call of `json.dumps`: the fields are the app's own.

    Pass a record's own fields as `extra={"fields": {...}}`.
    """

    def __init__(self, constants: dict[str, str]) -> None:
        """Add `constants` to every line."""
        super().__init__()
        self._constants = constants

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of JSON."""
        event: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        event |= self._constants | _request_fields() | getattr(record, "fields", {})
        if record.exc_info:
            event["stack"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def config(settings: Settings) -> dict[str, Any]:
    """Return the configuration for `logging.config.dictConfig`, which gunicorn takes as `logconfig_dict`."""
    origin = {
        "service": settings.name,
        "pod": settings.pod,
        "namespace": settings.namespace,
        "node": settings.node,
    }
    constants = {name: value for name, value in origin.items() if value}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonFormatter, "constants": constants}},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
        },
        "root": {"level": settings.log_level.upper(), "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": settings.log_level.upper(), "handlers": [], "propagate": True},
            # The app logs each request itself, with ids that gunicorn does not know.
            "gunicorn.access": {"level": "ERROR", "handlers": [], "propagate": False},
        },
    }


def _request_fields() -> dict[str, str]:
    if not has_request_context():
        return {}
    fields = {"request_id": g.get("request_id", ""), "method": request.method, "route": route()}
    return fields | tracing.current_ids()
