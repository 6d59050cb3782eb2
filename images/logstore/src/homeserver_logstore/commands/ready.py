"""Waits until Elasticsearch takes data: every alias that lines are sent to has an index."""

import argparse
import time
from collections.abc import Sequence

from homeserver_logstore.audit import record
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError
from homeserver_logstore.indices import ALIASES, behind

_PAUSE = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("aliases", nargs="*", default=ALIASES, help="the aliases (default: all of the logs)")
    parser.add_argument("--any", action="store_true", help="wait for no index, only for Elasticsearch itself")


def run(arguments: argparse.Namespace) -> int:
    """Wait without a time limit, and report each change of the reason."""
    elasticsearch = Elasticsearch.from_environment()
    reported = ""
    while missing := _missing(elasticsearch, [] if arguments.any else arguments.aliases):
        if missing != reported:
            record("waiting", message=f"waiting: {missing}")
            reported = missing
        time.sleep(_PAUSE)
    return 0


def _missing(elasticsearch: Elasticsearch, aliases: Sequence[str]) -> str:
    """Return what is missing; empty if everything exists."""
    try:
        if not aliases:
            elasticsearch.get("_cluster/health", wait_for_status="yellow", timeout="1s")
        there = [alias for alias in aliases if any(behind(elasticsearch, alias).values())]
    except (RefusedError, UnreachableError) as error:
        return str(error)
    missing = [alias for alias in aliases if alias not in there]
    return f"no index behind {', '.join(missing)}" if missing else ""
