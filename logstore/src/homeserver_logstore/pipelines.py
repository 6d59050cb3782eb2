"""The ingest pipeline: what Elasticsearch itself adds to lines, or takes from them."""

from collections.abc import Collection
from typing import Any

from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.settings import Settings

Object = dict[str, Any]

_USER_AGENT: Object = {"user_agent": {"field": "user_agent.original", "ignore_missing": True}}
_GEOIP: Object = {"geoip": {"field": "client.ip", "target_field": "client.geo", "ignore_missing": True}}
# The last of four numbers, or all after the first three of eight groups.
_ANONYMIZE: list[Object] = [
    {"gsub": {"field": field, "pattern": pattern, "replacement": replacement, "ignore_missing": True}}
    for field in ("client.ip", "client.address")
    for pattern, replacement in (
        (r"^(\d+\.\d+\.\d+)\.\d+(:\d+)?$", "$1.0"),
        # What begins with zeros begins with two colons, as does an IPv4 address in an IPv6 one.
        (r"^\[?::.*$", "::"),
        (r"^\[?((?:[0-9a-fA-F]+:){1,3}).*$", "$1:"),
    )
]


class MissingProcessorError(Exception):
    """Something was asked for that this Elasticsearch cannot do; the message says what."""


def processors(elasticsearch: Elasticsearch) -> set[str]:
    """Return the kinds of processors that every node has."""
    nodes = elasticsearch.get("_nodes/ingest")["nodes"].values()
    kinds = [{each["type"] for each in node["ingest"]["processors"]} for node in nodes]
    return set.intersection(*kinds) if kinds else set()


def pipeline(settings: Settings, available: Collection[str]) -> tuple[Object, list[str]]:
    """Return the pipeline, and what is left out of it because its kind of processor is not there.

    Only what makes a search nicer is left out. Who wants addresses gone does not want them kept after all.

    Args:
        settings: What the owner has set.
        available: The kinds of processors there are.

    Raises:
        MissingProcessorError: What the owner has asked for cannot be done.
    """
    wished = [_USER_AGENT, *([_GEOIP] if settings.geoip else [])]
    missing = [kind for each in wished for kind in each if kind not in available]
    if settings.anonymize and "gsub" not in available:
        raise MissingProcessorError(
            "elk_client_addresses_anonymized: this Elasticsearch has no processor gsub, "
            "so addresses would be kept whole."
        )
    steps = [each for each in wished if not set(each) & set(missing)]
    steps += _ANONYMIZE if settings.anonymize else []
    found: Object = {"description": "Of the home server", "processors": [*steps, *settings.processors_extra]}
    # A line that one of them fails on is kept as it came.
    if "append" in available:
        found["on_failure"] = [{"append": {"field": "tags", "value": ["enrichment_failed"]}}]
    return found, missing
