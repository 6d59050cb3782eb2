"""The owner's settings, in the format that the role writes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """The settings of the indices.

    Attributes:
        nodes: The number of Elasticsearch nodes.
        mappings_extra: The owner's additional fields and types, by alias.
        processors_extra: The owner's additional ingest processors.
        geoip: Whether to look up the location of clients' addresses.
        anonymize: Whether to truncate clients' addresses.
        retention_days: The maximum age of a line.
        retention_bytes: The disk budget of each node.
        rollover_days: The maximum age of an index before rollover.
        rollover_bytes: The maximum size of an index before rollover.
        snapshots_kept: The number of snapshots to keep; 0 for none.
        snapshots_bytes: The disk budget of all snapshots.
        snapshots_directory: Their directory, as Elasticsearch sees it.
    """

    nodes: int = 1
    mappings_extra: Mapping[str, Object] = field(default_factory=dict)
    processors_extra: tuple[Object, ...] = ()
    geoip: bool = False
    anonymize: bool = False
    retention_days: int = 30
    retention_bytes: int = 16 << 30
    rollover_days: int = 1
    rollover_bytes: int = 1 << 30
    snapshots_kept: int = 0
    snapshots_bytes: int = 0
    snapshots_directory: str = ""

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read the settings from a JSON file."""
        return cls(**json.loads(path.read_text()))
