"""Saved objects of Kibana 8.19, as it exports and imports them: plain JSON with fixed ids."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Json = dict[str, Any]

PREFIX = "homeserver-"
"""The prefix of every object's id, to distinguish it from the owner's objects."""

WIDTH = 48
"""Columns of a dashboard."""

# Versions of Kibana's own schemas. Kibana migrates older ones, and rejects versions newer than its own.
_CORE = "8.8.0"
_TYPES = {"index-pattern": "8.0.0", "search": "8.0.0", "visualization": "8.5.0", "dashboard": "8.9.0"}
_SOURCE = "kibanaSavedObjectMeta.searchSourceJSON"


class Reference(NamedTuple):
    """A reference from one object to another."""

    name: str
    type: str
    id: str


class Where(NamedTuple):
    """A condition, shown above a search as a filter that can be disabled."""

    label: str
    query: Json
    negated: bool = False


class Panel(NamedTuple):
    """An object on a dashboard, and its size there."""

    shown: Json
    width: int = WIDTH
    height: int = 15


class Control(NamedTuple):
    """A field with a selection of values at the top of a dashboard."""

    field: str
    title: str
    view: Json


def compact(value: Any) -> str:
    """Write JSON that is a string within JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _object(kind: str, name: str, attributes: Json, references: Iterable[Reference] = ()) -> Json:
    return {
        "id": PREFIX + name,
        "type": kind,
        "attributes": attributes,
        "references": [reference._asdict() for reference in references],
        "coreMigrationVersion": _CORE,
        "typeMigrationVersion": _TYPES[kind],
        "managed": False,
    }


def data_view(name: str, title: str, indices: str, links: Mapping[str, str]) -> Json:
    """Create a data view; `links` are URL templates of fields, with their value as {{value}}."""
    formats = {
        field: {
            "id": "url",
            "params": {"urlTemplate": url, "labelTemplate": "{{value}}", "openLinkInCurrentTab": True},
        }
        for field, url in links.items()
    }
    attributes = {
        "title": indices,
        "name": title,
        "timeFieldName": "@timestamp",
        # A missing index is not an error.
        "allowNoIndex": True,
        "fieldFormatMap": compact(formats),
        "fields": "[]",
        "runtimeFieldMap": "{}",
        "sourceFilters": "[]",
    }
    return _object("index-pattern", name, attributes)


def search(  # noqa: PLR0913 (the parts of a search)
    name: str,
    title: str,
    description: str,
    view: Json,
    columns: Sequence[str],
    *,
    where: Sequence[Where] = (),
    order: str = "desc",
) -> Json:
    """Create a search that lists lines, newest first."""
    source = {
        "query": {"query": "", "language": "kuery"},
        "filter": [_pill(condition, number) for number, condition in enumerate(where)],
        "indexRefName": f"{_SOURCE}.index",
    }
    attributes = {
        "title": title,
        "description": description,
        "columns": list(columns),
        "sort": [["@timestamp", order]],
        "grid": {},
        "hideChart": False,
        "isTextBasedQuery": False,
        "timeRestore": False,
        "kibanaSavedObjectMeta": {"searchSourceJSON": compact(source)},
    }
    names = [f"{_SOURCE}.index", *(_pill_reference(number) for number in range(len(where)))]
    return _object("search", name, attributes, [Reference(each, view["type"], view["id"]) for each in names])


def _pill(condition: Where, number: int) -> Json:
    meta = {
        "type": "custom",
        "key": "query",
        "value": compact(condition.query),
        "alias": condition.label,
        "disabled": False,
        "negate": condition.negated,
        "indexRefName": _pill_reference(number),
    }
    return {"$state": {"store": "appState"}, "meta": meta, "query": condition.query}


def _pill_reference(number: int) -> str:
    return f"{_SOURCE}.filter[{number}].meta.index"


def visualization(name: str, title: str, description: str, kind: str, parameters: Json) -> Json:
    """Create a panel that uses this type of visualization."""
    state = {"title": title, "type": kind, "aggs": [], "params": parameters}
    attributes = {
        "title": title,
        "description": description,
        "uiStateJSON": "{}",
        "version": 1,
        "visState": compact(state),
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": compact({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
    }
    return _object("visualization", name, attributes)


def dashboard(  # noqa: PLR0913 (the parts of a dashboard)
    name: str,
    title: str,
    description: str,
    rows: Sequence[Sequence[Panel]],
    controls: Sequence[Control] = (),
    *,
    since: str = "now-24h",
) -> Json:
    """Create a dashboard with panels in rows, from top to bottom."""
    placed: list[Json] = []
    references: list[Reference] = []
    top = 0
    for row in rows:
        left = 0
        for panel in row:
            number = str(len(placed) + 1)
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height, "i": number}
            placed.append(
                {
                    "type": panel.shown["type"],
                    "gridData": place,
                    "panelIndex": number,
                    "embeddableConfig": {"enhancements": {}},
                    "panelRefName": f"panel_{number}",
                }
            )
            references.append(Reference(f"{number}:panel_{number}", panel.shown["type"], panel.shown["id"]))
            left += panel.width
        top += max(panel.height for panel in row)
    attributes = {
        "title": title,
        "description": description,
        "version": 1,
        "panelsJSON": compact(placed),
        "optionsJSON": compact(
            {
                "useMargins": True,
                "syncColors": False,
                "syncCursor": True,
                "syncTooltips": False,
                "hidePanelTitles": False,
            }
        ),
        "timeRestore": True,
        "timeFrom": since,
        "timeTo": "now",
        "refreshInterval": {"pause": True, "value": 60000},
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": compact({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
    }
    if controls:
        attributes["controlGroupInput"] = _control_group(controls)
        references += [
            Reference(
                f"controlGroup_{control.field}:optionsListDataView", control.view["type"], control.view["id"]
            )
            for control in controls
        ]
    return _object("dashboard", name, attributes, references)


def _control_group(controls: Sequence[Control]) -> Json:
    panels = {
        control.field: {
            "type": "optionsListControl",
            "order": order,
            "grow": True,
            "width": "large",
            "explicitInput": {
                "id": control.field,
                "fieldName": control.field,
                "title": control.title,
                "singleSelect": True,
                "searchTechnique": "prefix",
                "selectedOptions": [],
                "enhancements": {},
            },
        }
        for order, control in enumerate(controls)
    }
    heeded = {
        "ignoreFilters": False,
        "ignoreQuery": False,
        "ignoreTimerange": False,
        "ignoreValidations": False,
    }
    return {
        "chainingSystem": "HIERARCHICAL",
        "controlStyle": "oneLine",
        "showApplySelections": False,
        "ignoreParentSettingsJSON": compact(heeded),
        "panelsJSON": compact(panels),
    }
