"""Inventory and secrets are read as a whole, without what is hidden."""

import base64
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def _read(directories: dict[str, Path], largest_mib: int = 32) -> dict[str, str]:
    variables = {"given": {name: str(path) for name, path in directories.items()}, "largest": largest_mib}
    templar = Templar(loader=DataLoader(), variables=variables)
    found: Any = templar.template(
        trust_as_template("{{ lookup('homeserver.stack.directories', given, largest_mib=largest) }}")
    )
    return {name: base64.b64decode(content).decode(errors="replace") for name, content in found.items()}


def test_files_come_by_the_names_they_are_asked_by(tmp_path: Path) -> None:
    home, secrets = tmp_path / "inventory/home", tmp_path / "elsewhere"
    (home / "group_vars/all").mkdir(parents=True)
    secrets.mkdir()
    (home / "hosts.yml").write_text("all: {}")
    (home / "group_vars/all/main.yml").write_text("a: ä")
    (secrets / "ca.key").write_bytes(b"\xff")
    for hidden in (".git/config", "__pycache__/a.pyc"):
        (home / hidden).parent.mkdir()
        (home / hidden).write_text("x")
    (home / ".swp").write_text("x")
    (home / "more").symlink_to(home)

    assert _read({"home": home, "secrets/home": secrets, "none": tmp_path / "none"}) == {
        "home/hosts.yml": "all: {}",
        "home/group_vars/all/main.yml": "a: ä",
        "secrets/home/ca.key": "\ufffd",
    }


def test_what_is_no_inventory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film").write_bytes(b"x" * (2 << 20))

    with pytest.raises(AnsibleError, match=r"have 2 MiB together \(expected at most 1\)"):
        _read({"home": tmp_path}, largest_mib=1)
