"""An owner's dashboard that Grafana could not show is told before anything is applied, with its fix."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter.grafana import dashboard_files, dashboard_flaws

WHOLE = {"uid": "own", "title": "Own", "panels": []}


def _written(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def _flaws(*paths: str) -> list[str]:
    return dashboard_flaws(paths, ["node"], ["jaeger"])


def test_a_whole_one_has_no_flaws(tmp_path: Path) -> None:
    assert _flaws(_written(tmp_path / "a.json", WHOLE)) == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("{", "is not JSON (Expecting property name"),
        ([], "is not a dashboard (it has no list of panels)"),
        ({"dashboard": WHOLE}, "is not a dashboard (it has no list of panels)"),
        (WHOLE | {"title": ""}, 'is not a whole dashboard (it has no "title")'),
        ({"title": "Own", "panels": []}, 'is not a whole dashboard (it has no "uid")'),
        (WHOLE | {"uid": "a b"}, "has the uid 'a b' (expected up to 40 letters, digits, - and _)"),
        (WHOLE | {"description": "x" * 10**6}, "is too large (more than 1000000 bytes)"),
    ],
)
def test_what_is_no_dashboard_is_told(tmp_path: Path, content: Any, wrong: str) -> None:
    path = _written(tmp_path / "a.json", content)

    (flaw,) = _flaws(path)

    assert flaw.startswith(f"grafana_dashboards_extra: {path} {wrong}")
    assert flaw.endswith(" -> export the dashboard from Grafana again, as JSON")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (flaw,) = _flaws(f"{tmp_path}/none.json")

    assert "none.json cannot be read (No such file or directory) -> " in flaw


def test_a_uid_that_another_has_is_told(tmp_path: Path) -> None:
    first, second = (_written(tmp_path / name, WHOLE) for name in ("a.json", "b.json"))
    ours = _written(tmp_path / "c.json", WHOLE | {"uid": "node"})

    assert _flaws(first, second, ours) == [
        f'grafana_dashboards_extra: {second} has the uid own, as has {first} -> give it another "uid"',
        f"grafana_dashboards_extra: {ours} has the uid node, as has a dashboard of this project"
        ' -> give it another "uid"',
    ]


@pytest.mark.parametrize("source", ["Jaeger", {"type": "jaeger", "uid": "jaeger"}, "${DS_TRACES}"])
def test_one_that_asks_a_source_that_is_switched_off_is_told(tmp_path: Path, source: Any) -> None:
    asked = {"name": "DS_TRACES", "type": "datasource", "pluginId": "jaeger"}
    content = WHOLE | {"__inputs": [asked], "panels": [{"targets": [{"datasource": source}]}]}

    (flaw,) = _flaws(_written(tmp_path / "a.json", content))

    assert "asks the data source jaeger, which this home does without -> set grafana_jaeger_url" in flaw


def test_one_that_leaves_its_source_to_be_chosen_gets_this_homes(tmp_path: Path) -> None:
    asked = {"name": "DS_PROMETHEUS", "type": "datasource", "pluginId": "prometheus"}
    panel = {"datasource": {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}}
    path = _written(tmp_path / "a.json", WHOLE | {"__inputs": [asked], "panels": [panel]})

    (file,) = dashboard_files([path])

    assert json.loads(file["text"]) == WHOLE | {
        "panels": [{"datasource": {"type": "prometheus", "uid": "prometheus"}}]
    }
