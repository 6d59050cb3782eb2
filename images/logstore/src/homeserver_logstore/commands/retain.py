"""Rolls over indices and deletes the oldest, to keep all within the maximum age and disk budget."""

import argparse
from pathlib import Path

from homeserver_logstore.audit import record
from homeserver_logstore.client import Elasticsearch, RefusedError
from homeserver_logstore.commands.setup import Setup
from homeserver_logstore.indices import STATE
from homeserver_logstore.retention import Retention
from homeserver_logstore.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--settings", type=Path, required=True, help="the settings file (JSON)")


def run(arguments: argparse.Namespace) -> int:
    """Run once, and store a document with the result."""
    elasticsearch, settings = Elasticsearch.from_environment(), Settings.read(arguments.settings)
    setup = Setup(elasticsearch, settings)
    if not setup.is_done():  # the volume was lost or an index deleted, and the setup Job has already finished
        setup.carry_out()
    outcome = Retention(elasticsearch, settings).carry_out()
    try:
        elasticsearch.put(f"{STATE}/_doc/retention", outcome)
    except RefusedError as error:  # the disk is full; the log contains the result too
        record("not noted", reason=str(error))
    record("done", **outcome)
    return 1 if outcome["failures"] else 0
