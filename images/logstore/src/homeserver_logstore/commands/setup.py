"""Sets up Elasticsearch for logs; can be repeated."""

import argparse
import sys
import time
from pathlib import Path

from homeserver_logstore.audit import record
from homeserver_logstore.client import (
    UNAUTHENTICATED,
    UNAVAILABLE,
    Elasticsearch,
    RefusedError,
    UnreachableError,
)
from homeserver_logstore.indices import ALIASES, PIPELINE, STATE, behind, changeable, mapping, template
from homeserver_logstore.pipelines import MissingProcessorError, pipeline, processors
from homeserver_logstore.settings import Settings
from homeserver_logstore.snapshots import REPOSITORY, restore


class Setup:
    """Configures Elasticsearch to match the settings; correct objects are left unchanged."""

    def __init__(self, elasticsearch: Elasticsearch, settings: Settings) -> None:
        """Name both."""
        self.elasticsearch = elasticsearch
        self._settings = settings

    def carry_out(self) -> None:
        """Set everything up.

        Raises:
            RefusedError: Elasticsearch rejects a step; earlier steps are done.
            MissingProcessorError: It lacks a processor that a setting needs.
        """
        self._pipeline()
        self._repository()
        if self._settings.snapshots_kept and self._is_new():
            restore(self.elasticsearch)
        for alias in ALIASES:
            self._index(alias)
        self._state()

    def is_done(self) -> bool:
        """Return whether every alias has an index to write to.

        Raises:
            UnreachableError: Elasticsearch does not respond.
        """
        return all(any(behind(self.elasticsearch, alias).values()) for alias in ALIASES)

    def _is_new(self) -> bool:
        """Return whether nothing was ever set up: its disk is new, or its data were lost."""
        begun = any(behind(self.elasticsearch, alias) for alias in ALIASES)
        return not begun and self.elasticsearch.find(f"{STATE}/_settings") is None

    def _pipeline(self) -> None:
        body, missing = pipeline(self._settings, processors(self.elasticsearch))
        for kind in missing:
            record("left out", processor=kind, reason="this Elasticsearch has no such processor")
        try:
            self.elasticsearch.put(f"_ingest/pipeline/{PIPELINE}", body)
        except RefusedError as error:
            raise _named(error, "elk_processors_extra", bool(self._settings.processors_extra)) from error

    def _index(self, alias: str) -> None:
        try:
            self.elasticsearch.put(f"_index_template/{alias}", template(alias, self._settings))
        except RefusedError as error:
            extra = alias in self._settings.mappings_extra
            raise _named(error, f"elk_mappings_extra of {alias}", extra) from error
        there = behind(self.elasticsearch, alias)
        if any(there.values()):
            self._renew(alias)
        else:  # none yet, or the newest was deleted
            number = max((int(index[-6:]) for index in there), default=0) + 1
            self.elasticsearch.put(f"{alias}-{number:06}", {"aliases": {alias: {"is_write_index": True}}})
            record("began", index=f"{alias}-{number:06}")

    def _renew(self, alias: str) -> None:
        """Apply the settings to existing indices; roll over an index whose field types cannot change."""
        self.elasticsearch.put(f"{alias}/_settings", {"index": changeable(alias, self._settings)})
        fields = mapping(alias, self._settings)
        try:
            self.elasticsearch.put(f"{alias}/_mapping", fields, write_index_only=True)
        except RefusedError as error:
            if error.status != 400:
                raise
            new_index = self.elasticsearch.post(f"{alias}/_rollover")["new_index"]
            record("began", index=new_index, reason=str(error))

    def _state(self) -> None:
        if self.elasticsearch.find(f"{STATE}/_settings") is None:
            index = {"number_of_shards": 1, "number_of_replicas": min(self._settings.nodes - 1, 1)}
            body = {"settings": {"index": index}, "mappings": {"dynamic": False, "properties": {}}}
            self.elasticsearch.put(STATE, body)

    def _repository(self) -> None:
        if self._settings.snapshots_kept:
            location = {"location": self._settings.snapshots_directory, "compress": True}
            self.elasticsearch.put(f"_snapshot/{REPOSITORY}", {"type": "fs", "settings": location})


def _named(error: RefusedError, option: str, of_the_owners: bool) -> RefusedError:
    """Name the setting that was rejected."""
    return RefusedError(error.status, error.type, f"{option}: {error}") if of_the_owners else error


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("--settings", type=Path, required=True, help="the settings file (JSON)")
    parser.add_argument("--patience", type=float, default=300, help="seconds to wait for Elasticsearch")


def run(arguments: argparse.Namespace) -> int:
    """Wait for Elasticsearch, and set everything up."""
    settings = Settings.read(arguments.settings)
    if unknown := settings.mappings_extra.keys() - set(ALIASES):
        print(f"elk_mappings_extra: there is no {', '.join(sorted(unknown))}", file=sys.stderr)  # noqa: T201
        return 1
    try:
        _retry(Setup(Elasticsearch.from_environment(), settings), arguments.patience)
    except MissingProcessorError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    record("done")
    return 0


def _retry(setup: Setup, seconds: float) -> None:
    """Start over when Elasticsearch goes away: it may be restarted with other settings or users."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            setup.elasticsearch.wait(max(deadline - time.monotonic(), 1))
            return setup.carry_out()
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        except RefusedError as error:
            if error.status not in (UNAUTHENTICATED, UNAVAILABLE) or time.monotonic() > deadline:
                raise
        time.sleep(1)
