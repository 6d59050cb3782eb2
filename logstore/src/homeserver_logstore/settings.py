"""What the owner has set, as the role writes it down."""

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
        nodes: How many Elasticsearch there are.
        mappings_extra: Fields of the owner's and their types, by alias.
        processors_extra: Ingest processors of the owner's.
        geoip: Whether to look up where a client's address is.
        anonymize: Whether to keep only a part of clients' addresses.
        retention_days: How old a line gets.
        retention_bytes: What each node may keep.
        rollover_days: After how many days a new index is begun.
        rollover_bytes: At what size a new index is begun.
        snapshots_kept: How many snapshots are kept; 0 for none at all.
        snapshots_bytes: What all of them may take.
        snapshots_directory: Where they are, as Elasticsearch sees it.
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
        """Read them from a file with JSON."""
        return cls(**json.loads(path.read_text()))
