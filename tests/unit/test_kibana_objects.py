"""Kibana's saved objects are current, consistent, and valid for Kibana 8.19."""

import itertools
import json
import re
from collections import Counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.kibana import CLAUSES, FILE, Object, controls, of_type, read, source, specification
from tools.dashboards.kibana import catalogue
from tools.dashboards.kibana.objects import PREFIX, WIDTH
from tools.dashboards.kibana.page import TITLES

OBJECTS = read()
DASHBOARDS = of_type(OBJECTS, "dashboard")
SPECIFICATIONS = {
    each["attributes"]["title"]: found
    for each in of_type(OBJECTS, "visualization")
    if (found := specification(each))
}


def _closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT, SWITCH = {"type": "string"}, {"type": "boolean"}
NAME = {"type": "string", "minLength": 1}
JSON = {"type": "string", "pattern": r"^[\[{].*[\]}]$"}
META = _closed({"searchSourceJSON": JSON})
SORT = {"type": "array", "items": {"type": "array", "prefixItems": [TEXT, {"enum": ["asc", "desc"]}]}}
# The part of Kibana 8.19's schemas that is used here.
ATTRIBUTES = {
    "index-pattern": _closed(
        {
            "title": NAME,
            "name": NAME,
            "timeFieldName": {"const": "@timestamp"},
            "allowNoIndex": SWITCH,
            "fieldFormatMap": JSON,
            "fields": JSON,
            "runtimeFieldMap": JSON,
            "sourceFilters": JSON,
        }
    ),
    "search": _closed(
        {
            "title": NAME,
            "description": TEXT,
            "columns": {"type": "array", "items": NAME, "minItems": 1},
            "sort": SORT,
            "grid": {"type": "object"},
            "hideChart": SWITCH,
            "isTextBasedQuery": {"const": False},
            "timeRestore": SWITCH,
            "kibanaSavedObjectMeta": META,
        }
    ),
    "visualization": _closed(
        {
            "title": TEXT,
            "description": TEXT,
            "uiStateJSON": JSON,
            "version": {"const": 1},
            "visState": JSON,
            "kibanaSavedObjectMeta": META,
        }
    ),
    "dashboard": _closed(
        {
            "title": NAME,
            "description": NAME,
            "version": {"const": 1},
            "panelsJSON": JSON,
            "optionsJSON": JSON,
            "timeRestore": {"const": True},
            "timeFrom": TEXT,
            "timeTo": TEXT,
            "refreshInterval": _closed({"pause": SWITCH, "value": {"type": "integer"}}),
            "kibanaSavedObjectMeta": META,
        },
        controlGroupInput=_closed(
            {
                "chainingSystem": {"enum": ["NONE", "HIERARCHICAL"]},
                "controlStyle": {"enum": ["oneLine", "twoLine"]},
                "showApplySelections": SWITCH,
                "ignoreParentSettingsJSON": JSON,
                "panelsJSON": JSON,
            }
        ),
    ),
}
REFERENCE = _closed({"name": NAME, "type": {"enum": list(ATTRIBUTES)}, "id": NAME})
OBJECT = _closed(
    {
        "id": {"type": "string", "pattern": f"^{PREFIX}[a-z-]+$"},
        "type": {"enum": list(ATTRIBUTES)},
        "attributes": {"type": "object"},
        "references": {"type": "array", "items": REFERENCE},
        "coreMigrationVersion": {"const": "8.8.0"},
        "typeMigrationVersion": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "managed": {"const": False},
    }
)

every_object = pytest.mark.parametrize("each", OBJECTS, ids=lambda each: f"{each['type']} {each['id']}")
every_dashboard = pytest.mark.parametrize(
    "dashboard", DASHBOARDS, ids=lambda each: each["id"].removeprefix(PREFIX)
)
every_specification = pytest.mark.parametrize("asked", SPECIFICATIONS.values(), ids=SPECIFICATIONS)


def _texts_of_json(node: Any) -> list[str]:
    """Return every string that contains JSON for Kibana."""
    if isinstance(node, dict):
        named = [value for key, value in node.items() if re.search(r"JSON$|visState$|Map$", key)]
        return [text for text in named if isinstance(text, str)] + [
            text for value in node.values() for text in _texts_of_json(value)
        ]
    return [text for item in node for text in _texts_of_json(item)] if isinstance(node, list) else []


def test_the_file_is_current() -> None:
    assert FILE.read_text() == catalogue.render(), "make dashboards"


def test_it_is_written_where_the_role_reads_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "FILE", tmp_path / "kibana/objects.ndjson")

    catalogue.write()

    assert (tmp_path / "kibana/objects.ndjson").read_text() == FILE.read_text()


def test_these_are_the_dashboards() -> None:
    assert {each["attributes"]["title"] for each in DASHBOARDS} == {
        "Traffic",
        "Errors",
        "One request",
        "Cluster logs",
        "Pipeline health",
    }


@every_object
def test_kibana_knows_every_field(each: Object) -> None:
    Draft202012Validator(OBJECT).validate(each)
    Draft202012Validator(ATTRIBUTES[each["type"]]).validate(each["attributes"])
    assert [json.loads(text) for text in _texts_of_json(each["attributes"])]


def test_ids_are_unique() -> None:
    ids = [(each["type"], each["id"]) for each in OBJECTS]

    assert len(set(ids)) == len(ids)


def test_titles_of_a_kind_are_unique() -> None:
    titles = [(each["type"], each["attributes"]["title"]) for each in OBJECTS if each["attributes"]["title"]]

    assert len(set(titles)) == len(titles)


@every_object
def test_objects_come_after_their_references(each: Object) -> None:
    before = itertools.takewhile(lambda other: other is not each, OBJECTS)
    known = {(other["type"], other["id"]) for other in before}

    assert {(reference["type"], reference["id"]) for reference in each["references"]} <= known


@every_object
def test_every_reference_is_used(each: Object) -> None:
    text = json.dumps(each["attributes"])
    for reference in each["references"]:
        control = re.fullmatch(r"controlGroup_(.+):optionsListDataView", reference["name"])
        word = control[1] if control else reference["name"].rpartition(":")[2]
        assert f'"{word}' in text.replace("\\", ""), reference


def test_everything_is_shown_on_a_dashboard() -> None:
    shown = {reference["id"] for each in DASHBOARDS for reference in each["references"]}
    unused = [each["id"] for each in OBJECTS if each["type"] in ("search", "visualization")]

    assert set(unused) <= shown


@every_dashboard
def test_panels_do_not_overlap(dashboard: Object) -> None:
    places = [panel["gridData"] for panel in json.loads(dashboard["attributes"]["panelsJSON"])]
    cells = Counter(
        cell
        for place in places
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    )

    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) < WIDTH


@every_dashboard
def test_every_panel_and_control_has_its_reference(dashboard: Object) -> None:
    names = {reference["name"] for reference in dashboard["references"]}
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    wanted = {f"{panel['panelIndex']}:{panel['panelRefName']}" for panel in panels}
    wanted |= {f"controlGroup_{control['id']}:optionsListDataView" for control in controls(dashboard)}

    assert names == wanted


@every_dashboard
def test_the_node_is_chosen_by_what_every_line_has(dashboard: Object) -> None:
    fields = {control["title"]: control["fieldName"] for control in controls(dashboard)}

    # A request goes through several.
    expected = None if dashboard["id"] == f"{PREFIX}request" else "host.name"
    assert fields.get("Node") == expected


@every_dashboard
def test_every_dashboard_links_to_all_dashboards(dashboard: Object) -> None:
    (way,) = [each for each in OBJECTS if each["id"] == f"{PREFIX}way"]
    links = re.findall(r"\(#/view/([^)]+)\)", way["attributes"]["visState"])

    assert {reference["id"] for reference in dashboard["references"]} >= {way["id"]}
    assert links == [f"{PREFIX}{name}" for name in TITLES]
    assert set(links) == {each["id"] for each in DASHBOARDS}


def test_a_trace_id_links_to_its_whole_request() -> None:
    for view in of_type(OBJECTS, "index-pattern"):
        link = json.loads(view["attributes"]["fieldFormatMap"])["trace.id"]["params"]["urlTemplate"]
        assert link.startswith(f"/app/dashboards#/view/{PREFIX}request?")
        assert "trace.id:%22{{value}}%22" in link


@every_specification
def test_a_dashboards_filters_apply(asked: Object) -> None:
    query = asked["data"]["url"]["body"]["query"]["bool"]

    assert query["must"] == [CLAUSES[0]]
    assert query["filter"][:2] == [CLAUSES[1], {"range": {"@timestamp": {"%timefilter%": True}}}]
    assert query["must_not"] == [CLAUSES[2]]


@every_specification
def test_responses_have_a_limited_size(asked: Object) -> None:
    sizes = [int(size) for size in re.findall(r'"size": (\d+)', json.dumps(asked["data"]["url"]["body"]))]

    assert sizes
    assert max(sizes) <= 500


@pytest.mark.parametrize("each", of_type(OBJECTS, "search"), ids=lambda each: each["attributes"]["title"])
def test_a_search_starts_with_an_empty_query(each: Object) -> None:
    # Its conditions are filters, so that the query bar is free.
    assert source(each)["query"] == {"query": "", "language": "kuery"}


def test_every_panel_has_a_title_and_a_description() -> None:
    shown = [each for each in OBJECTS if each["type"] in ("visualization", "search", "dashboard")]
    untitled = {each["id"] for each in shown if not each["attributes"]["title"]}

    # Its row of links is its own title.
    assert untitled == {f"{PREFIX}way"}
    assert [
        each["id"]
        for each in shown
        if not re.fullmatch(r"[A-Z0-9].+\.", each["attributes"]["description"].replace("\n", " "))
    ] == []
