"""`make mutants` makes one mistake at a time, each in another place, and the same ones every time."""

import ast
import subprocess
from pathlib import Path

import pytest
import yaml

from tools.mutants import mistakes
from tools.mutants.__main__ import (
    BaselineError,
    Mutant,
    Verdict,
    all_mutants,
    chosen,
    judged,
    report,
    shares,
)
from tools.mutants.areas import AREAS, BY_SCENARIO, ROOT, RUN_BY, Area
from tools.mutants.programs import program

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
        ("x = f(dry_run=True)", "x = f(dry_run=False)"),
        ("CHECKED = True", "CHECKED = False"),
        ("x = a[0]", "x = a[1]"),
        ("x = a[1:b]", "x = a[2:b]"),
        ("x = (a - 1) * b", "x = (a - 2) * b"),
        ("raise A", "pass"),
        ("a.b = c", "pass"),
        ("del a[b]", "pass"),
    ],
)
def test_a_mistake_of_a_program(right: str, wrong: str) -> None:
    assert [text.strip() for texts in _made(right, (program,)).values() for text in texts] == [wrong]


def test_a_bound_is_turned_round_and_moved_by_one() -> None:
    assert _made("x = a < b", (program,)) == {
        "a comparison turned round": ["x = a >= b\n"],
        "off by one": ["x = a <= b\n"],
    }


def test_a_statement_of_several_lines_is_dropped_whole() -> None:
    made = _made("if a:\n    b(\n        c,\n    )\nd = e\n", (program,))

    assert made == {"a statement dropped": ["if a:\n    pass\nd = e\n"]}


@pytest.mark.parametrize(
    "harmless", ["x = a or {}", "x = run(check=False)", "x = 1", "time.sleep(1)", '"""A."""']
)
def test_code_where_a_mistake_has_no_effect_is_left_alone(harmless: str) -> None:
    assert _made(harmless, (program,)) == {}


CONTAINER = """\
containers:
  - name: web
    env:
      - name: MODE
        value: safe
    readinessProbe:
      httpGet:
        path: /ready
    resources:
      limits:
        memory: 64Mi
    volumeMounts:
      - name: data
        mountPath: /data
        readOnly: true
"""


@pytest.mark.parametrize(
    ("kind", "where", "wrong"),
    [
        ("a variable of the environment dropped", "env", None),
        ("another path of a probe", "readinessProbe", {"httpGet": {"path": "/ready/x"}}),
        ("limits dropped", "resources", None),
        ("another limit", "resources", {"limits": {"memory": "64Gi"}}),
        ("a mount dropped", "volumeMounts", None),
    ],
)
def test_a_mistake_of_a_container(kind: str, where: str, wrong: object) -> None:
    right = yaml.safe_load(CONTAINER)["containers"][0]
    (made,) = _made(CONTAINER, mistakes.MANIFESTS)[kind]

    assert yaml.safe_load(made)["containers"] == [right | {where: wrong}]


TASKS = """\
- name: A check
  ansible.builtin.assert:
    that: a

- name: A task
  ansible.builtin.command: b
  become: false
  when:
    - c
    - d
  changed_when: false
"""


def test_a_mistake_of_a_task() -> None:
    check, task = yaml.safe_load(TASKS)
    made = {
        kind: [yaml.safe_load(text) for text in texts] for kind, texts in _made(TASKS, mistakes.TASKS).items()
    }

    assert made == {
        "a check dropped": [[task]],
        "when dropped": [[check, {key: value for key, value in task.items() if key != "when"}]],
        "become root": [[check, task | {"become": True}]],
    }


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("a: {{ size_gib }}Gi", "a: {{ (40) }}Gi"),
        ("{% if mode == 'safe' %}", "{% if ('fast') == 'safe' %}"),
        ("  when: half_gib | int > 1", "  when: (size_gib | int // 2) | int > 1"),
    ],
)
def test_an_option_is_replaced_by_its_default(right: str, wrong: str) -> None:
    defaults = {
        "size_gib": 40,
        "half_gib": "{{ size_gib | int // 2 }}",
        "mode": "fast",
        "file": "{{ a }}/{{ b }}",
    }

    assert _made(right, (mistakes.options(defaults),)) == {
        "an option replaced by its default": [f"{wrong}\n"]
    }


@pytest.mark.parametrize(
    "other", ["size_gib: 3", "{{ x.size_gib }}", "{{ size_gib is defined }}", "{{ file }}"]
)
def test_what_does_not_read_an_option_is_left_alone(other: str) -> None:
    assert _made(other, (mistakes.options({"size_gib": 40, "file": "{{ a }}/{{ b }}"}),)) == {}


def test_a_program_with_a_mistake_can_still_be_read() -> None:
    mutants = [mutant for mutant in all_mutants() if mutant.file.endswith(".py")]
    assert len(mutants) > 1000

    for mutant in mutants[::50]:
        ast.parse(mutant.mistake.made_in((ROOT / mutant.file).read_text()))


def test_every_area_has_mistakes_and_tests_that_exist() -> None:
    mutants = all_mutants()

    assert {mutant.area for mutant in mutants} == AREAS.keys()
    for mutant in {(mutant.area, mutant.file): mutant for mutant in mutants}.values():
        area = AREAS[mutant.area]
        tests = area.tests(mutant.file)
        assert tests
        assert [test for test in tests if not (ROOT / area.directory / test).is_file()] == []


def test_every_pattern_has_files() -> None:
    patterns = [*BY_SCENARIO, *RUN_BY, *(pattern for area in AREAS.values() for pattern in area.patterns)]

    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern.partition(": ")[0]))] == []


def test_what_is_left_to_a_scenario_has_a_test_there() -> None:
    for file, _, name in (test.partition("::") for test in BY_SCENARIO.values()):
        defined = [
            node.name
            for node in ast.parse((ROOT / file).read_text()).body
            if isinstance(node, ast.FunctionDef)
        ]
        assert name in defined


def test_each_area_has_its_share_and_not_too_few() -> None:
    assert shares({"large": 900, "small": 95, "tiny": 5}, 100) == {"large": 90, "small": 10, "tiny": 5}


def test_the_sample_is_the_same_every_time_and_has_many_kinds() -> None:
    mutants = all_mutants()
    sample = chosen(mutants, 60, seed=1)

    assert sample == chosen(mutants, 60, seed=1)
    assert sample != chosen(mutants, 60, seed=2)
    assert len(set(map(str, sample))) == len(sample)
    for area in AREAS:
        kinds = [
            {mutant.mistake.kind for mutant in some if mutant.area == area} for some in (sample, mutants)
        ]
        assert len(kinds[0]) == min(len(kinds[1]), sum(mutant.area == area for mutant in sample))


PROGRAM = "def big(number: int) -> bool:\n    return number is big\n"
TESTS = """\
import pytest
from thing import big

@pytest.fixture
def number():
    {fixture}

def test_of_numbers(number):
    assert not big(number)

@pytest.mark.skipif(not big(3), reason="not for small ones")
def test_of_the_big():
    assert False
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one program, where one mistake can be made."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "thing.py").write_text(PROGRAM)
    area = Area(("thing.py",), lambda text: mistakes.find(text, (program,)), lambda _: ["test_thing.py"])
    monkeypatch.setattr("tools.mutants.__main__.ROOT", tmp_path)
    monkeypatch.setattr("tools.mutants.__main__.AREAS", {"things": area})
    return tmp_path


def _judge(project: Path, tests: str) -> str:
    (project / "test_thing.py").write_text(tests)
    (mistake,) = mistakes.find(PROGRAM, (program,))
    (verdict,) = judged([Mutant("things", "thing.py", mistake)], jobs=1, seconds=60)
    return verdict.caught_by


def test_a_mistake_is_caught_by_the_test_that_fails(project: Path) -> None:
    assert _judge(project, TESTS.format(fixture="return 3")) == "test_thing.py::test_of_numbers"


def test_a_test_that_did_not_pass_before_catches_nothing(project: Path) -> None:
    only_skipped = TESTS.replace("assert not big(number)", "pass").format(fixture="return 3")

    assert _judge(project, only_skipped) == ""


def test_a_fixture_that_fails_without_a_mistake_is_named_with_what_it_says(project: Path) -> None:
    with pytest.raises(BaselineError) as failure:
        _judge(project, TESTS.format(fixture="raise OSError('no such disk')"))

    assert "ERROR test_thing.py::test_of_numbers" in str(failure.value)
    assert "no such disk" in str(failure.value)


def test_the_report_names_the_survivors_and_the_share() -> None:
    mistake = mistakes.Mistake("a mistake", 0, 1, ("wrong",))
    found, survivor = (Mutant("rules", file, mistake) for file in ("Makefile", "README.md"))
    text = report([Verdict(found, "tests/a.py::b"), Verdict(survivor, "")])

    assert "README.md:1: a mistake: " in text
    assert "Makefile:1" not in text
    assert "rules          1 of    2, 50 %" in text
    assert set(BY_SCENARIO.values()) <= set(text.split())
