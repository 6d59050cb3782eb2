"""What was done and why, as lines of JSON."""

import json
import sys
from datetime import UTC, datetime


def record(event: str, **details: object) -> None:
    """Write one line to standard output, where the logs are collected.

    Args:
        event: What happened, in a few words that stay the same.
        details: What it happened to.
    """
    line = {"time": datetime.now(UTC).isoformat(), "event": event, **details}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()
