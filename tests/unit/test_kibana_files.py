"""An owner's file that Kibana could not take is told before anything is applied, with its fix."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter.kibana import kibana_flaws, kibana_ids, kibana_texts

from tests.kibana import FILE

WHOLE = {"id": "own", "type": "search", "attributes": {"title": "Own"}, "references": []}
SUM = {"exportedCount": 1, "missingRefCount": 0, "missingReferences": []}


def _written(path: Path, *content: Any) -> str:
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in content) + "\n")
    return str(path)


def _flaws(*paths: str) -> list[str]:
    return kibana_flaws(paths, [["dashboard", "homeserver-errors"]])


def test_one_that_kibana_exported_has_no_flaws(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.ndjson", WHOLE, "", WHOLE | {"type": "dashboard"}, SUM)

    assert _flaws(path) == []
    assert kibana_texts([path]) == [Path(path).read_text()]


def test_those_of_this_project_have_no_flaws() -> None:
    assert kibana_flaws([str(FILE)], []) == []
    assert ["dashboard", "homeserver-errors"] in kibana_ids(FILE.read_text())


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (["{"], "is not JSON, an object in each line (line 1: Expecting property name"),
        ([WHOLE, "x"], "is not JSON, an object in each line (line 2: Expecting value"),
        (["[]"], "is no file of saved objects (line 1 is no object)"),
        ([WHOLE | {"id": ""}], 'is no file of saved objects (line 1 has no "id")'),
        ([SUM, {"id": "a", "attributes": {}}], 'is no file of saved objects (line 2 has no "type")'),
        ([{"id": "a", "type": "search"}], 'is no file of saved objects (line 1 has no "attributes")'),
        ([{"uid": "a", "title": "A dashboard of Grafana's", "panels": []}], "is no file of saved objects"),
        ([""], "has no saved objects"),
        ([SUM], "has no saved objects"),
        ([WHOLE | {"description": "x" * 10**6}], "is too large (more than 1000000 bytes)"),
    ],
)
def test_what_is_no_file_of_saved_objects_is_told(tmp_path: Path, content: list[Any], wrong: str) -> None:
    path = _written(tmp_path / "a.ndjson", *content)

    (flaw,) = _flaws(path)

    assert flaw.startswith(f"elk_kibana_files: {path} {wrong}")
    assert flaw.endswith(" -> export it from Kibana again, under Stack Management, Saved Objects")


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\x1f\x8b\x08")

    (flaw,) = _flaws(str(path))

    assert "is not a text in UTF-8 (byte 1)" in flaw


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    (flaw,) = _flaws(f"{tmp_path}/none.ndjson")

    assert "none.ndjson cannot be read (No such file or directory) -> " in flaw


def test_an_object_that_another_file_has_is_told(tmp_path: Path) -> None:
    first, second = (_written(tmp_path / name, WHOLE) for name in ("a.ndjson", "b.ndjson"))
    ours = _written(tmp_path / "c.ndjson", WHOLE | {"type": "dashboard", "id": "homeserver-errors"})

    assert _flaws(first, second, ours) == [
        f"elk_kibana_files: {second} has the search own, as has {first} -> take it out of one of them",
        f"elk_kibana_files: {ours} has the dashboard homeserver-errors, as has an object of this project"
        " -> take it out of one of them",
    ]
