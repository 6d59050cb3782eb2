"""Checks whether Elasticsearch would accept the settings, and changes nothing."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from homeserver_logstore.client import UNAUTHENTICATED, Elasticsearch, RefusedError, UnreachableError
from homeserver_logstore.indices import ALIASES, template
from homeserver_logstore.pipelines import MissingProcessorError, pipeline, processors
from homeserver_logstore.settings import Settings


def problems(elasticsearch: Elasticsearch, settings: Settings) -> Iterator[str]:
    """Return what would be rejected, and why."""
    try:
        body, _ = pipeline(settings, processors(elasticsearch))
        example = {"_source": {"message": "an example"}}
        elasticsearch.post("_ingest/pipeline/_simulate", {"pipeline": body, "docs": [example]})
    except MissingProcessorError as error:
        yield str(error)
    except RefusedError as error:
        yield f"elk_processors_extra: {error}"
    for alias in settings.mappings_extra:
        if alias not in ALIASES:
            yield f"elk_mappings_extra: there is no {alias}; there are {', '.join(ALIASES)}"
            continue
        try:
            wanted = template(alias, settings)
            # Next to the existing template, which has the same priority.
            elasticsearch.post(
                "_index_template/_simulate", {**wanted, "index_patterns": [f"homeserver-check-{alias}"]}
            )
        except RefusedError as error:
            yield f"elk_mappings_extra of {alias}: {error}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "directory", type=Path, help="contains settings.json, connection.json, password and ca.crt"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print everything that would be rejected.

    If Elasticsearch does not run yet, or does not know a new password yet, the setup reports problems.
    """
    directory: Path = arguments.directory
    connection = json.loads((directory / "connection.json").read_text())
    password = (directory / "password").read_text().strip()
    elasticsearch = Elasticsearch(connection["url"], connection["user"], password, directory / "ca.crt", 20)
    settings = Settings.read(directory / "settings.json")
    try:
        elasticsearch.get("_cluster/health")
    except UnreachableError:
        return 0
    except RefusedError as error:
        if error.status == UNAUTHENTICATED:
            return 0
        raise
    found = list(problems(elasticsearch, settings))
    for problem in found:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if found else 0
