"""The audit log, as lines of JSON."""

import json
import sys
from datetime import UTC, datetime


def record(event: str, **details: object) -> None:
    """Write one line to standard output, which the log collector reads.

    Args:
        event: What happened, as a short fixed phrase.
        details: The objects and reasons, as fields of the line.
    """
    line = {"time": datetime.now(UTC).isoformat(), "event": event, **details}
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()
