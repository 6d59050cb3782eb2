"""The ingest pipeline: Elasticsearch's own changes to lines."""

from collections.abc import Collection
from typing import Any

from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.settings import Settings

Object = dict[str, Any]

_USER_AGENT: Object = {"user_agent": {"field": "user_agent.original", "ignore_missing": True}}
_GEOIP: Object = {"geoip": {"field": "client.ip", "target_field": "client.geo", "ignore_missing": True}}
# The last of four numbers, or everything after the first three of eight groups.
_ANONYMIZE: list[Object] = [
    {"gsub": {"field": field, "pattern": pattern, "replacement": replacement, "ignore_missing": True}}
    for field in ("client.ip", "client.address")
    for pattern, replacement in (
        (r"^(\d+\.\d+\.\d+)\.\d+(:\d+)?$", "$1.0"),
        # Leading zeros are written as two colons, as in an IPv4 address inside an IPv6 one.
        (r"^\[?::.*$", "::"),
        (r"^\[?((?:[0-9a-fA-F]+:){1,3}).*$", "$1:"),
    )
]


class MissingProcessorError(Exception):
    """A setting needs a processor that this Elasticsearch does not have; the message says which."""


def processors(elasticsearch: Elasticsearch) -> set[str]:
    """Return the processor types that every node has."""
    nodes = elasticsearch.get("_nodes/ingest")["nodes"].values()
    kinds = [{each["type"] for each in node["ingest"]["processors"]} for node in nodes]
    return set.intersection(*kinds) if kinds else set()


def pipeline(settings: Settings, available: Collection[str]) -> tuple[Object, list[str]]:
    """Return the pipeline, and the processor types that it omits because they are not available.

    Only optional processors are omitted. Anonymization is required if it is enabled, so that addresses are
    never kept by accident.

    Args:
        settings: The owner's settings.
        available: The available processor types.

    Raises:
        MissingProcessorError: A required processor is not available.
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
    # If a processor fails, the line is stored unchanged.
    if "append" in available:
        found["on_failure"] = [{"append": {"field": "tags", "value": ["enrichment_failed"]}}]
    return found, missing
