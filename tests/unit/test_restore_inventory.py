"""A control machine that has lost its settings and secrets gets back what it had written itself."""

import base64
from pathlib import Path

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.backup import keys

from harness import rendering
from harness.backup_program import Machine
from harness.playbooks import play
from harness.rendering import Role
from harness.restic_key import make_repository

MASTER = "what-opens-the-backups"
FILES = {"home/group_vars/all/main.yml": "mine: true\n", "secrets/home/ca.key": "the-key\n"}


class Home:
    """A founder that is saved, and a control machine that has nothing but the password on paper."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._founder = Machine(root / "founder")
        self.inventory = root / "inventory"
        (self.inventory / "home").mkdir(parents=True)
        (self.inventory / "home/hosts.yml").write_text(rendering.INVENTORY)
        (root / "paper").write_text(f"{MASTER}\n")

    def save(self, **files: str) -> None:
        """Save what the founder keeps of the control machine, in its own repository."""
        control = self._founder.directory / "control"
        for name, content in files.items():
            (control / name).parent.mkdir(parents=True, exist_ok=True)
            (control / name).write_text(content)
        target = str(self._founder.target)
        own = {"name": "nas", "location": keys.machine_location(target, "home"), "parent": target}
        password = keys.machine_password(MASTER, "home")
        make_repository(Path(own["location"]), password)
        self._founder.configure(repositories=[own], password=password)
        self._founder.done("save")

    def save_as_before(self, **files: str) -> None:
        """Save them in the repository of all machines, in the clear."""
        for name, content in files.items():
            path = self._founder.directory / "control/inventory" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        make_repository(self._founder.target, MASTER)
        self._founder.configure(password=MASTER)
        self._founder.done("save")

    def restore(self, *more: str) -> str:
        """Run the playbook, and return what it says."""
        given = {
            "restore_location": self._founder.target,
            "restore_password_file": self._root / "paper",
            "_restore_directory": self._founder.directory,
        }
        variables = [part for name, value in given.items() for part in ("-e", f"{name}={value}")]
        inventory = str(self.inventory / "home")
        run = play("-i", inventory, *variables, *more, "playbooks/restore_inventory.yml")
        assert MASTER not in run.stdout
        assert not (self._founder.directory / "control.tar").exists()
        return run.stdout + run.stderr

    def brought(self) -> dict[str, str]:
        """Return what the control machine has now."""
        return {
            name: (self.inventory / name).read_text() for name in FILES if (self.inventory / name).exists()
        }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_what_the_control_machine_had_encrypted_comes_back(home: Home) -> None:
    encoded = {name: base64.b64encode(content.encode()).decode() for name, content in FILES.items()}
    home.save(sealed=keys.sealed(encoded, MASTER))

    assert "2 files are back" in home.restore("-vvv")
    assert home.brought() == FILES


def test_what_a_founder_made_up_is_not_taken(home: Home) -> None:
    home.save(sealed=keys.sealed({"home/group_vars/all/main.yml": ""}, "what-a-founder-knows"))

    assert "not written by the control machine of this home" in home.restore("-e", "restore_plain=true")
    assert home.brought() == {}


def test_a_backup_of_before_comes_back_once_it_was_looked_at(home: Home) -> None:
    home.save_as_before(**FILES)

    assert "-e restore_shared_passwords=true" in home.restore()
    shown = home.restore("-e", "restore_shared_passwords=true")
    assert "mine: true" in shown
    assert "-> read them; if they are yours: -e restore_plain=true" in shown
    assert home.brought() == {}

    assert "2 files are back" in home.restore(
        "-e", "restore_shared_passwords=true", "-e", "restore_plain=true"
    )
    assert home.brought() == FILES


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("restore_location=", "no repository is named -> -e restore_location="),
        ("at=yesterday", "at=yesterday: no day or time -> write it as 2026-11-20"),
        ("restore_password_file=/nowhere", "the backups have a password, and none was given -> type it when"),
    ],
)
def test_what_is_missing_is_told(home: Home, variable: str, message: str) -> None:
    assert message in " ".join(home.restore("-e", variable).split())


def _role(tmp_path: Path, *, shared: bool, fills: str) -> Role:
    """The variables of a restore on the machine attic, where a volume is that home or attic saved."""
    (tmp_path / "paper").write_text(f"{MASTER}\n")
    volume = {
        "namespace": "apps",
        "claim": "wiki-data",
        "volume": "pvc-1",
        "node": "old",
        "path": "/var/snap/microk8s/common/default-storage/wiki",
    }
    save = {"time": "2026-11-20T03:15:00Z", "copies": [], "shared": shared}
    machines = {
        name: {
            "_restore_machine": save | {"name": name, "node": name, "id": name, "directories": has},
            "_restore_save": save | {"volumes": [volume]},
            "_restore_cluster": {
                "volumes": [{"claim": "apps/wiki-data", "name": "pvc-2", "node": "attic", "path": "/v"}]
            },
        }
        for name in ("home", "attic")
        for has in ([["wiki"] if name == fills else []])
    }
    return Role(
        "restore",
        tmp_path,
        inventory_hostname="attic",
        ansible_play_hosts_all=["home", "attic"],
        groups={"control_plane": ["home"], "home_servers": ["home", "attic"]},
        hostvars=machines,
        restore_location="/mnt/nas",
        restore_password_file=str(tmp_path / "paper"),
        _restore_save=save,
    )


def test_a_machine_reads_with_its_own_password(tmp_path: Path) -> None:
    role = _role(tmp_path, shared=False, fills="attic")

    own = {"location": "/mnt/nas/attic", "password": keys.machine_password(MASTER, "attic")}
    assert role.value("_restore_from") == own
    assert "password" not in role.value("_restore_mine")[0]
    assert role.value("_restore_of_others") == []


def test_a_volume_of_another_machine_is_noticed(tmp_path: Path) -> None:
    role = _role(tmp_path, shared=False, fills="home")

    (volume,) = role.value("_restore_of_others")
    assert (volume["claim"], volume["saved_by"]) == ("apps/wiki-data", "home")
    assert role.value("_restore_mine")[0]["location"] == "/mnt/nas/home"


def test_a_backup_of_before_is_read_with_the_password_of_all(tmp_path: Path) -> None:
    role = _role(tmp_path, shared=True, fills="attic")

    assert role.value("_restore_from") == {"location": "/mnt/nas", "password": MASTER}
