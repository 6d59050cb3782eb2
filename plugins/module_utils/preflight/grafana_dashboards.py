"""The dashboards of an owner: finds their flaws, and prepares their text for Grafana."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from .problem import Problem

OPTIONAL_SOURCES = {"elasticsearch": "grafana_elasticsearch_url", "jaeger": "grafana_jaeger_url"}
"""Optional data sources by uid, with the variable that enables each."""

LARGEST = 1_000_000  # bytes; a ConfigMap holds 1 MiB

_UID = re.compile(r"[a-zA-Z0-9_-]{1,40}")


class Dashboard(NamedTuple):
    """A file for Grafana."""

    uid: str
    text: str


def load(paths: Iterable[str]) -> list[Dashboard]:
    """Read dashboards without flaws."""
    return [_dashboard(json.loads(_path(path).read_text())) for path in paths]


def flaws(paths: Iterable[str], taken: Iterable[str], missing: Iterable[str]) -> Iterator[Problem]:
    """Return all problems with the dashboards of an owner.

    Args:
        paths: their files.
        taken: the uids that other dashboards have.
        missing: the uids of the data sources that this home does not have.
    """
    owners = dict.fromkeys(taken, "a dashboard of this project")
    for path in paths:
        try:
            content = _read(path)
        except ValueError as error:
            yield Problem(f"{path} {error}", "export the dashboard from Grafana again, as JSON")
            continue
        dashboard = _dashboard(content)
        owner = owners.setdefault(dashboard.uid, path)
        if owner != path:
            yield Problem(f"{path} has the uid {dashboard.uid}, as has {owner}", 'give it another "uid"')
        for uid in sorted(set(missing) & set(_sources(json.loads(dashboard.text)))):
            yield Problem(
                f"{path} uses the data source {uid}, which this home does not have",
                f"set {OPTIONAL_SOURCES[uid]}, or remove the panels that use it",
            )


def _read(path: str) -> dict[str, Any]:
    """Read one file.

    Raises:
        ValueError: it is not a dashboard; the message continues a sentence that begins with its name.
    """
    try:
        content = json.loads(_path(path).read_text())
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("panels"), list):
        raise ValueError("is not a dashboard (it has no list of panels)")
    for key in ("uid", "title"):
        if not isinstance(content.get(key), str) or not content[key]:
            raise ValueError(f'is not a complete dashboard (it has no "{key}")')
    if not _UID.fullmatch(content["uid"]):
        raise ValueError(f"has the uid {content['uid']!r} (expected up to 40 letters, digits, - and _)")
    if len(_dashboard(content).text.encode()) > LARGEST:
        raise ValueError(f"is too large (more than {LARGEST} bytes)")
    return content


def _path(path: str) -> Path:
    return Path(path).expanduser()


def _dashboard(content: Mapping[str, Any]) -> Dashboard:
    """Replace placeholders in an exported dashboard with the data sources of this home."""
    text = json.dumps({key: value for key, value in content.items() if key != "__inputs"}, ensure_ascii=False)
    for asked in content.get("__inputs", []):
        if asked.get("type") == "datasource":
            text = text.replace(f"${{{asked['name']}}}", asked["pluginId"])
    return Dashboard(content["uid"], text)


def _sources(node: Any) -> Iterator[str]:
    """Find all data sources in a dashboard, by uid or, in old dashboards, by name."""
    if isinstance(node, list):
        for item in node:
            yield from _sources(item)
    elif isinstance(node, dict):
        source = node.get("datasource")
        named = source.get("uid") if isinstance(source, dict) else source
        if isinstance(named, str):
            yield named.lower()
        for value in node.values():
            yield from _sources(value)
