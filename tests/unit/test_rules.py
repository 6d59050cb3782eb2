"""The rules, tested by Prometheus' own promtool, and what every alert needs."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import docs, promql
from harness.programs import promtool
from harness.roles import ROLES

ROOT = Path(__file__).parent.parent.parent
ROLE = ROOT / "roles/prometheus"
RULES = sorted(ROLE.glob("files/rules/*.yml"))
RUNBOOKS = ROOT / "docs/runbooks"
INDEX = RUNBOOKS / "README.md"
SECTIONS = ["What it means", "How to check", "How to fix"]

Rule = dict[str, Any]

every_file = pytest.mark.parametrize("rules", RULES, ids=lambda path: path.stem)


@cache
def _load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def _rules() -> Iterator[Rule]:
    for path in RULES:
        for group in _load(path)["groups"]:
            yield from group["rules"]


def _name(alert: Rule) -> str:
    return f"{alert['alert']}-{alert['labels']['severity']}"


RECORDS = [rule["record"] for rule in _rules() if "record" in rule]
ALERTS = [rule for rule in _rules() if "alert" in rule]
NAMES = sorted({alert["alert"] for alert in ALERTS})
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=_name)


def _tests() -> Iterator[dict[str, Any]]:
    for path in RULES:
        yield from _load(ROOT / "tests/rules" / path.name)["tests"]


def _cases(name: str) -> list[dict[str, list[bool]]]:
    """Return whether the alert fires over time, by severity, in each of its tests."""
    severities = [alert["labels"]["severity"] for alert in ALERTS if alert["alert"] == name]
    return [
        {severity: [_expects(case, severity) for case in asked] for severity in severities}
        for test in _tests()
        if (asked := [case for case in test.get("alert_rule_test", []) if case["alertname"] == name])
    ]


def _expects(case: dict[str, Any], severity: str) -> bool:
    return any(alert["exp_labels"]["severity"] == severity for alert in case.get("exp_alerts", []))


def _thresholds() -> dict[str, float]:
    defaults: dict[str, float] = _load(ROLE / "defaults/main.yml")["prometheus_alert_thresholds"]
    return defaults


def _threshold_rules() -> str:
    """Return the thresholds as the role records them."""
    rules = [
        {"record": f"homeserver:alert_threshold:{name}", "expr": f"vector({value})"}
        for name, value in _thresholds().items()
    ]
    return yaml.safe_dump({"groups": [{"name": "thresholds", "rules": rules}]})


@every_file
def test_the_alerts_fire_only_when_they_should(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "thresholds.yml").write_text(_threshold_rules())
    (tmp_path / rules.name).write_text(rules.read_text())
    (tmp_path / "test.yml").write_text((ROOT / "tests/rules" / rules.name).read_text())

    # It has memory to spare, and else collects garbage for a third of its time.
    environment = os.environ | {"GOGC": "800"}
    command = [str(promtool()), "test", "rules", "test.yml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@every_file
def test_promtool_finds_no_problem_in_the_rules(rules: Path) -> None:
    subprocess.run([promtool(), "check", "rules", "--lint=all", "--lint-fatal", rules], check=True)


def test_every_file_of_rules_has_a_file_of_tests() -> None:
    assert {path.name for path in (ROOT / "tests/rules").iterdir()} == {path.name for path in RULES}


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if alert["alert"] != "Watchdog"], ids=_name)
def test_each_alert_has_tests_in_which_it_fires_stays_silent_and_ends(alert: Rule) -> None:
    histories = [case[alert["labels"]["severity"]] for case in _cases(alert["alert"])]

    assert any(any(history) for history in histories)
    assert any(not any(history) for history in histories)
    assert any(True in history[:-1] and not history[-1] for history in histories)


@pytest.mark.parametrize("name", RECORDS)
def test_every_recorded_series_is_tested_or_used_by_an_alert(name: str) -> None:
    asked = [case["expr"] for test in _tests() for case in test.get("promql_expr_test", [])]
    alerted = [alert["expr"] for alert in ALERTS]

    assert any(name in expression for expression in asked + alerted)


@every_alert
def test_each_alert_has_its_labels_and_annotations(alert: Rule) -> None:
    assert re.fullmatch(r"[A-Z][a-z]+([A-Z][a-z]+)*", alert["alert"])
    assert alert["labels"].keys() == {"severity", "team"}
    assert alert["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert alert["annotations"].keys() == {"summary", "description", "runbook", "dashboard"}
    assert re.search(r"\$(labels|externalLabels)\.\w+", alert["annotations"]["description"])
    assert "$value" in alert["annotations"]["description"]
    assert alert["annotations"]["runbook"] == f"docs/runbooks/{alert['alert']}.md"


# Metrics that each node has. Some alerts only count nodes, and a pod that waits has none yet.
OF_A_NODE = ("node", "kubelet_", "container_", "k8s_node_", "k8s_container_", "smartctl_", "smartmon_")
OF_NO_NODE = {"ClusterStateMissing", "WorkloadIncomplete", "PodPending"}


@every_alert
def test_an_alert_about_a_node_names_it(alert: Rule) -> None:
    annotations = alert["annotations"]
    if any(metric.startswith(OF_A_NODE) for metric in promql.metrics(alert["expr"])):
        named = re.search(r"\$labels\.(node|instance)", annotations["summary"] + annotations["description"])
        assert bool(named) is (alert["alert"] not in OF_NO_NODE)


def test_each_severity_of_an_alert_exists_once() -> None:
    told = [(alert["alert"], alert["labels"]["severity"]) for alert in ALERTS]

    assert len(told) == len(set(told))


def test_every_threshold_is_used_and_every_used_one_exists() -> None:
    text = "".join(path.read_text() for path in RULES)

    assert set(re.findall(r"homeserver:alert_threshold:(\w+)", text)) == set(_thresholds())


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md") if path != INDEX) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_runbook_has_its_three_sections(name: str) -> None:
    title, *sections = re.split(r"^## ", (RUNBOOKS / f"{name}.md").read_text(), flags=re.MULTILINE)

    assert title.strip() == f"# {name}"
    assert [section.splitlines()[0] for section in sections] == SECTIONS
    assert [section for section in sections if len(section.splitlines()) < 3] == []


@pytest.mark.parametrize("name", NAMES)
def test_each_runbook_names_only_existing_options(name: str) -> None:
    prefixes = "|".join(role.name for role in ROLES)
    named = re.findall(rf"`((?:homeserver|{prefixes})_\w+)", (RUNBOOKS / f"{name}.md").read_text())
    known = {option for role in ROLES for option in role.options} | set(_thresholds())

    assert set(named) <= known


def test_the_index_lists_every_runbook_once() -> None:
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \|", INDEX.read_text(), re.MULTILINE)

    assert sorted(listed) == NAMES


def test_every_alert_that_needs_more_than_a_home_is_in_the_table() -> None:
    documented = docs.conditional_series()
    conditional = set().union(*documented.values())
    records = {rule["record"]: promql.metrics(rule["expr"]) for rule in _rules() if "record" in rule}
    asked = {
        alert["alert"]: metrics | set().union(*(records.get(metric, set()) for metric in metrics))
        for alert in ALERTS
        if (metrics := promql.metrics(alert["expr"]))
    }

    assert documented == {
        alert: series & conditional for alert, series in asked.items() if series & conditional
    }
