"""A secret is generated once, readable only by its owner, and never by a dry run."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template


def _secret(file: Path, *, check_mode: bool = False, minimum: int = 8) -> str:
    templar = Templar(
        loader=DataLoader(),
        variables={"file": str(file), "ansible_check_mode": check_mode, "minimum": minimum},
    )
    return str(
        templar.template(trust_as_template("{{ lookup('homeserver.stack.secret', file, minimum=minimum) }}"))
    )


def test_it_is_generated_once_and_readable_only_by_its_owner(tmp_path: Path) -> None:
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
def test_an_owners_own_value_is_kept(tmp_path: Path, check_mode: bool) -> None:
    (tmp_path / "one.password").write_text("chosen by hand\n")

    assert _secret(tmp_path / "one.password", check_mode=check_mode) == "chosen by hand"


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("left", ["", "\n", "short\n"])
def test_what_is_left_of_a_secret_is_no_password(tmp_path: Path, left: str, check_mode: bool) -> None:
    file = tmp_path / "one.password"
    file.write_text(left)

    with pytest.raises(
        AnsibleError, match=f"has {len(left.strip())} characters, and at least 8 are needed"
    ) as told:
        _secret(file, check_mode=check_mode)
    assert "short" not in str(told.value)
    assert file.read_text() == left


def test_a_key_may_need_more(tmp_path: Path) -> None:
    (tmp_path / "one.key").write_text("x" * 31)

    with pytest.raises(AnsibleError, match="31 characters, and at least 32"):
        _secret(tmp_path / "one.key", minimum=32)


def test_a_full_disk_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AnsibleError, match="No space left"):
        _secret(tmp_path / "secrets/one.password")
    assert list((tmp_path / "secrets").iterdir()) == []


def test_all_who_make_it_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda _: _secret(tmp_path / "one.password"), range(16)))

    assert len(made) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["one.password"]
