"""Where promtool is on the control machine, it says what Prometheus would refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.promtool import flaws

from harness import programs


@pytest.fixture
def _promtool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(programs.promtool().parent))


def _rules(tmp_path: Path, expression: str) -> str:
    file = tmp_path / "garage.yml"
    rule = {"alert": "GarageOpen", "expr": expression}
    file.write_text(json.dumps({"groups": [{"name": "garage", "rules": [rule]}]}))
    return str(file)


def _told(rules: list[str], scrape_configs: list[Any]) -> list[str]:
    return [str(each) for each in flaws(rules, scrape_configs)]


@pytest.mark.usefixtures("_promtool")
def test_what_prometheus_takes_has_no_flaws(tmp_path: Path) -> None:
    jobs = [{"job_name": "nas", "file_sd_configs": [{"files": ["nas.yml"]}]}]

    assert _told([_rules(tmp_path, "garage_open == 1")], jobs) == []


@pytest.mark.usefixtures("_promtool")
def test_a_wrong_expression_is_told_with_its_file(tmp_path: Path) -> None:
    path = _rules(tmp_path, "garage_open == = 1")

    (problem,) = _told([path], [])

    assert problem.startswith(f"{path} is refused by promtool: ")
    assert "parse error: unexpected" in problem
    assert "\n" not in problem


@pytest.mark.usefixtures("_promtool")
def test_a_wrong_scrape_configuration_is_told_without_its_values() -> None:
    (unknown,) = _told([], [{"job_name": "nas", "static_config": []}])
    (secret,) = _told([], [{"job_name": "nas", "basic_auth": "hush"}])

    assert "field static_config not found" in unknown
    assert secret.startswith("prometheus_scrape_configs is refused by promtool: ")
    assert "hush" not in secret


def test_without_promtool_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert _told([_rules(tmp_path, "garage_open == = 1")], []) == []
