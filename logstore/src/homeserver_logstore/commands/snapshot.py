"""Copies the newest indices, and removes copies that are too many."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.indices import STATE
from homeserver_logstore.settings import Settings
from homeserver_logstore.snapshots import take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--settings", type=Path, required=True, help="the file with what is set, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do it once, and leave a document that says what came of it."""
    elasticsearch = Elasticsearch.from_environment(timeout=3600)
    state = take(elasticsearch, Settings.read(arguments.settings))
    elasticsearch.put(f"{STATE}/_doc/snapshot", {"@timestamp": datetime.now(UTC).isoformat(), "state": state})
    return 0 if state == "SUCCESS" else 1
