"""Log lines as JSON."""

import json
import logging
from datetime import UTC, datetime


class Lines(logging.Formatter):
    """Writes each record as one line, with the id of its trace."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := getattr(getattr(record, "request", None), "trace", ""):
            line["trace"] = trace
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
