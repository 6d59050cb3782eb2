"""The dashboards' files are current and consistent with each other, with the alerts and with PromQL."""

import itertools
import json
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.models.dashboard import Dashboard as Typed

from harness import programs
from harness.dashboards import FILES, Dashboard, asked, choices, marks, panels, questions, read
from harness.roles import ROOT
from tools.dashboards.grafana import catalogue

DASHBOARDS = read()

every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def _links(dashboard: Dashboard) -> list[str]:
    return re.findall(r'"url": "(/d/[^"]+)"', json.dumps(dashboard))


def test_the_files_are_current() -> None:
    assert {path: path.read_text() for path in FILES} == dict(catalogue.render()), "make dashboards"


def test_files_of_removed_dashboards_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "FILES", tmp_path)
    (tmp_path / "server").mkdir()
    (tmp_path / "server/old.json").write_text("{}")

    catalogue.write()

    written = {path.relative_to(tmp_path) for path in tmp_path.glob("*/*")}
    assert written == {path.relative_to(ROOT / "roles/grafana/files/dashboards") for path in FILES}


def test_uids_are_unique_and_name_the_files() -> None:
    assert [path.stem for path in FILES] == [json.loads(path.read_text())["uid"] for path in FILES]
    assert len(DASHBOARDS) == len(FILES)


def test_titles_are_unique() -> None:
    assert len({dashboard["title"] for dashboard in DASHBOARDS.values()}) == len(DASHBOARDS)


@every_dashboard
def test_grafanas_types_know_every_field(dashboard: Dashboard) -> None:
    plugins.register_default_plugins()

    assert json.loads(catalogue.as_json(Typed.from_json(dashboard))) == dashboard


@every_dashboard
def test_every_panel_has_a_title_a_description_and_a_unit(dashboard: Dashboard) -> None:
    for panel in panels(dashboard):
        assert panel["title"]
        assert re.fullmatch(r"[A-Z0-9].+\.", panel["description"]), panel["title"]
        assert panel["fieldConfig"]["defaults"].get("unit"), panel["title"]


@every_dashboard
def test_no_two_panels_of_a_section_have_the_same_title(dashboard: Dashboard) -> None:
    section = itertools.accumulate(panel["type"] == "row" for panel in dashboard["panels"])
    titles = Counter(zip(section, (panel["title"] for panel in dashboard["panels"]), strict=True))

    assert [title for title, number in titles.items() if number > 1] == []


@every_dashboard
def test_panels_do_not_overlap(dashboard: Dashboard) -> None:
    cells = Counter(
        cell
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for cell in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    )

    assert max(cells.values()) == 1
    assert max(x for x, _ in cells) < 24


@every_dashboard
def test_every_panel_has_a_unique_id(dashboard: Dashboard) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]

    assert len(set(numbers)) == len(numbers)


@every_dashboard
def test_every_variable_is_used_and_every_used_one_exists(dashboard: Dashboard) -> None:
    used = {
        name
        for question in questions(dashboard)
        for name in re.findall(r"\$(\w+)", question.expr)
        if not name.startswith("__")
    }

    assert used == {choice.name for choice in choices(dashboard)}


@every_dashboard
def test_every_link_leads_to_a_dashboard_and_sets_its_variables(dashboard: Dashboard) -> None:
    for url in _links(dashboard):
        uid = re.match(r"/d/([\w-]+)", url)
        assert uid
        there = DASHBOARDS[uid[1]]
        assert set(re.findall(r"var-(\w+)=", url)) <= {choice.name for choice in choices(there)}, url


@every_dashboard
def test_a_link_of_a_table_names_one_of_its_columns(dashboard: Dashboard) -> None:
    for panel in panels(dashboard):
        columns = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
        assert set(re.findall(r"__data\.fields\.(\w+)", json.dumps(panel))) <= columns


@every_dashboard
def test_every_threshold_belongs_to_an_alert(dashboard: Dashboard) -> None:
    defaults = yaml.safe_load((ROOT / "roles/prometheus/defaults/main.yml").read_text())
    drawn = re.findall(r"homeserver:alert_threshold:(\w+)", json.dumps(dashboard))

    assert set(drawn) <= set(defaults["prometheus_alert_thresholds"])


@every_dashboard
def test_every_recorded_series_has_a_rule(dashboard: Dashboard) -> None:
    rules = [*(ROOT / "roles/prometheus").glob("files/rules/*.yml")]
    rules.append(ROOT / "roles/prometheus/templates/thresholds.rules.yml.j2")
    recorded = {name for file in rules for name in re.findall(r"record: (\S+)", file.read_text())}
    asked_for = {
        name
        for question in questions(dashboard)
        for name in re.findall(r"\b[a-z_]+:[a-z0-9_:]+", question.expr)
        if not name.startswith("homeserver:alert_threshold:")  # the test above checks these
    }

    assert asked_for <= recorded


@pytest.fixture(scope="module")
def promtool() -> Path:
    return programs.promtool()


@every_dashboard
def test_prometheus_can_read_every_expression(dashboard: Dashboard, promtool: Path, tmp_path: Path) -> None:
    expressions = [question.expr for question in asked(dashboard)]
    expressions += marks(dashboard)
    expressions += [f"count({choice.series})" for choice in choices(dashboard)]
    rules = [{"record": f"question:{number}", "expr": expr} for number, expr in enumerate(expressions)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "questions", "rules": rules}]}))

    run = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
