"""The summary tells how old backups are."""

import json
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter.backup import former, told

NOW = 1_800_000_000.0


def _status(age: float | None, **failures: str) -> str:
    about: dict[str, Any] = {"configured": 0, "failures": failures}
    return json.dumps({"nas": about | ({} if age is None else {"success": NOW - age})})


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        ({}, "off (backup_repositories)"),
        ({"home": _status(119)}, "nas 1 min ago"),
        ({"home": _status(7200)}, "nas 2 h ago"),
        ({"home": _status(3 * 86400 + 5)}, "nas 3 days ago"),
        ({"home": _status(None)}, "nas not yet"),
        ({"home": _status(7200, save="full")}, "nas 2 h ago (failing: save)"),
        ({"home": ""}, "does not say"),
        ({"home": _status(7200), "attic": _status(None)}, "home nas 2 h ago, attic nas not yet"),
    ],
)
def test_a_line_says_how_old_backups_are(printed: dict[str, str], line: str) -> None:
    assert told(printed, NOW) == line


def test_a_former_repository_is_told_once_for_all_machines() -> None:
    about = {
        "nas": {"failures": {}, "former": {"success": NOW, "size": 3 * 2**20}},
        "cloud": {"failures": {}},
    }
    repositories = [
        {"name": "nas", "location": "/mnt/nas"},
        {"name": "cloud", "location": "s3:s3.example.org/a"},
    ]

    (line,) = former([json.dumps(about), "", json.dumps(about)], repositories)

    assert (
        "The former one of nas, written until 2027-01-15 with a password that every machine knew, has 3 MiB"
        in line
    )
    assert former([_status(1)], repositories) == []
