"""What the real restic saved of a home comes back into its volumes and beside its inventory."""

import base64
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.backup import keys, restic, volumes
from ansible_collections.homeserver.stack.plugins.modules import (
    backup_find,
    backup_inventory,
    backup_read,
    backup_volumes,
)

from harness.modules import Failed, run
from harness.restic_key import make_repository
from lab import host

PASSWORD = "long-enough-password"
NAME = "pvc-11111111-2222-3333-4444-555555555555"
WIKI = f"apps-wiki-data-{NAME}"
METRICS = "pvc-21111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module", autouse=True)
def _restic() -> None:
    if not shutil.which("restic"):
        host.ensure_packages(["restic"])


class Machine:
    """A machine with a volume, what is kept for its backups, and a repository."""

    def __init__(self, root: Path) -> None:
        self.password = PASSWORD
        self.directory, self.storage, self.location = root / "kept", root / "storage", root / "nas"
        self.wiki = self.storage / WIKI
        self.wiki.mkdir(parents=True)
        (self.wiki / "page").write_text("old\n")
        os.utime(self.wiki / "page", (0, 0))
        (self.directory / "cluster").mkdir(parents=True)
        described = [{"volume": NAME, "path": str(self.wiki)}]
        (self.directory / "cluster/volumes.json").write_text(json.dumps(described))
        make_repository(self.location, self.password)

    @property
    def repository(self) -> dict[str, Any]:
        return {"location": str(self.location), "password": self.password}

    def save(self, host: str = "home", at: str = "2026-11-20 03:15:00") -> str:
        """Save all, and return the backup's identifier."""
        self._run("backup", "--host", host, "--tag", "homeserver", "--time", at, self.directory, self.storage)
        return str(json.loads(self._run("snapshots", "--json", "--host", host))[-1]["id"])

    def wanted(self, save: str, name: str = NAME, path: Path | None = None) -> dict[str, Any]:
        """Describe the volume as one to fill."""
        target = str(path or self.wiki)
        return {
            "name": name,
            "claim": "apps/wiki-data",
            "source": str(self.wiki),
            "path": target,
            "id": save,
            "time": "2026-11-20T03:15:00Z",
        }

    def fill(self, save: str, *wanted: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Fill volumes, the wiki's if none is given."""
        chosen = list(wanted) or [self.wanted(save)]
        return run(backup_volumes, **self.repository, id=save, volumes=chosen, **options)

    def find(self, **options: Any) -> dict[str, Any]:
        """Look for a backup of the machine home, unless told otherwise."""
        return run(backup_find, **{**self.repository, "host": "home", **options})

    def _run(self, *arguments: str | Path) -> str:
        secret = {"RESTIC_PASSWORD": self.password, "RESTIC_REPOSITORY": str(self.location)}
        command = ["restic", "--quiet", *map(str, arguments)]
        return subprocess.run(
            command, env=os.environ | secret | {"TZ": "UTC"}, capture_output=True, text=True, check=True
        ).stdout


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    for module in (volumes, backup_find):
        monkeypatch.setattr(module, "STORAGE", made.storage)
        monkeypatch.setattr(module, "DIRECTORY", made.directory)
    monkeypatch.setattr(volumes.Progress.__init__, "__defaults__", (made.directory,))
    monkeypatch.setattr(volumes.fill, "__defaults__", (made.directory,))
    return made


def test_the_newest_backup_of_the_machine_is_found(machine: Machine) -> None:
    machine.save(at="2026-11-19 03:15:00")
    newest = machine.save(at="2026-11-20 03:15:00")
    machine.save(host="attic", at="2026-11-21 03:15:00")

    found = machine.find()

    assert found["id"] == newest
    assert found["directories"] == [WIKI]
    assert found["volumes"] == [{"volume": NAME, "path": str(machine.wiki)}]


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-11-19", "19"),
        ("2026-11-19 03:15", "19"),
        ("2026-11-19T03:14", "18"),
        ("2026-11-30", "20"),
        ("", "20"),
    ],
)
def test_the_last_one_until_a_time_is_found(machine: Machine, at: str, day: str) -> None:
    for each in ("18", "19", "20"):
        machine.save(at=f"2026-11-{each} 03:15:00")

    assert machine.find(at=at)["time"][:10] == f"2026-11-{day}"


def test_one_that_is_too_new_is_no_backup_of_that_time(machine: Machine) -> None:
    machine.save()

    with pytest.raises(
        Failed, match="at=2026-11-01: home has no save that old -> the oldest is of 2026-11-20"
    ):
        machine.find(at="2026-11-01")


def test_a_machine_that_never_was_saved_is_named_with_those_that_were(machine: Machine) -> None:
    machine.save()

    with pytest.raises(Failed, match="no save of garage, only of home -> give the machine"):
        machine.find(host="garage")
    assert machine.find(host="garage", required=False)["id"] == ""


def test_a_wrong_password_is_told(machine: Machine) -> None:
    with pytest.raises(Failed, match="the password does not open the repository"):
        machine.find(password="another-one")


def test_a_repository_that_is_not_there_is_told(machine: Machine) -> None:
    with pytest.raises(Failed, match="no repository at /nowhere -> check restore_location"):
        machine.find(location="/nowhere")


def test_a_volume_gets_what_was_saved_and_nothing_else(machine: Machine) -> None:
    (machine.wiki / "page").chmod(0o640)
    os.chown(machine.wiki / "page", 999, 998)
    machine.wiki.chmod(0o777)
    save = machine.save()
    (machine.wiki / "page").write_text("new\n")
    (machine.wiki / "added").write_text("later\n")

    assert machine.fill(save, overwrite=True)["filled"] == ["apps/wiki-data"]

    about = (machine.wiki / "page").stat()
    assert {path.name: path.read_text() for path in machine.wiki.iterdir()} == {"page": "old\n"}
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (999, 998, 0o640)
    assert machine.wiki.stat().st_mode & 0o777 == 0o777
    assert [path.name for path in machine.storage.iterdir()] == [WIKI]


def test_newer_data_are_not_replaced_unless_told(machine: Machine) -> None:
    save = machine.save()
    (machine.wiki / "page").write_text("new\n")

    with pytest.raises(
        Failed, match=r"(?s)newer data here.*wiki-data: .*/page, .*-> if.*restore_overwrite=true"
    ):
        machine.fill(save)
    with pytest.raises(Failed, match="newer data"):
        machine.fill(save, compared=True)

    assert (machine.wiki / "page").read_text() == "new\n"
    assert not (machine.directory / "restoring").exists()


def test_older_data_are_replaced(machine: Machine) -> None:
    save = machine.save()
    (machine.wiki / "page").write_text("older\n")
    os.utime(machine.wiki / "page", (0, 0))

    machine.fill(save)

    assert (machine.wiki / "page").read_text() == "old\n"


def test_a_copy_that_was_made_to_be_saved_comes_instead_of_the_live_file(machine: Machine) -> None:
    copies = machine.directory / "volumes" / NAME
    copies.mkdir(parents=True)
    database = sqlite3.connect(copies / "wiki.db")
    database.execute("CREATE TABLE page (text TEXT)")
    database.commit()
    database.close()
    for name in ("wiki.db", "wiki.db-wal", "wiki.db-shm"):
        (machine.wiki / name).write_text("torn")
    save = machine.save()

    machine.fill(save, overwrite=True)

    assert sorted(path.name for path in machine.wiki.iterdir()) == ["page", "wiki.db"]
    tables = sqlite3.connect(machine.wiki / "wiki.db").execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("page",)]


def test_a_volume_of_which_only_copies_were_saved_comes_back(machine: Machine) -> None:
    block = machine.directory / "volumes" / METRICS / "data/01ABC"
    block.mkdir(parents=True)
    (block / "index").write_text("samples")
    (block.parent / "wal").mkdir()
    os.chown(block.parent, 65534, 65534)
    target = machine.storage / f"monitoring-prometheus-{METRICS}"
    save = machine.save()
    wanted = machine.wanted(save, METRICS, target) | {"source": str(target)}

    machine.fill(save, wanted)

    assert (target / "data/01ABC/index").read_text() == "samples"
    assert (target / "data/wal").is_dir()
    assert (target / "data").stat().st_uid == 65534
    assert target.stat().st_mode & 0o777 == 0o777


# What is in a volume, and in a backup of it, is hostile.


@pytest.fixture
def copies(machine: Machine) -> Path:
    """Copies that were made to be saved: of a database in a directory."""
    made = machine.directory / "volumes" / NAME
    (made / "d").mkdir(parents=True)
    (made / "d/x.db").write_text("copy")
    (made / "d").chmod(0o2750)
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A directory of the host."""
    place = tmp_path / "host"
    (place / "d").mkdir(parents=True)
    for name in ("x.db", "x.db-wal", "d/x.db"):
        (place / name).write_text("the host's")
    return place


def _content(directory: Path) -> dict[str, str]:
    """Return the files of a directory."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_text() for path in found}


@pytest.mark.usefixtures("copies")
@pytest.mark.parametrize("target", ["host", "host/missing", "host/x.db"])
def test_a_link_in_the_place_of_a_directory_is_not_followed(
    machine: Machine, elsewhere: Path, target: str
) -> None:
    (machine.wiki / "d").symlink_to(elsewhere.parent / target)
    before = _content(elsewhere)

    filled = machine.fill(machine.save(), overwrite=True)

    assert _content(elsewhere) == before
    assert _content(machine.wiki) == {"page": "old\n", "d/x.db": "copy"}
    assert (machine.wiki / "d").stat().st_mode & 0o7777 == 0o2750
    assert filled["left_out"] == ["apps/wiki-data: d"]


@pytest.mark.usefixtures("copies")
def test_links_beside_a_database_are_removed_not_followed(machine: Machine, elsewhere: Path) -> None:
    (machine.wiki / "d").mkdir()
    (machine.wiki / "d/x.db").symlink_to(elsewhere / "x.db")
    (machine.wiki / "d/x.db-wal").symlink_to(elsewhere / "x.db-wal")
    before = _content(elsewhere)

    machine.fill(machine.save(), overwrite=True)

    assert _content(elsewhere) == before
    assert _content(machine.wiki) == {"page": "old\n", "d/x.db": "copy"}


@pytest.mark.usefixtures("copies")
def test_what_is_in_the_way_of_a_copy_ends_no_restore(machine: Machine) -> None:
    for name in ("d/x.db/inner", "d/x.db-wal/inner"):
        (machine.wiki / name).mkdir(parents=True)
    (machine.wiki / "d/x.db-wal/inner/page").write_text("a page")

    machine.fill(machine.save(), overwrite=True)

    assert _content(machine.wiki) == {"page": "old\n", "d/x.db": "copy", "d/x.db-wal/inner/page": "a page"}


def test_links_among_copies_are_left_out(machine: Machine, copies: Path, elsewhere: Path) -> None:
    (copies / "link").symlink_to(elsewhere)
    (copies / "d/link.db").symlink_to(elsewhere / "x.db")

    filled = machine.fill(machine.save(), overwrite=True)

    assert _content(machine.wiki) == {"page": "old\n", "d/x.db": "copy"}
    assert not [path for path in machine.wiki.rglob("*") if path.is_symlink()]
    assert filled["left_out"] == ["apps/wiki-data: d/link.db", "apps/wiki-data: link"]


@pytest.mark.parametrize("linked", ["volume", "copies"])
def test_a_backup_with_a_link_for_a_directory_is_refused(
    machine: Machine, copies: Path, elsewhere: Path, linked: str
) -> None:
    place = machine.wiki if linked == "volume" else copies
    kept = place.rename(place.with_name("kept"))
    place.symlink_to(elsewhere)
    save = machine.save()
    place.unlink()
    kept.rename(place)

    with pytest.raises(Failed, match=r"does not have a directory at .* -> restore an older one"):
        machine.fill(save, overwrite=True)

    assert _content(machine.wiki) == {"page": "old\n"}


def test_a_name_of_a_file_cannot_write_lines_of_a_message(machine: Machine) -> None:
    save = machine.save()
    (machine.wiki / os.fsdecode(b"\xff\n-> nothing is lost")).write_text("new")

    with pytest.raises(Failed, match=r"/\\udcff\\n-> nothing is lost, changed at"):
        machine.fill(save)


def test_what_is_filled_is_not_filled_again_after_an_interruption(machine: Machine) -> None:
    save = machine.save()
    machine.fill(save)
    (machine.wiki / "page").write_text("written since\n")

    again = machine.fill(save)

    assert again["filled"] == again["todo"] == []
    assert (machine.wiki / "page").read_text() == "written since\n"


def test_an_interrupted_restore_goes_on_with_its_backup(machine: Machine) -> None:
    save = machine.save()
    machine.fill(save)
    newer = machine.save(at="2026-11-25 03:15:00")

    assert machine.find()["id"] == save
    with pytest.raises(Failed, match="at=2026-11-01: the restore of home 2026-11-20 03:15 is not finished"):
        machine.find(at="2026-11-01")
    assert machine.find(resumed=False)["id"] == newer


def test_a_damaged_repository_leaves_the_volume_as_it_is(machine: Machine) -> None:
    (machine.wiki / "large").write_bytes(os.urandom(300_000))
    save = machine.save()
    (machine.wiki / "large").write_text("today's")
    for pack in (machine.location / "data").glob("*/*"):
        content = bytearray(pack.read_bytes())
        content[len(content) // 3] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(content)

    with pytest.raises(Failed, match="is damaged -> restore from another repository"):
        machine.fill(save, overwrite=True)

    assert (machine.wiki / "large").read_text() == "today's"


def test_a_directory_is_read_into_an_archive_for_root_alone(machine: Machine, tmp_path: Path) -> None:
    save = machine.save()
    archive = tmp_path / "new/cluster.tar"

    run(
        backup_read, **machine.repository, id=save, path=str(machine.directory / "cluster"), dest=str(archive)
    )

    assert archive.stat().st_mode & 0o777 == 0o600
    with tarfile.open(archive) as members:
        assert [Path(name).name for name in members.getnames()] == ["volumes.json"]
    with pytest.raises(Failed, match="cannot be read"):
        run(backup_read, **machine.repository, id=save, path="/missing", dest=str(archive))
    assert not archive.exists()


def test_no_secret_is_shown() -> None:
    repository = restic.Repository("rest:https://me:hidden@192.0.2.1/home", PASSWORD, {"KEY": "also-hidden"})

    assert "also-hidden" not in str(repository)
    assert PASSWORD not in str(repository)
    assert "hidden" not in repository._explain("Fatal: rest:https://me:hidden@192.0.2.1/home")


# A repository for each machine


@pytest.fixture
def attic(machine: Machine, tmp_path: Path) -> Machine:
    """A machine beside it, whose repository is where the former one of both is."""
    machine.location = tmp_path / "nas/attic"
    machine.password = "attics-own-password"
    make_repository(machine.location, machine.password)
    return machine


@pytest.fixture
def shared(machine: Machine) -> dict[str, Any]:
    """The repository that all machines wrote."""
    return {"shared_location": str(machine.location), "shared_password": PASSWORD}


def test_what_a_machine_saved_in_its_own_repository_comes_first(
    machine: Machine, shared: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    former = machine.save(host="attic", at="2026-11-20 03:15:00")
    attic: Machine = request.getfixturevalue("attic")

    found = attic.find(host="attic", **shared)
    assert (found["id"], found["shared"]) == (former, True)

    own = attic.save(host="attic", at="2026-11-25 03:15:00")
    found = attic.find(host="attic", **shared)
    assert (found["id"], found["shared"]) == (own, False)
    found = attic.find(host="attic", at="2026-11-20", **shared)
    assert (found["id"], found["shared"]) == (former, True)


def test_nothing_is_read_with_the_password_of_all_unless_told(machine: Machine, attic: Machine) -> None:
    assert machine is attic
    with pytest.raises(Failed, match=r"(?s)no save of a home.*-e restore_shared_passwords=true"):
        attic.find(host="attic")
    assert attic.find(host="attic", required=False)["id"] == ""


def test_a_machine_under_another_name_is_told_those_that_there_are(attic: Machine) -> None:
    garage = str(attic.location.with_name("garage"))

    with pytest.raises(Failed, match="There are repositories of attic -> give the machine in the inventory"):
        attic.find(host="garage", location=garage)
    assert attic.find(host="garage", location=garage, required=False)["id"] == ""


def test_an_interrupted_restore_from_the_former_repository_goes_on(
    machine: Machine, shared: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    former = machine.save(host="attic")
    machine.fill(former)
    attic: Machine = request.getfixturevalue("attic")
    attic.save(host="attic", at="2026-11-25 03:15:00")

    found = attic.find(host="attic", **shared)
    assert (found["id"], found["shared"]) == (former, True)


def test_a_volume_comes_from_the_repository_of_who_saved_it(
    machine: Machine, shared: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    save = machine.save()
    attic: Machine = request.getfixturevalue("attic")
    saved_elsewhere = machine.wanted(save) | {
        "location": shared["shared_location"],
        "password": shared["shared_password"],
    }

    assert attic.fill(save, saved_elsewhere)["filled"] == ["apps/wiki-data"]
    assert (machine.wiki / "page").read_text() == "old\n"


# The inventory


def _archive(path: Path, **files: str) -> Path:
    """Write what the module backup_read does."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"var/lib/homeserver-backup/control/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return path


def _sealed(path: Path, **files: str) -> Path:
    encoded = {name: base64.b64encode(content.encode()).decode() for name, content in files.items()}
    return _archive(path, sealed=keys.sealed(encoded, PASSWORD))


def _bring(archive: Path, inventory: Path, **options: Any) -> dict[str, Any]:
    given = {"src": str(archive), "dest": str(inventory), "password": PASSWORD, **options}
    return run(backup_inventory, **given)


def _texts(inventory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(inventory)): file.read_text()
        for file in inventory.rglob("*.*")
        if file.is_file()
    }


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A new control machine's, with the address of the new machine."""
    made = tmp_path / "inventory"
    (made / "home/group_vars/all").mkdir(parents=True)
    (made / "home/hosts.yml").write_text("new address\n")
    (made / "home/group_vars/all/main.yml").write_text("example\n")
    return made


def test_settings_and_secrets_come_back(tmp_path: Path, inventory: Path) -> None:
    saved = {
        "home/hosts.yml": "old address\n",
        "home/group_vars/all/main.yml": "mine\n",
        "secrets/home/ca.key": "key\n",
    }

    archive = _sealed(tmp_path / "control.tar", **saved)
    found = _bring(archive, inventory, hosts=str(inventory / "home/hosts.yml"))

    assert _texts(inventory) == {
        "home/hosts.yml": "new address\n",
        "home/hosts.yml.orig": "old address\n",
        "home/group_vars/all/main.yml": "mine\n",
        "home/group_vars/all/main.yml.orig": "example\n",
        "secrets/home/ca.key": "key\n",
    }
    assert (inventory / "secrets/home/ca.key").stat().st_mode & 0o777 == 0o600
    assert (inventory / "secrets/home").stat().st_mode & 0o777 == 0o700
    assert [len(found[kind]) for kind in ("written", "replaced", "kept")] == [1, 1, 1]


def test_a_restored_inventory_is_its_owners_alone(tmp_path: Path) -> None:
    inventory = tmp_path / "new/inventory"
    archive = _sealed(tmp_path / "control.tar", **{"home/group_vars/all/main.yml": "mine\n"})

    _bring(archive, inventory, hosts=str(inventory / "home/hosts.yml"))

    assert {path.stat().st_mode & 0o077 for path in (inventory, *inventory.rglob("*"))} == {0}


def test_a_file_outside_of_the_inventory_is_refused(tmp_path: Path, inventory: Path) -> None:
    archive = _sealed(tmp_path / "control.tar", **{"home/new.yml": "x", "../../escaped": "x"})

    with pytest.raises(Failed, match="outside of the inventory"):
        _bring(archive, inventory)
    assert not (inventory / "home/new.yml").exists()
    assert not (tmp_path.parent / "escaped").exists()


def test_a_backup_without_an_inventory_is_told(tmp_path: Path, inventory: Path) -> None:
    with pytest.raises(Failed, match="the backup has no inventory"):
        _bring(_archive(tmp_path / "control.tar"), inventory)


def test_an_inventory_that_the_control_machine_did_not_write_is_refused(
    tmp_path: Path, inventory: Path
) -> None:
    """A founder knows its own password of the backups, and nothing more."""
    before = _texts(inventory)
    forged = keys.sealed({"home/group_vars/all/main.yml": ""}, keys.machine_password(PASSWORD, "home"))
    archive = _archive(tmp_path / "control.tar", sealed=forged)

    for plain in (False, True):
        with pytest.raises(Failed, match="not written by the control machine of this home"):
            _bring(archive, inventory, plain=plain)
    assert _texts(inventory) == before


def test_an_inventory_in_the_clear_is_shown_before_anything_reads_it(tmp_path: Path, inventory: Path) -> None:
    before = _texts(inventory)
    saved = {
        "inventory/home/group_vars/all/main.yml": 'name: \'{{ lookup("pipe", "id") }}\'\x1b[2K',
        "inventory/secrets/home/ca.key": "the-key",
    }
    archive = _archive(tmp_path / "control.tar", **saved)

    with pytest.raises(Failed) as refused:
        _bring(archive, inventory)
    said = str(refused.value)
    assert "-> read them; if they are yours: -e restore_plain=true" in said
    assert 'lookup("pipe", "id")' in said
    assert "  secrets/home/ca.key" in said
    assert "the-key" not in said
    assert "\x1b" not in said
    assert _texts(inventory) == before

    _bring(archive, inventory, plain=True)
    assert (inventory / "secrets/home/ca.key").read_text() == "the-key"
