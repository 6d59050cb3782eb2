"""Each scenario has what its sequence of steps needs, so that `molecule test -s NAME` works from nothing."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.utils.vars import merge_hash
from ansible_collections.homeserver.stack.plugins.module_utils.components import pages

from harness.home import ROOT
from tests.lanes import STANDALONE

SCENARIOS = sorted(path.parent for path in (ROOT / "molecule").glob("*/molecule.yml"))
COMMON = yaml.safe_load((ROOT / "extensions/molecule/config.yml").read_text())
# Those that the scenario default takes for all; Molecule does, because they share their state.
SHARED = {"create", "destroy"}

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)


@cache
def _settings(scenario: Path) -> dict[str, Any]:
    own = yaml.safe_load((scenario / "molecule.yml").read_text()) or {}
    return dict(merge_hash(COMMON, own))


@every_scenario
def test_each_step_has_its_playbook_or_tests(scenario: Path) -> None:
    settings = _settings(scenario)
    playbooks = settings["ansible"].get("playbooks", {})
    steps = set(settings["scenario"]["test_sequence"])
    if scenario.name != "default":
        steps -= SHARED
    if "verify" in steps:
        assert list((scenario / settings["verifier"]["directory"]).glob("test_*.py"))
    for step in steps - {"idempotence", "verify"}:
        assert (scenario / playbooks.get(step, f"{step}.yml")).exists(), step


@every_scenario
def test_no_playbook_is_left_out(scenario: Path) -> None:
    """What no step runs, and no other file names, rots."""
    settings = _settings(scenario)
    steps = set(settings["scenario"]["test_sequence"]) - settings["ansible"].get("playbooks", {}).keys()
    others = "".join(path.read_text() for path in scenario.rglob("*") if path.suffix in (".py", ".yml"))
    playbooks = {path.name for path in scenario.glob("*.yml")} - {"molecule.yml"}

    assert {name for name in playbooks if Path(name).stem not in steps and name not in others} == set()


@every_scenario
def test_each_verifies_something(scenario: Path) -> None:
    assert "verify" in _settings(scenario)["scenario"]["test_sequence"]


def test_it_is_known_what_each_page_shows() -> None:
    """The scenario site asks for it, but only a machine would tell that a page is missing there."""
    text = (ROOT / "molecule/site/tests/test_pages.py").read_text()
    (shown,) = re.findall(r"^SHOWN = \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)

    assert {*pages()} - {*re.findall(r'^    "(.+?)": ', shown, re.MULTILINE)} == set()


def test_each_is_part_of_a_list() -> None:
    lists = "".join(path.read_text() for path in (ROOT / "tests/scenarios").glob("*.py"))
    names = {scenario.name for scenario in SCENARIOS} - {*STANDALONE}

    assert {name for name in names if f'"{name}"' not in lists and f'"{name}/' not in lists} == set()
