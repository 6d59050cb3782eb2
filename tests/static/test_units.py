"""The unit of a panel is that of its metric."""

import re

import pytest

from harness.dashboards import Dashboard, panels, questions, read

# The allowed units of a query: the first pattern that matches counts. Columns of tables have their own units.
UNITS = (
    (r"^1000 \* ", {"dateTimeFromNow"}),
    (r"^8 \* rate\(\w+_bytes_total", {"bps"}),
    (r"time\(\) - |- time\(\)", {"s"}),
    (r"histogram_quantile\(.*_seconds_bucket|_duration_seconds:p\d+", {"s"}),
    (r"probe_success\{.*\}\)$", {"bool_yes_no", "percentunit"}),
    (r"== bool [01]$", {"bool_yes_no"}),
    (r"^86400 \* -deriv\(\w+_bytes", {"bytes"}),
    (r":load15_per_core:", {"short", "none"}),
    (r":days\b", {"d"}),
    (r":celsius\b", {"celsius"}),
    (r"container_cpu_usage_seconds:rate", {"short"}),
    (r"^round\(sum\(increase\(|^sum by \(\w+\) \(increase\(", {"short"}),
    (r"^count\(|^count by |^\(sum\(k8s_\w+_desired|_health_status\{", {"short"}),
    (r" / |:ratio|^avg\b|== bool 1", {"percentunit"}),
    (r"rate\(\w*_seconds_total", {"percentunit"}),
    (r"rate\(\w+_bytes_total", {"binBps"}),
    (r"rate\(\w*(requests_total|_calls_total)|requests:rate", {"reqps"}),
    (r"rate\(node_network_\w+_drop", {"pps"}),
    (r"rate\(prometheus_(notifications|rule_evaluation)", {"eps"}),
    (r"(rate|deriv)\(", {"cps"}),
    (r"\w_bytes\b|:bytes\b|_bytes:sum", {"bytes"}),
    (r"\w_seconds\b", {"s"}),
    (r"", {"short"}),
)


# The ranges of queries that do not depend on the dashboard's time range.
SPANS = {
    ("workloads", "Restarts in an hour"): "1h",
    ("logs", "Lines by source"): "5m",
    ("prometheus", "Messages sent"): "1h",
    ("storage", "Fills in a day by"): "6h",
    ("app", "Greetings in an hour"): "1h",
}


def _unit_of_column(panel: Dashboard, question: str) -> str:
    (names,) = [
        each["options"]["renameByName"] for each in panel["transformations"] if each["id"] == "organize"
    ]
    title = names.get(f"Value #{question}") or names["Value"]
    (unit,) = [
        found["value"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == title
        for found in override["properties"]
        if found["id"] == "unit"
    ]
    return str(unit)


CASES = [
    pytest.param(panel, id=f"{uid}: {panel['title']}")
    for uid, dashboard in read().items()
    for panel in panels(dashboard)
    if panel["type"] != "table"
]
COLUMNS = [
    pytest.param(
        target["expr"], _unit_of_column(panel, target["refId"]), id=f"{panel['title']}: {target['expr']}"
    )
    for dashboard in read().values()
    for panel in panels(dashboard)
    if panel["type"] == "table"
    for target in panel["targets"]
]


def _units(expression: str) -> set[str]:
    return next(units for pattern, units in UNITS if re.search(pattern, expression))


@pytest.mark.parametrize("panel", CASES)
def test_a_panel_has_the_unit_of_its_metric(panel: Dashboard) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"] in _units(panel["targets"][0]["expr"])


@pytest.mark.parametrize(("expression", "unit"), COLUMNS)
def test_a_column_has_the_unit_of_its_metric(expression: str, unit: str) -> None:
    assert unit in _units(expression)


def test_fixed_ranges_match_the_panels_titles() -> None:
    """All other queries follow the dashboard's time range."""
    spans = {
        ((question.dashboard, question.asker), span)
        for dashboard in read().values()
        for question in questions(dashboard)
        for span in re.findall(r"\[(\d+\w)\]", question.expr)
    }

    assert spans == set(SPANS.items())
