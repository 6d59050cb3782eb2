"""Kibana's objects, as the tests read them: which questions do they put to Elasticsearch?"""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.static.roles import ROOT

FILE = ROOT / "roles/elk/files/kibana/homeserver.ndjson"

Object = dict[str, Any]

# What Kibana puts in where its words are: the time that is chosen, and here no filters.
CLAUSES = (
    "%dashboard_context-must_clause%",
    "%dashboard_context-filter_clause%",
    "%dashboard_context-must_not_clause%",
)
TIME = {"gte": "now-24h", "lte": "now"}
INTERVAL = "10m"


@dataclass(frozen=True, eq=False)
class Question:
    """A search, and what asks for it.

    Attributes:
        asker: The title of a panel, of a saved search, or of a field to choose from.
        indices: What is searched.
        body: The search, as Elasticsearch takes it.
        answer: Where what is shown is in the answer, by its keys.
    """

    asker: str
    indices: str
    body: Object
    answer: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.asker} ({self.indices})"

    def found(self, answer: Object) -> list[Any]:
        """What an answer has to show."""
        shown: Any = answer
        for key in self.answer:
            shown = shown[key]
        return list(shown)


def read(text: str | None = None) -> list[Object]:
    """Every object of the file."""
    return [json.loads(line) for line in (text or FILE.read_text()).splitlines()]


def of_type(objects: list[Object], kind: str) -> list[Object]:
    """Those of one type."""
    return [each for each in objects if each["type"] == kind]


def specification(visualization: Object) -> Object | None:
    """The Vega-Lite specification of a panel; None if it shows something else."""
    state = json.loads(visualization["attributes"]["visState"])
    if state["type"] != "vega":
        return None
    found: Object = json.loads(state["params"]["spec"])
    return found


def source(each: Object) -> Object:
    """What an object searches."""
    found: Object = json.loads(each["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    return found


def controls(dashboard: Object) -> list[Object]:
    """The fields to choose from at the top of a dashboard."""
    group = dashboard["attributes"].get("controlGroupInput")
    return [panel["explicitInput"] for panel in json.loads(group["panelsJSON"]).values()] if group else []


def questions(objects: list[Object]) -> Iterator[Question]:
    """Everything that is asked, as Elasticsearch gets to see it."""
    views = {each["id"]: each["attributes"]["title"] for each in of_type(objects, "index-pattern")}
    for each in of_type(objects, "visualization"):
        if asked := specification(each):
            url, answer = asked["data"]["url"], asked["data"]["format"]["property"]
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
    asked = source(each)
    conditions = {False: [{"range": {"@timestamp": TIME}}], True: []}
    for pill in asked["filter"]:
        conditions[pill["meta"]["negate"]].append(pill["query"])
    attributes = each["attributes"]
    body = {
        "size": 500,
        "query": {"bool": {"filter": conditions[False], "must_not": conditions[True]}},
        "sort": [{field: order} for field, order in attributes["sort"]],
        "fields": attributes["columns"],
        "_source": False,
    }
    return Question(attributes["title"], views[references[asked["indexRefName"]]], body, ("hits", "hits"))


def _choice(asker: str, indices: str, field: str) -> Question:
    body = {
        "size": 0,
        "query": {"range": {"@timestamp": TIME}},
        "aggs": {"suggestions": {"terms": {"field": field, "size": 10}}},
    }
    return Question(asker, indices, body, ("aggregations", "suggestions", "buckets"))


def filled_in(body: Object) -> Object:
    """Put in what Kibana does."""
    found: Object = _filled_in(copy.deepcopy(body))
    return found


def _filled_in(node: Any) -> Any:
    if isinstance(node, list):
        return [_filled_in(item) for item in node if item not in CLAUSES]
    if not isinstance(node, dict):
        return node
    if node == {"%timefilter%": True}:
        return TIME
    if node == {"%autointerval%": True}:
        return INTERVAL
    return {key: _filled_in(value) for key, value in node.items()}


def fields(question: Question) -> set[str]:
    """Every field that a question names."""
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
