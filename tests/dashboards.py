"""The committed dashboards, as the tests read them: which questions do they put to Prometheus?"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.static.roles import ROOT

FILES = sorted((ROOT / "roles/grafana/files/dashboards").glob("*/*.json"))
BY_GRAFANA = {"$__rate_interval": "2m", "$__range": "1h"}

Dashboard = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """An expression, and the panel that asks it.

    Attributes:
        over_time: Whether it is asked for a range of time, or only for now.
        exemplars: Whether the traces of single requests are asked for, too.
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
    """A variable, and the series and the label of theirs whose values can be chosen."""

    dashboard: str
    name: str
    series: str
    label: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.name}"


def read() -> dict[str, Dashboard]:
    """Every dashboard by its uid."""
    dashboards = [json.loads(file.read_text()) for file in FILES]
    return {dashboard["uid"]: dashboard for dashboard in dashboards}


def panels(dashboard: Dashboard) -> list[Dashboard]:
    """The panels that show something, without the headings between them."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def questions(dashboard: Dashboard) -> Iterator[Question]:
    """What the panels ask, as it is written there."""
    uid = dashboard["uid"]
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield Question(
                uid, panel["title"], target["expr"], target["range"], target.get("exemplar", False)
            )


def marks(dashboard: Dashboard) -> list[str]:
    """What is asked in order to mark something on every graph."""
    return [annotation["expr"] for annotation in dashboard["annotations"]["list"]]


def choices(dashboard: Dashboard) -> Iterator[Choice]:
    """The variables of a dashboard."""
    for variable in _variables(dashboard):
        asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
        assert asked, variable["query"]
        yield Choice(dashboard["uid"], variable["name"], asked[1], asked[2])


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard["templating"].get("list", [])
    return found


def asked(dashboard: Dashboard) -> Iterator[Question]:
    """What Prometheus gets to see, while all of every variable is chosen."""
    chosen = {f"${variable['name']}": variable["allValue"] for variable in _variables(dashboard)}
    for question in questions(dashboard):
        expr = question.expr
        for name, value in (BY_GRAFANA | chosen).items():
            expr = expr.replace(name, value)
        yield replace(question, expr=expr)
