"""What a machine is given of the backups opens its own copies and nothing else."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter.restore import read_from
from ansible_collections.homeserver.stack.plugins.module_utils.backup import keys

from harness.backup_program import Machine
from harness.rendering import Role

MASTER = "what-opens-the-backups"
KEY, PRUNES = "key-of-the-machines", "key-that-deletes"
HOSTS = {
    "groups": {"control_plane": ["home"], "home_servers": ["home", "attic"]},
    "hostvars": {"home": {"ansible_host": "192.0.2.1"}, "attic": {"ansible_host": "192.0.2.2"}},
}


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """Where both machines are saved."""
    place = tmp_path / "nas"
    place.mkdir()
    return place


def _role(state: Path, nas: Path, host: str, **options: Any) -> Role:
    secrets, inventory = state / "secrets/home", state / "home"
    for each in (secrets, inventory):
        each.mkdir(parents=True, exist_ok=True)
    (secrets / "backup.password").write_text(f"{MASTER}\n")
    (secrets / "ca.key").write_text("the-key-of-the-authority")
    (inventory / "hosts.yml").write_text("all: {}")
    repository = {
        "name": "nas",
        "location": str(nas),
        "environment": {"KEY": KEY},
        "prune": {"location": str(nas), "environment": {"KEY": PRUNES}},
    }
    return Role(
        "backup",
        state,
        inventory_hostname=host,
        inventory_dir=str(inventory),
        backup_repositories=[repository],
        **HOSTS,
        **options,
    )


def _machine(root: Path, nas: Path, host: str) -> Machine:
    """A machine with the settings that the role gives it."""
    machine = Machine(root / host)
    given = _role(root, nas, host).value("_backup_settings")
    assert given["founder"] == (host == "home")
    machine.configure(**{key: given[key] for key in ("host", "password", "repositories", "prunes")})
    return machine


def _opens(repository: dict[str, str], password: str) -> bool:
    command = ["restic", "--no-lock", "snapshots"]
    environment = {"PATH": "/usr/bin:/bin", "RESTIC_CACHE_DIR": "/nonexistent", "RESTIC_PASSWORD": password}
    environment["RESTIC_REPOSITORY"] = repository["location"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "wrong password" in done.stderr, done.stderr
    return done.returncode == 0


def test_a_machines_settings_open_its_own_copies_alone(tmp_path: Path, nas: Path) -> None:
    given: dict[str, dict[str, Any]] = {}
    for host in ("home", "attic"):
        machine = _machine(tmp_path, nas, host)
        machine.done("save")
        given[host] = json.loads(machine.settings.read_text())

    opened = {
        (of, by): _opens(given[of]["repositories"][0], given[by]["password"]) for of in given for by in given
    }
    assert opened == {(of, by): of == by for of in given for by in given}
    # A restore derives the same.
    for host, settings in given.items():
        assert _opens(read_from({}, host, str(nas), MASTER), settings["password"])


@pytest.mark.parametrize("host", ["home", "attic"])
def test_no_machine_is_told_the_master_or_what_prunes(tmp_path: Path, nas: Path, host: str) -> None:
    given = json.dumps(_role(tmp_path, nas, host).value("_backup_settings"))

    assert KEY in given
    assert [secret for secret in (MASTER, PRUNES) if secret in given] == []


def test_a_machine_is_told_whether_it_prunes(tmp_path: Path, nas: Path) -> None:
    told = {
        who: _role(tmp_path, nas, "attic", backup_prune_from=who).value("_backup_settings")["prunes"]
        for who in ("machines", "control")
    }

    assert told == {"machines": True, "control": False}


def test_the_founder_keeps_what_it_cannot_read(tmp_path: Path, nas: Path) -> None:
    role = _role(tmp_path, nas, "home")
    kept = role.value("_backup_control")

    assert kept == role.value("_backup_control")
    assert set(keys.unsealed(kept, MASTER)) == {
        "home/hosts.yml",
        "secrets/home/backup.password",
        "secrets/home/ca.key",
    }
    with pytest.raises(keys.SealError):
        keys.unsealed(kept, role.value("_backup_settings")["password"])
