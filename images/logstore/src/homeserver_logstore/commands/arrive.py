"""Logs a marked line, and waits until it is found in Elasticsearch."""

import argparse
import os
import secrets
import sys
import time

from homeserver_logstore.arrival import Way, find
from homeserver_logstore.audit import record
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError

_PAUSE = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--seconds", type=float, required=True, help="timeout in seconds")
    parser.add_argument("--filebeat", required=True, help="host and port of Filebeat's metrics")
    parser.add_argument("--logstash", default="", help="URL of Logstash's metrics; empty without Logstash")


def run(arguments: argparse.Namespace) -> int:
    """Report how long it took, or at which hop the line was last seen."""
    elasticsearch = Elasticsearch.from_environment()
    way = Way(arguments.filebeat, arguments.logstash, os.environ["NODE_NAME"])
    marker = f"arrival{secrets.token_hex(8)}"
    started = time.monotonic()
    record("logged", message=f"looking whether this line arrives: {marker}")
    trouble = ""
    while time.monotonic() - started < arguments.seconds:
        try:
            found = find(elasticsearch, marker)
            trouble = ""
        except (RefusedError, UnreachableError) as error:
            found, trouble = None, str(error)
        if found and "logs-invalid" in found.where:
            reason = found.document.get("error.message") or found.document.get("error") or "no reason given"
            return _fail(f"Elasticsearch rejected it and stored it as invalid: {reason}")
        if found:
            record("arrived", seconds=round(time.monotonic() - started, 1), index=found.where)
            return 0
        time.sleep(_PAUSE)
    where = way.last_seen()
    late = f"it was not found in Elasticsearch within {arguments.seconds:g} s. It was last seen {where}."
    return _fail(" ".join([late, trouble]).strip())


def _fail(what: str) -> int:
    sys.stderr.write(f"A test line was logged, but {what}\n")
    return 1
