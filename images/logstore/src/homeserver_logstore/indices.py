"""The indices: their fields, types and settings."""

from collections.abc import Mapping
from typing import Any

from homeserver_logstore.client import Elasticsearch
from homeserver_logstore.settings import Settings

Object = dict[str, Any]

LOGS = ("logs-traefik", "logs-app", "logs-kubernetes", "logs-host")
INVALID = "logs-invalid"
"""The index for lines that Elasticsearch rejected, stored as text."""
ALIASES = (*LOGS, INVALID)
"""The aliases that lines are written to; each points to the newest of several indices."""
PATTERNS = ("logs-*", "jaeger-*")
"""All indices that retention deletes from."""
STATE = "logstore"
"""The index with the last results: one document for each command that stores one."""
PIPELINE = "logs"

_ABOVE_TEMPLATES = 500
"""Elasticsearch has built-in templates for logs, with priority 100."""
_FIELDS = 400

# A term has at most 32766 bytes, and a character at most four.
_KEYWORD: Object = {"type": "keyword", "ignore_above": 1024}
_LONG_KEYWORD: Object = {"type": "keyword", "ignore_above": 8000}
_TEXT: Object = {"type": "text", "norms": False}
_LONG: Object = {"type": "long"}
_SORTED: Object = {"type": "long", "index": False}
# Each value is a term, whatever the names of the fields, which do not become fields of the index.
_ANYTHING: Object = {"type": "flattened", "ignore_above": 4096, "depth_limit": 20}

_TYPES: dict[str, Object] = {
    "@timestamp": {"type": "date"},
    "message": _TEXT,
    "tags": _KEYWORD,
    "stream": _KEYWORD,
    "json": _ANYTHING,
    "labels.browser": _KEYWORD,
    "client.address": _KEYWORD,
    "client.ip": {"type": "ip"},
    "client.geo.city_name": _KEYWORD,
    "client.geo.country_iso_code": _KEYWORD,
    "client.geo.country_name": _KEYWORD,
    "client.geo.region_name": _KEYWORD,
    "client.geo.location": {"type": "geo_point"},
    "container.image.name": _KEYWORD,
    "error.code": _KEYWORD,
    "error.message": _TEXT,
    "error.stack_trace": _TEXT,
    "error.type": _KEYWORD,
    "event.created": {"type": "date"},
    "event.dataset": _KEYWORD,
    "event.duration": _LONG,
    "host.name": _KEYWORD,
    "http.request.body.bytes": _LONG,
    "http.request.id": _KEYWORD,
    "http.request.method": _KEYWORD,
    "http.request.referrer": _LONG_KEYWORD,
    "http.response.body.bytes": _LONG,
    "http.response.status_code": _LONG,
    "http.route": _KEYWORD,
    "http.version": _KEYWORD,
    "kubernetes.container.name": _KEYWORD,
    "kubernetes.labels": _ANYTHING,
    "kubernetes.namespace": _KEYWORD,
    "kubernetes.node.name": _KEYWORD,
    "kubernetes.pod.name": _KEYWORD,
    "kubernetes.pod.uid": _KEYWORD,
    "log.file.path": _KEYWORD,
    "log.level": _KEYWORD,
    "log.logger": _KEYWORD,
    "log.offset": _SORTED,
    "log.origin.file.line": _LONG,
    "log.origin.file.name": _KEYWORD,
    "log.syslog.priority": _LONG,
    "process.pid": _LONG,
    "service.name": _KEYWORD,
    "service.version": _KEYWORD,
    "systemd.unit": _KEYWORD,
    "trace.id": _KEYWORD,
    "traefik.entry_point": _KEYWORD,
    "traefik.router": _KEYWORD,
    "traefik.service": _KEYWORD,
    "url.domain": _KEYWORD,
    "url.path": _LONG_KEYWORD,
    "url.query": _LONG_KEYWORD,
    "url.scheme": _KEYWORD,
    "user.name": _KEYWORD,
    "user_agent.device.name": _KEYWORD,
    "user_agent.name": _KEYWORD,
    "user_agent.original": _LONG_KEYWORD,
    "user_agent.os.full": _KEYWORD,
    "user_agent.os.name": _KEYWORD,
    "user_agent.os.version": _KEYWORD,
    "user_agent.version": _KEYWORD,
}

_INVALID_TYPES: dict[str, Object] = {
    "@timestamp": {"type": "date"},
    "message": _TEXT,
    "error.message": _TEXT,
    "error.type": _KEYWORD,
}


def mapping(alias: str, settings: Settings) -> Object:
    """Return the fields of an index and their types.

    Other fields are stored and shown, but not searchable; so a line cannot create fields.
    """
    types = _INVALID_TYPES if alias == INVALID else _TYPES
    properties: Object = {}
    for name, kind in types.items():
        *objects, last = name.split(".")
        inner = properties
        for each in objects:
            inner = inner.setdefault(each, {"properties": {}})["properties"]
        inner[last] = kind
    return {"dynamic": False, "properties": _merged(properties, settings.mappings_extra.get(alias, {}))}


def _merged(properties: Mapping[str, Any], extra: Mapping[str, Any]) -> Object:
    """Add fields to existing objects; the second argument takes precedence."""
    merged = dict(properties)
    for name, kind in extra.items():
        there = merged.get(name)
        if (
            isinstance(there, dict)
            and "properties" in there
            and isinstance(kind, dict)
            and "properties" in kind
        ):
            merged[name] = {**there, **kind, "properties": _merged(there["properties"], kind["properties"])}
        else:
            merged[name] = kind
    return merged


def changeable(alias: str, settings: Settings) -> Object:
    """Return the index settings that can be changed later."""
    found: Object = {
        "number_of_replicas": min(settings.nodes - 1, 1),
        # Explicit, so that it is refreshed even while nobody searches.
        "refresh_interval": "2s",
        "query.default_field": ["message", "error.message", "error.stack_trace"],
        "mapping.total_fields.limit": _FIELDS,
    }
    if alias != INVALID:
        found["default_pipeline"] = PIPELINE
    return found


def template(alias: str, settings: Settings) -> Object:
    """Return the template of the indices behind an alias."""
    index = {
        **changeable(alias, settings),
        "number_of_shards": 1,
        "codec": "best_compression",
        # A field with the wrong type is not indexed, but the line is.
        "mapping.ignore_malformed": True,
    }
    return {
        "index_patterns": [f"{alias}-*"],
        "priority": _ABOVE_TEMPLATES,
        "template": {"settings": {"index": index}, "mappings": mapping(alias, settings)},
        "_meta": {"managed_by": "homeserver"},
    }


def behind(elasticsearch: Elasticsearch, alias: str) -> dict[str, bool]:
    """Return the indices behind an alias, each with whether lines are written to it."""
    found = elasticsearch.find(f"_alias/{alias}") or {}
    return {
        index: bool(content["aliases"].get(alias, {}).get("is_write_index"))
        for index, content in found.items()
    }
