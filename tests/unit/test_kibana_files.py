"""An owner's file that Kibana cannot import is reported with the fix before anything is applied."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import kibana_objects

from harness.kibana import FILE

WHOLE = {"id": "own", "type": "search", "attributes": {"title": "Own"}, "references": []}
SUM = {"exportedCount": 1, "missingRefCount": 0, "missingReferences": []}


def _written(path: Path, *content: Any) -> str:
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in content) + "\n")
    return str(path)


def _flaws(*paths: str) -> list[str]:
    return [str(flaw) for flaw in kibana_objects.flaws(paths, [("dashboard", "homeserver-errors")])]


def test_a_file_that_kibana_exported_has_no_flaws(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.ndjson", WHOLE, "", WHOLE | {"type": "dashboard"}, SUM)

    assert _flaws(path) == []
    assert kibana_objects.load([path]) == [Path(path).read_text()]


def test_the_projects_own_files_have_no_flaws() -> None:
    assert list(kibana_objects.flaws([str(FILE)], [])) == []
    assert ("dashboard", "homeserver-errors") in kibana_objects.ids(FILE.read_text())


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (["{"], "is not JSON, an object in each line (line 1: Expecting property name"),
        ([WHOLE, "x"], "is not JSON, an object in each line (line 2: Expecting value"),
        (["[]"], "is not a file of saved objects (line 1 is no object)"),
        ([WHOLE | {"id": ""}], 'is not a file of saved objects (line 1 has no "id")'),
        ([SUM, {"id": "a", "attributes": {}}], 'is not a file of saved objects (line 2 has no "type")'),
        ([{"id": "a", "type": "search"}], 'is not a file of saved objects (line 1 has no "attributes")'),
        ([{"uid": "a", "title": "A dashboard of Grafana's", "panels": []}], "is not a file of saved objects"),
        ([""], "has no saved objects"),
        ([SUM], "has no saved objects"),
        ([WHOLE | {"description": "x" * 10**6}], "is too large (more than 1000000 bytes)"),
    ],
)
def test_a_file_without_saved_objects_is_reported(tmp_path: Path, content: list[Any], wrong: str) -> None:
    path = _written(tmp_path / "a.ndjson", *content)

    (flaw,) = _flaws(path)

    assert flaw.startswith(f"{path} {wrong}")
    assert flaw.endswith(" -> export it from Kibana again, under Stack Management, Saved Objects")


def test_a_binary_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(b"\x1f\x8b\x08")

    (flaw,) = _flaws(str(path))

    assert "is not a text in UTF-8 (byte 1)" in flaw


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    (flaw,) = _flaws(f"{tmp_path}/none.ndjson")

    assert "none.ndjson cannot be read (No such file or directory) -> " in flaw


def test_an_object_in_two_files_is_reported(tmp_path: Path) -> None:
    first, second = (_written(tmp_path / name, WHOLE) for name in ("a.ndjson", "b.ndjson"))
    ours = _written(tmp_path / "c.ndjson", WHOLE | {"type": "dashboard", "id": "homeserver-errors"})

    assert _flaws(first, second, ours) == [
        f"{second} has the search own, as has {first} -> take it out of one of them",
        f"{ours} has the dashboard homeserver-errors, as has an object of this project"
        " -> take it out of one of them",
    ]
