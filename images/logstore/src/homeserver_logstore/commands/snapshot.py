"""Creates a snapshot of the newest indices, and deletes old snapshots."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.indices import STATE
from homeserver_logstore.settings import Settings
from homeserver_logstore.snapshots import take


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--settings", type=Path, required=True, help="the settings file (JSON)")


def run(arguments: argparse.Namespace) -> int:
    """Run once, and store a document with the result."""
    elasticsearch = Elasticsearch.from_environment(timeout=3600)
    state = take(elasticsearch, Settings.read(arguments.settings))
    elasticsearch.put(f"{STATE}/_doc/snapshot", {"@timestamp": datetime.now(UTC).isoformat(), "state": state})
    return 0 if state == "SUCCESS" else 1
