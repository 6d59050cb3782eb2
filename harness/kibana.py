"""Kibana's objects, and their queries to Elasticsearch."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.roles import ROOT

FILE = ROOT / "roles/elk/files/kibana/homeserver.ndjson"

Object = dict[str, Any]

# Kibana's replacements for its placeholders: the selected time range, and here no filters.
CLAUSES = (
    "%dashboard_context-must_clause%",
    "%dashboard_context-filter_clause%",
    "%dashboard_context-must_not_clause%",
)
TIME = {"gte": "now-24h", "lte": "now"}
INTERVAL = "10m"


@dataclass(frozen=True, eq=False)
class Question:
    """A query, and the object that uses it.

    Attributes:
        asker: The title of a panel, of a saved search, or of a control.
        indices: The indices to search.
        body: The query in Elasticsearch's format.
        answer: The path to the shown data in the response.
    """

    asker: str
    indices: str
    body: Object
    answer: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.asker} ({self.indices})"

    def found(self, answer: Object) -> list[Any]:
        """Return the shown data of a response."""
        shown: Any = answer
        for key in self.answer:
            shown = shown[key]
        return list(shown)


def read(text: str | None = None) -> list[Object]:
    """Return every object in the file."""
    return [json.loads(line) for line in (text or FILE.read_text()).splitlines()]


def of_type(objects: list[Object], kind: str) -> list[Object]:
    """Return the objects of one type."""
    return [each for each in objects if each["type"] == kind]


def specification(visualization: Object) -> Object | None:
    """Return the Vega-Lite specification of a panel; None if it has another type."""
    state = json.loads(visualization["attributes"]["visState"])
    if state["type"] != "vega":
        return None
    found: Object = json.loads(state["params"]["spec"])
    return found


def source(each: Object) -> Object:
    """Return the indices that an object searches."""
    found: Object = json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return found


@dataclass(frozen=True)
class Panel:
    """A picture on a dashboard, and where it is: the dashboard has 48 columns."""

    title: str
    specification: Object
    column: int
    row: int
    width: int
    height: int


def panels(objects: list[Object], title: str) -> Iterator[Panel]:
    """Return what Vega-Lite draws on the dashboard of this title."""
    (dashboard,) = [each for each in of_type(objects, "dashboard") if each["attributes"]["title"] == title]
    shown = {each["id"]: each for each in of_type(objects, "visualization")}
    ids = {each["name"].partition(":")[2]: each["id"] for each in dashboard["references"]}
    for panel in json.loads(dashboard["attributes"]["panelsJSON"]):
        each = shown.get(ids[panel["panelRefName"]])
        if each and (drawn := specification(each)):
            place = panel["gridData"]
            yield Panel(each["attributes"]["title"], drawn, *(place[key] for key in "xywh"))


def controls(dashboard: Object) -> list[Object]:
    """Return the controls at the top of a dashboard."""
    group = dashboard["attributes"].get("controlGroupInput")
    return [panel["explicitInput"] for panel in json.loads(group["panelsJSON"]).values()] if group else []


def questions(objects: list[Object]) -> Iterator[Question]:
    """Return all queries, as Elasticsearch receives them."""
    views = {each["id"]: each["attributes"]["title"] for each in of_type(objects, "index-pattern")}
    for each in of_type(objects, "visualization"):
        if spec := specification(each):
            url, answer = spec["data"]["url"], spec["data"]["format"]["property"]
            body = filled_in(url["body"])
            yield Question(each["attributes"]["title"], url["index"], body, tuple(answer.split(".")))
    for each in of_type(objects, "search"):
        yield _search(each, views)
    for dashboard in of_type(objects, "dashboard"):
        chosen_from = {
            reference["name"]: views.get(reference["id"], "") for reference in dashboard["references"]
        }
        for control in controls(dashboard):
            indices = chosen_from[f"controlGroup_{control['id']}:optionsListDataView"]
            yield _choice(
                f"{dashboard['attributes']['title']}: {control['title']}", indices, control["fieldName"]
            )


def _search(each: Object, views: dict[str, str]) -> Question:
    references = {reference["name"]: reference["id"] for reference in each["references"]}
    search = source(each)
    conditions = {False: [{"range": {"@timestamp": TIME}}], True: []}
    for pill in search["filter"]:
        conditions[pill["meta"]["negate"]].append(pill["query"])
    attributes = each["attributes"]
    body = {
        "size": 500,
        "query": {"bool": {"filter": conditions[False], "must_not": conditions[True]}},
        "sort": [{field: order} for field, order in attributes["sort"]],
        "fields": attributes["columns"],
        "_source": False,
    }
    return Question(attributes["title"], views[references[search["indexRefName"]]], body, ("hits", "hits"))


def _choice(asker: str, indices: str, field: str) -> Question:
    body = {
        "size": 0,
        "query": {"range": {"@timestamp": TIME}},
        "aggs": {"suggestions": {"terms": {"field": field, "size": 10}}},
    }
    return Question(asker, indices, body, ("aggregations", "suggestions", "buckets"))


def filled_in(body: Object, time: Object | None = None, interval: str = INTERVAL) -> Object:
    """Put in what Kibana does: the time that is chosen, by default the last day, and the width of a bar."""
    marks = {"%timefilter%": time or TIME, "%autointerval%": interval}
    found: Object = _filled_in(copy.deepcopy(body), marks)
    return found


def _filled_in(node: Any, marks: Object) -> Any:
    if isinstance(node, list):
        return [_filled_in(item, marks) for item in node if item not in CLAUSES]
    if not isinstance(node, dict):
        return node
    for mark, value in marks.items():
        if node == {mark: True}:
            return value
    return {key: _filled_in(value, marks) for key, value in node.items()}


def fields(question: Question) -> set[str]:
    """Return every field in a query."""
    return set(_fields(question.body))


def _fields(node: Any, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        if key in ("range", "terms", "term") and "field" not in node:
            yield from node
        for name, value in node.items():
            if name == "field" and isinstance(value, str):
                yield value
            elif name == "fields":
                yield from (item["field"] if isinstance(item, dict) else item for item in value)
            else:
                yield from _fields(value, name)
    elif isinstance(node, list):
        for item in node:
            yield from _fields(item, key)
