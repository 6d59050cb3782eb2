"""`make mutants` makes one mistake at a time, each in another place, and the same ones every time."""

import ast
import json

import pytest
import yaml

from tools.mutants import mistakes
from tools.mutants.__main__ import Mutant, Verdict, all_mutants, chosen, report
from tools.mutants.areas import AREAS, BY_SCENARIO, ROOT

POLICY = """\
kind: NetworkPolicy
spec:
  ingress:
    - from:
        - podSelector:
            matchLabels:
              app: prometheus
      ports:
        - port: 9090
"""


def _made(text: str, finders: tuple[mistakes.Finder, ...]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for mistake in mistakes.find(text, finders):
        made.setdefault(mistake.kind, []).append(mistake.made_in(text))
    return made


def test_a_policy_is_dropped_opened_and_pointed_elsewhere() -> None:
    made = _made(POLICY, mistakes.MANIFESTS)
    rules = {kind: yaml.safe_load(texts[0])["spec"]["ingress"] for kind, texts in made.items()}

    assert rules["the ports of a policy opened"][0].keys() == {"from"}
    assert rules["another port"][0]["ports"] == [{"port": 9091}]
    assert rules["a peer of a policy dropped"][0]["from"] is None


def test_only_policies_get_other_ports() -> None:
    assert "another port" not in _made(POLICY.replace("NetworkPolicy", "Service"), mistakes.MANIFESTS)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("x = a == b", "x = a != b"),
        ("x = not a", "x = (a)"),
        ("x = a and b", "x = ((a) or (b))"),
        ("f(dry_run=True)", "f(dry_run=False)"),
        ("CHECKED = True", "CHECKED = False"),
    ],
)
def test_a_condition_of_a_program_is_negated(right: str, wrong: str) -> None:
    assert [text.strip() for texts in _made(right, (mistakes.program,)).values() for text in texts] == [wrong]


@pytest.mark.parametrize("harmless", ["x = a or {}", "run(check=False)", "x = 1"])
def test_code_where_a_mistake_has_no_effect_is_left_alone(harmless: str) -> None:
    assert _made(harmless, (mistakes.program,)) == {}


def test_a_program_with_a_mistake_can_still_be_read() -> None:
    mutants = [mutant for mutant in all_mutants() if mutant.area == "plugins"]

    for mutant in mutants:
        ast.parse(mutant.mistake.made_in((ROOT / mutant.file).read_text()))
    assert len(mutants) > 100


def test_every_area_has_mistakes_and_tests_that_exist() -> None:
    mutants = all_mutants()

    assert {mutant.area for mutant in mutants} == AREAS.keys()
    for mutant in {mutant.file: mutant for mutant in mutants}.values():
        tests = AREAS[mutant.area].tests(mutant.file)
        assert tests
        assert [test for test in tests if not (ROOT / test).is_file()] == []


def test_every_pattern_of_a_scenario_has_files() -> None:
    assert [pattern for pattern in BY_SCENARIO if not list(ROOT.glob(pattern))] == []


def test_the_sample_is_the_same_every_time_and_has_every_kind() -> None:
    mutants = all_mutants()
    sample = chosen(mutants, 60, seed=1)

    assert sample == chosen(mutants, 60, seed=1)
    assert sample != chosen(mutants, 60, seed=2)
    assert len(set(map(str, sample))) == 60
    assert {mutant.mistake.kind for mutant in sample} == {mutant.mistake.kind for mutant in mutants}


def test_the_report_names_the_survivors_and_the_share() -> None:
    mistake = mistakes.Mistake("a mistake", 0, 1, ("wrong",))
    caught, survivor = (Mutant("rules", file, mistake) for file in ("Makefile", "README.md"))
    text = report([Verdict(caught, "tests/a.py::b"), Verdict(survivor, "")])

    assert "README.md:1: a mistake: " in text
    assert "Makefile:1" not in text
    assert "1 of    2, 50 %" in text
    assert json.dumps(sorted(BY_SCENARIO)[0]).strip('"') in text
