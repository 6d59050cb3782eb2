"""Begins new indices, and deletes the oldest, so that all stays within its age and its budget."""

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
    parser.add_argument("--settings", type=Path, required=True, help="the file with what is set, as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do it once, and leave a document that says what came of it."""
    elasticsearch, settings = Elasticsearch.from_environment(), Settings.read(arguments.settings)
    setup = Setup(elasticsearch, settings)
    if not setup.is_done():  # its volume was lost; the Job that sets it up is long done
        setup.carry_out()
    outcome = Retention(elasticsearch, settings).carry_out()
    try:
        elasticsearch.put(f"{STATE}/_doc/retention", outcome)
    except RefusedError as error:  # the disk is full; the log says it too
        record("not noted", reason=str(error))
    record("done", **outcome)
    return 1 if outcome["failures"] else 0
