"""An owner's dashboard that Grafana cannot show is reported with the fix before anything is applied."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter.grafana import dashboard_files
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import grafana_dashboards

WHOLE = {"uid": "own", "title": "Own", "panels": []}


def _written(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def _flaws(*paths: str) -> list[str]:
    return [str(flaw) for flaw in grafana_dashboards.flaws(paths, ["node"], ["jaeger"])]


def test_a_valid_dashboard_has_no_flaws(tmp_path: Path) -> None:
    assert _flaws(_written(tmp_path / "a.json", WHOLE)) == []


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("{", "is not JSON (Expecting property name"),
        ([], "is not a dashboard (it has no list of panels)"),
        ({"dashboard": WHOLE}, "is not a dashboard (it has no list of panels)"),
        (WHOLE | {"title": ""}, 'is not a complete dashboard (it has no "title")'),
        ({"title": "Own", "panels": []}, 'is not a complete dashboard (it has no "uid")'),
        (WHOLE | {"uid": "a b"}, "has the uid 'a b' (expected up to 40 letters, digits, - and _)"),
        (WHOLE | {"description": "x" * 10**6}, "is too large (more than 1000000 bytes)"),
    ],
)
def test_a_file_without_a_dashboard_is_reported(tmp_path: Path, content: Any, wrong: str) -> None:
    path = _written(tmp_path / "a.json", content)

    (flaw,) = _flaws(path)

    assert flaw.startswith(f"{path} {wrong}")
    assert flaw.endswith(" -> export the dashboard from Grafana again, as JSON")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    (flaw,) = _flaws(f"{tmp_path}/none.json")

    assert "none.json cannot be read (No such file or directory) -> " in flaw


def test_a_duplicate_uid_is_reported(tmp_path: Path) -> None:
    first, second = (_written(tmp_path / name, WHOLE) for name in ("a.json", "b.json"))
    ours = _written(tmp_path / "c.json", WHOLE | {"uid": "node"})

    assert _flaws(first, second, ours) == [
        f'{second} has the uid own, as has {first} -> give it another "uid"',
        f'{ours} has the uid node, as has a dashboard of this project -> give it another "uid"',
    ]


@pytest.mark.parametrize("source", ["Jaeger", {"type": "jaeger", "uid": "jaeger"}, "${DS_TRACES}"])
def test_a_disabled_data_source_is_reported(tmp_path: Path, source: Any) -> None:
    asked = {"name": "DS_TRACES", "type": "datasource", "pluginId": "jaeger"}
    content = WHOLE | {"__inputs": [asked], "panels": [{"targets": [{"datasource": source}]}]}

    (flaw,) = _flaws(_written(tmp_path / "a.json", content))

    assert "uses the data source jaeger, which this home does not have -> set grafana_jaeger_url" in flaw


def test_a_data_source_to_be_chosen_becomes_this_homes(tmp_path: Path) -> None:
    asked = {"name": "DS_PROMETHEUS", "type": "datasource", "pluginId": "prometheus"}
    panel = {"datasource": {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}}
    path = _written(tmp_path / "a.json", WHOLE | {"__inputs": [asked], "panels": [panel]})

    (file,) = dashboard_files([path])

    assert json.loads(file["text"]) == WHOLE | {
        "panels": [{"datasource": {"type": "prometheus", "uid": "prometheus"}}]
    }
