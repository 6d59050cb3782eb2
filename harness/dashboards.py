"""The committed dashboards, and their queries to Prometheus."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from harness.roles import ROOT

FILES = sorted((ROOT / "roles/grafana/files/dashboards").glob("*/*.json"))
BY_GRAFANA = {"$__rate_interval": "2m", "$__range": "1h"}

Dashboard = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """An expression, and the panel that uses it.

    Attributes:
        over_time: Whether it is a range query or an instant query.
        exemplars: Whether exemplars are queried too.
    """

    dashboard: str
    asker: str
    expr: str
    over_time: bool = True
    exemplars: bool = False

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.asker}: {self.expr}"


@dataclass(frozen=True)
class Choice:
    """A variable, and the series and the label that provide its values."""

    dashboard: str
    name: str
    series: str
    label: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.name}"


def read() -> dict[str, Dashboard]:
    """Return every dashboard by its uid."""
    dashboards = [json.loads(file.read_text()) for file in FILES]
    return {dashboard["uid"]: dashboard for dashboard in dashboards}


def panels(dashboard: Dashboard) -> list[Dashboard]:
    """Return the panels with content, without the headings between them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def questions(dashboard: Dashboard) -> Iterator[Question]:
    """Return the panels' queries, unchanged."""
    uid = dashboard["uid"]
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Question(
                uid, panel["title"], target["expr"], target["range"], target.get("exemplar", False)
            )


def marks(dashboard: Dashboard) -> list[str]:
    """Return the queries of the annotations on every graph."""
    return [annotation["expr"] for annotation in dashboard["annotations"]["list"]]


def choices(dashboard: Dashboard) -> Iterator[Choice]:
    """Return the variables of a dashboard."""
    for variable in _variables(dashboard):
        match = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        assert match, variable["query"]
        yield Choice(dashboard["uid"], variable["name"], match[1], match[2])


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard["templating"].get("list", [])
    return found


def asked(dashboard: Dashboard) -> Iterator[Question]:
    """Return the queries as Prometheus receives them when all values of every variable are selected."""
    chosen = {f"${variable['name']}": variable["allValue"] for variable in _variables(dashboard)}
    for question in questions(dashboard):
        expr = question.expr
        for name, value in (BY_GRAFANA | chosen).items():
            expr = expr.replace(name, value)
        yield replace(question, expr=expr)
