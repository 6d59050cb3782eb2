"""Waits until there is an index behind every name that lines are sent to."""

import argparse
import time
from collections.abc import Sequence

from homeserver_logstore.audit import record
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError
from homeserver_logstore.indices import ALIASES

_PAUSE = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("aliases", nargs="*", default=ALIASES, help="the names, if not all of the logs'")


def run(arguments: argparse.Namespace) -> int:
    """Wait for as long as it takes, and say for what whenever that is something else."""
    elasticsearch = Elasticsearch.from_environment()
    said = ""
    while missing := _missing(elasticsearch, arguments.aliases):
        if missing != said:
            record("waiting", message=f"waiting: {missing}")
            said = missing
        time.sleep(_PAUSE)
    return 0


def _missing(elasticsearch: Elasticsearch, aliases: Sequence[str]) -> str:
    """Say what is missing, nothing when all is there."""
    try:
        there = [alias for alias in aliases if _is_written_to(elasticsearch, alias)]
    except (RefusedError, UnreachableError) as error:
        return str(error)
    missing = [alias for alias in aliases if alias not in there]
    return f"no index behind {', '.join(missing)}" if missing else ""


def _is_written_to(elasticsearch: Elasticsearch, alias: str) -> bool:
    found = elasticsearch.find(f"_alias/{alias}") or {}
    return any(index["aliases"].get(alias, {}).get("is_write_index") for index in found.values())
