"""A generated secret is made once, for its owner alone, and never by a dry run."""

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def _secret(file: Path, *, check_mode: bool) -> str:
    templar = Templar(loader=DataLoader(), variables={"file": str(file), "ansible_check_mode": check_mode})
    return str(templar.template(trust_as_template("{{ lookup('homeserver.stack.secret', file) }}")))


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets/one.password"
    made = _secret(file, check_mode=False)

    assert len(made) == 32
    assert made.isalnum()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [_secret(file, check_mode=mode) for mode in (False, True)] == [made, made]


def test_a_dry_run_makes_no_file(tmp_path: Path) -> None:
    file = tmp_path / "one.password"
    secrets = {_secret(file, check_mode=True) for _ in range(2)}

    assert not file.exists()
    assert len(secrets) == 2


@pytest.mark.parametrize("check_mode", [False, True])
def test_what_the_owner_wrote_is_taken(tmp_path: Path, check_mode: bool) -> None:
    (tmp_path / "one.password").write_text("chosen by hand\n")

    assert _secret(tmp_path / "one.password", check_mode=check_mode) == "chosen by hand"
