"""A machine is saved by the real restic and read back; what goes wrong is told and loses nothing."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.backup import restic, volumes
from homeserver_backup import cluster, prometheus

from harness.backup_program import LIVE, METRICS, PASSWORD, VOLUME, WIKI, Machine
from harness.rendering import Role
from harness.restic_key import make_cheap, make_repository
from harness.waiting import wait_until


@pytest.fixture
def new(tmp_path: Path) -> Machine:
    """A machine that has no repository yet."""
    return Machine(tmp_path)


@pytest.fixture
def machine(new: Machine) -> Machine:
    """A machine with an empty repository."""
    make_repository(new.target, PASSWORD)
    return new


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# ---- what is saved


def test_volumes_come_back_as_they_were(machine: Machine) -> None:
    (machine.wiki / "pages").mkdir()
    (machine.wiki / "pages/a [b]*$HOME.md").write_text("Hello")
    (machine.wiki / "pages/a [b]*$HOME.md").chmod(0o640)
    os.chown(machine.wiki / "pages/a [b]*$HOME.md", 1234, 5678)
    machine.done("save")

    restored = machine.restored()
    assert _files(restored / "volumes") == _files(machine.volumes)
    about = (restored / "volumes" / WIKI / "pages/a [b]*$HOME.md").stat()
    assert (about.st_mode & 0o777, about.st_uid, about.st_gid) == (0o640, 1234, 5678)
    (copy,) = machine.copies()
    assert (copy["hostname"], copy["tags"]) == ("home", ["homeserver"])


def test_live_data_of_elasticsearch_is_left_out(machine: Machine) -> None:
    (machine.volumes / LIVE).mkdir()
    (machine.volumes / LIVE / "segment").write_text("x")
    machine.done("save")

    assert not (machine.restored() / "volumes" / LIVE).exists()


def test_a_volume_of_an_app_is_left_out_if_its_owner_wants_that(machine: Machine) -> None:
    volumes = [{"name": "data", "backup": False}, {"name": "data-2", "backup": True}, {"name": "more"}]
    app = {"name": "wiki", "image": "localhost/wiki:1", "volumes": volumes}
    role = Role("backup", machine.root, apps=[app])
    machine.configure(left_out=role.value("_backup_unsaved"))
    kept = [f"apps-wiki-{name}{WIKI.removeprefix('apps-wiki-data')}" for name in ("data-2", "more")]
    for name in [WIKI, *kept]:
        (machine.volumes / name).mkdir(exist_ok=True)
        (machine.volumes / name / "page.md").write_text("Hello")
    machine.done("save")

    assert sorted(path.name for path in (machine.restored() / "volumes").iterdir()) == kept


@pytest.mark.parametrize("directory", [".homeserver-moved", ".homeserver-update", ".homeserver-upgrade"])
def test_copies_of_volumes_are_left_out(machine: Machine, directory: str) -> None:
    machine.configure(left_out=Role("backup", machine.root).value("_backup_settings.left_out"))
    (machine.volumes / directory).mkdir()
    (machine.volumes / directory / "page.md").write_text("before")
    machine.done("save")

    assert not (machine.restored() / "volumes" / directory).exists()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_database_in_use_is_saved_as_its_readers_see_it(machine: Machine, mode: str) -> None:
    live = machine.wiki / "wiki $1.db"
    writer = sqlite3.connect(live, isolation_level=None)
    writer.execute(f"PRAGMA journal_mode = {mode}")
    writer.execute("CREATE TABLE page (text)")
    writer.execute("INSERT INTO page VALUES ('saved')")
    os.chown(live, 1234, 5678)
    machine.done("save")
    writer.execute("INSERT INTO page VALUES ('later')")
    writer.close()

    restored = machine.restored()
    copy = restored / "saved/volumes" / VOLUME / live.name
    assert sqlite3.connect(copy).execute("SELECT text FROM page").fetchall() == [("saved",)]
    assert copy.stat().st_uid == 1234
    # A log that belongs to another state of the database would spoil the copy.
    assert not [name for name in _files(restored / "volumes") if live.name in name]
    # Nor does it take room until the next save.
    assert not (machine.directory / "volumes").exists()


def test_what_only_looks_like_a_database_is_saved_as_it_is(machine: Machine) -> None:
    broken = machine.wiki / "broken.db"
    broken.write_bytes(b"SQLite format 3\0" + b"x" * 1008)
    printed = machine.done("save")

    assert f"{broken} is saved as it is" in printed
    assert (machine.restored() / "volumes" / WIKI / "broken.db").read_bytes() == broken.read_bytes()


def _blocks(root: Path, *names: str) -> None:
    for name in names:
        (root / name / "chunks").mkdir(parents=True)
        (root / name / "meta.json").write_text(name)
        (root / name / "chunks/000001").write_text(name * 10)


def test_prometheus_is_saved_by_blocks_and_log(machine: Machine) -> None:
    root = machine.volumes / METRICS
    _blocks(root, "01J0000000000000000000000A", "01J0000000000000000000000B")
    for name in ("wal/00000001", "wal/checkpoint.00000000/00000000", "chunks_head/000001"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "lock").write_text("")
    os.chown(root / "wal", 1234, 5678)
    machine.done("save")

    restored = machine.restored()
    copy = restored / "saved/volumes" / METRICS.removeprefix("monitoring-prometheus-")
    expected = {name: content for name, content in _files(root).items() if name != "lock"}
    assert _files(copy) == expected
    assert (copy / "wal").stat().st_uid == 1234
    assert not (restored / "volumes" / METRICS).exists()


def test_blocks_that_come_and_go_meanwhile_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two blocks become one while they are linked."""
    root, beside = tmp_path / "live", tmp_path / "copy"
    old = ("01J0000000000000000000000A", "01J0000000000000000000000B")
    _blocks(root, *old)
    link = prometheus._link_file

    def compacting(source: str, target: str) -> Any:
        if (root / old[1]).exists():
            _blocks(root, "01J0000000000000000000000C")
            for name in old:
                shutil.rmtree(root / name)
        return link(source, target)

    monkeypatch.setattr(prometheus, "_link_file", compacting)
    prometheus._link_blocks(root, beside)

    assert _files(beside) == _files(root)


# ---- how it is installed


def test_what_the_role_installs_runs_by_its_path(machine: Machine) -> None:
    role = Role("backup", machine.root)
    program = machine.root / "installed" / Path(role.value("_backup_program")).name
    program.mkdir(parents=True)
    for file in role.value("_backup_program_files"):
        assert Path(file["path"]).parent == Path(role.value("_backup_program"))
        (program / Path(file["path"]).name).write_text(file["content"])
    done = subprocess.run(
        machine.command("prepare", program),
        cwd="/",
        env=machine.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"changed": True}


# ---- a repository of its own


def _own(machine: Machine, **changed: Any) -> None:
    """Let it save below what had the copies of all machines."""
    own = {"name": "nas", "location": str(machine.target / "home"), "parent": str(machine.target)}
    machine.configure(repositories=[own], **changed)


def _in_own(machine: Machine) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        machine.restic("-r", str(machine.target / "home"), "snapshots", "--json")
    )
    return found


def test_its_own_repository_is_made_where_its_directory_is(new: Machine) -> None:
    _own(new)
    new.done("save")
    assert len(_in_own(new)) == 1

    new.target.rename(new.root / "away")
    assert f"there is no directory {new.target} -> make it, or mount its disk" in new.fails("save")


def test_what_was_saved_before_stays_beside_its_own_repository(machine: Machine) -> None:
    (machine.wiki / "page").write_text("kept")
    machine.done("save")
    _own(machine)
    assert json.loads(machine.done("prepare")) == {"changed": True}
    for job in ("save", "check", "drill"):
        machine.done(job)

    assert (len(machine.copies()), len(_in_own(machine))) == (1, 1)
    about = json.loads(machine.done("status"))["nas"]
    assert about["former"]["size"] > 0
    assert about["former"]["success"] < about["success"]
    assert json.loads(machine.done("prepare")) == {"changed": False}


def test_its_own_repository_is_not_made_while_the_disk_of_the_former_is_away(machine: Machine) -> None:
    machine.done("save")
    _own(machine)
    machine.target.rename(machine.root / "away")
    machine.target.mkdir()

    assert "repository nas: it is gone -> mount its disk" in machine.fails("save")
    assert list(machine.target.iterdir()) == []


def test_a_machine_forgets_nothing_if_another_prunes(machine: Machine) -> None:
    machine.configure(keep={"daily": 1}, prunes=False)
    for _ in range(2):
        machine.done("save")
    machine.done("check")
    assert len(machine.copies()) == 2

    machine.configure(keep={"daily": 1})
    machine.done("save")
    assert len(machine.copies()) == 1


# ---- apps whose files are hostile


def _save_patched(machine: Machine, module: str, patch: str) -> subprocess.CompletedProcess[str]:
    """Save with something that happens meanwhile."""
    command = machine.command("save", machine.changed(module, more=patch))
    return subprocess.run(
        command, env=machine.environment, capture_output=True, text=True, check=False, timeout=120
    )


def _database(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE page (text)")
        database.execute("INSERT INTO page VALUES (?)", (text,))


def _page(path: Path) -> str:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return str(database.execute("SELECT text FROM page").fetchone()[0])


@pytest.fixture
def elsewhere(machine: Machine) -> Path:
    """A directory of the host, which no app may read or write."""
    place = machine.root.with_name(f"{machine.root.name}-host")
    place.mkdir()
    (place / "backup.py").write_text("what root runs")
    return place


# An app lets a directory that was listed become a link.
SWAPPED = """
_real = copy_sqlite
def copy_sqlite(database, copy):
    if {after}: _real(database, copy)
    shutil.rmtree(database.parent)
    database.parent.symlink_to({elsewhere!r})
    if not {after}: _real(database, copy)
"""


def test_a_restore_does_not_follow_a_link_to_which_a_directory_was_swapped(
    machine: Machine, elsewhere: Path
) -> None:
    _database(machine.wiki / "d/backup.py", "the app's")
    (machine.wiki / "page").write_text("Hello")
    saved = _save_patched(machine, "databases", SWAPPED.format(after=True, elsewhere=str(elsewhere)))
    assert saved.returncode == 0, saved.stderr
    (copy,) = machine.copies()
    about = volumes.Volume(VOLUME, "apps/wiki-data", str(machine.wiki), str(machine.wiki))

    left_out = volumes.fill(
        restic.Repository(str(machine.target), PASSWORD),
        restic.Save(copy["id"], "home", copy["time"]),
        about,
        machine.directory,
    )

    assert _files(elsewhere) == {"backup.py": b"what root runs"}
    assert not (machine.wiki / "d").is_symlink()
    assert _page(machine.wiki / "d/backup.py") == "the app's"
    assert (machine.wiki / "page").read_text() == "Hello"
    assert left_out == ["d"], "the link"


def test_no_database_is_read_through_a_link_to_which_its_directory_was_swapped(
    machine: Machine, elsewhere: Path
) -> None:
    _database(machine.wiki / "d/x.db", "the app's")
    _database(elsewhere / "x.db", "the host's")
    saved = _save_patched(machine, "databases", SWAPPED.format(after=False, elsewhere=str(elsewhere)))

    assert saved.returncode == 0, saved.stderr
    assert "d/x.db is saved as it is" in saved.stdout
    assert not [name for name, content in _files(machine.restored()).items() if b"the host's" in content]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["backup.py", "x.db"]


def test_restic_cannot_follow_links_of_apps(machine: Machine, elsewhere: Path) -> None:
    """It opens files by their path, so a directory that is swapped would lead it away."""
    (machine.wiki / "link").symlink_to(elsewhere)
    real, program = shutil.which("restic"), machine.root / "bin/restic"
    program.parent.mkdir()
    read = f"cat {machine.wiki}/link/backup.py >> {machine.root}/read"
    program.write_text(f'#!/bin/sh\ncase $* in *backup*) {read} ;; esac\nexec {real} "$@"\n')
    program.chmod(0o755)
    path = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    subprocess.run(machine.command("save"), env=machine.environment | path, check=True)

    assert (machine.root / "read").read_text() == ""
    assert (machine.restored() / "volumes" / WIKI / "link").readlink() == elsewhere


def test_nothing_is_read_where_links_cannot_be_refused(machine: Machine) -> None:
    (machine.wiki / "page").write_text("Hello")
    machine.done("prepare")
    command = ["setpriv", "--bounding-set=-sys_admin", *machine.command("save")]
    ended = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert (
        "so nothing is read there: Operation not permitted -> run it as root, on Linux 5.14" in ended.stderr
    )
    assert machine.copies() == []
    assert machine.metrics()['failed{repository="nas"}'] == 1


def test_links_in_the_directory_of_prometheus_are_left_out_and_named(
    machine: Machine, elsewhere: Path
) -> None:
    root = machine.volumes / METRICS
    block = root / "01J0000000000000000000000A"
    _blocks(root, block.name)
    (root / "wal").mkdir()
    (root / "wal/00000001").write_text("samples")
    for link in ("wal/x", "wal/00000002", f"{block.name}/y", f"{block.name[:-1]}B", "chunks_head"):
        (root / link).symlink_to(elsewhere if "x" not in link else elsewhere / "backup.py")
    os.mkfifo(root / "wal/pipe")
    told = machine.fails("save")

    assert "6 entries are neither files nor directories, all others are saved" in told
    assert f"{root}/wal/x" in told
    copy = machine.restored() / "saved/volumes" / METRICS.removeprefix("monitoring-prometheus-")
    assert _files(copy).keys() == {
        "wal/00000001",
        f"{block.name}/meta.json",
        f"{block.name}/chunks/000001",
    }
    assert not [path for path in copy.rglob("*") if path.is_symlink()]
    assert machine.metrics()['failed{repository="nas"}'] == 1


@pytest.mark.parametrize("ending", ["journal", "wal", "shm"])
def test_a_pipe_beside_a_database_does_not_stop_a_save(machine: Machine, ending: str) -> None:
    database = machine.wiki / "x.db"
    _database(database, "kept")
    os.mkfifo(database.with_name(f"x.db-{ending}"))
    done = _save_patched(machine, "databases", "")

    assert done.returncode == 0, done.stderr
    assert f"{database} is saved as it is" in done.stdout
    assert (machine.restored() / "volumes" / WIKI / "x.db").read_bytes() == database.read_bytes()
    machine.done("drill")


def test_a_database_that_stays_locked_does_not_stop_a_save(machine: Machine) -> None:
    _database(machine.wiki / "x.db", "kept")
    with contextlib.closing(sqlite3.connect(machine.wiki / "x.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        done = _save_patched(machine, "databases", "SQLITE_SECONDS = 1")

    assert "it was locked for 1 s" in done.stdout
    assert _page(machine.restored() / "volumes" / WIKI / "x.db") == "kept"


def test_a_database_whose_reading_never_ends_does_not_stop_a_save(machine: Machine) -> None:
    for name in ("x.db", "y.db"):
        _database(machine.wiki / name, "kept")
    stuck = "COPY_SECONDS = 1\ndef copy_sqlite(database, copy): os.mkfifo(copy.parent.parent / 'p'); "
    done = _save_patched(machine, "databases", stuck + "(copy.parent.parent / 'p').open()")

    assert "it has not finished after 1 s, so the rest of its volume is not tried" in done.stdout
    for name in ("x.db", "y.db"):
        assert _page(machine.restored() / "volumes" / WIKI / name) == "kept"


OTHER = "apps-blog-data-pvc-41111111-2222-3333-4444-555555555555"


def test_no_name_of_a_file_chooses_what_else_is_not_saved(machine: Machine) -> None:
    other = machine.volumes / OTHER
    other.mkdir()
    (other / "page").write_text("Hello")
    # As lines of a list, these would be: all that a volume has, and a directory.
    _database(Path(f"{machine.wiki}/a\n{other}"), "with a line of its own")
    _database(machine.wiki / "x.db ", "with a space at its end")
    (machine.wiki / "x.db").mkdir()
    (machine.wiki / "x.db/page").write_text("Hello")
    machine.done("save")

    assert _files(machine.restored() / "volumes") == _files(machine.volumes)
    machine.done("drill")


def test_names_that_are_no_text_are_saved(machine: Machine) -> None:
    for name in (b"\xff.db", b"\xfe.db"):
        _database(machine.wiki / os.fsdecode(name), f"of {name!r}")
    for name, text in ((b"\xff", "one"), (b"\xfe", "another")):
        (machine.wiki / os.fsdecode(name)).write_text(text)
    broken = machine.wiki / os.fsdecode(b"\xfd\n.db")
    broken.write_bytes(b"SQLite format 3\0" + b"x" * 1008)
    printed = machine.done("save")

    restored = machine.restored()
    assert "\\udcfd\\n.db is saved as it is" in printed
    for name in (b"\xff.db", b"\xfe.db"):
        assert _page(restored / "saved/volumes" / VOLUME / os.fsdecode(name)) == f"of {name!r}"
        assert not (restored / "volumes" / WIKI / os.fsdecode(name)).exists()
    for name in (b"\xff", b"\xfe", b"\xfd\n.db"):
        path = machine.wiki / os.fsdecode(name)
        assert (restored / "volumes" / WIKI / path.name).read_bytes() == path.read_bytes()
    assert "restored 6 files, 4 match the current ones, 2 have changed" in machine.done("drill")


# ---- on the founder


KUBECTL = """#!/bin/sh
printf '%s\\n' "$*" >> "{root}/asked"
case "$*" in
  "get persistentvolumes "*) cat "{root}/pv.json" ;;
  "api-resources "*) printf 'configmaps\\nevents\\nsecrets\\n' ;;
  "get namespaces,configmaps,secrets "*) cat "{root}/objects.json" ;;
  "get deployments "*) cat "{root}/deployments.json" ;;
  *"get cronjob "*) echo cronjob.batch/logstore-snapshot ;;
  *"exec deployment/broken "*) echo "no such database" >&2; exit 1 ;;
esac
"""


def _metadata(name: str, namespace: str = "wiki", **more: Any) -> dict[str, Any]:
    server = {"uid": "1", "resourceVersion": "1", "managedFields": []}
    return {"metadata": {"name": name, "namespace": namespace, **server, **more}}


OWNERS = {"kind": "ConfigMap", **_metadata("mine"), "data": {"a": "b"}}
OTHERS = [
    {"kind": "ConfigMap", **_metadata("ours", labels={"app.kubernetes.io/managed-by": "homeserver"})},
    {"kind": "ConfigMap", **_metadata("made", ownerReferences=[{"kind": "Deployment"}])},
    {"kind": "ConfigMap", **_metadata("kube-root-ca.crt")},
    {"kind": "ConfigMap", **_metadata("coredns", "kube-system")},
    {"kind": "Secret", **_metadata("token"), "type": "kubernetes.io/service-account-token"},
    {"kind": "Namespace", **_metadata("kube-system", "")},
]


@pytest.fixture
def founder(machine: Machine) -> Machine:
    machine.configure(founder=True)
    (machine.root / "kubectl").write_text(KUBECTL.format(root=machine.root))
    (machine.root / "kubectl").chmod(0o755)
    control = machine.directory / "control/sealed"
    control.parent.mkdir(parents=True)
    control.write_text("encrypted by the control machine")
    volume = {
        "metadata": {"name": VOLUME},
        "spec": {
            "claimRef": {"namespace": "apps", "name": "wiki-data"},
            "hostPath": {"path": str(machine.wiki)},
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "microk8s-hostpath",
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "kubernetes.io/hostname", "values": ["server"]}]}
                    ]
                }
            },
        },
        "status": {"phase": "Bound"},
    }
    released = {**volume, "status": {"phase": "Released"}}
    (machine.root / "pv.json").write_text(json.dumps({"items": [volume, released]}))
    (machine.root / "objects.json").write_text(json.dumps({"items": [OWNERS, *OTHERS]}))
    _apps(machine, {})
    return machine


def _apps(machine: Machine, hooks: dict[str, dict[str, list[list[str]]]]) -> None:
    items = [
        {
            "spec": {"replicas": 1},
            **_metadata(app, "apps", annotations={"homeserver.stack/backup": json.dumps(of)}),
        }
        for app, of in hooks.items()
    ]
    (machine.root / "deployments.json").write_text(json.dumps({"items": items}))


def test_the_founder_saves_what_the_control_machine_and_the_cluster_know(founder: Machine) -> None:
    founder.done("save")

    saved = founder.restored() / "saved"
    assert _files(saved / "control") == {"sealed": b"encrypted by the control machine"}
    assert json.loads((saved / "cluster/volumes.json").read_text()) == [
        {
            "namespace": "apps",
            "claim": "wiki-data",
            "volume": VOLUME,
            "node": "server",
            "path": str(founder.wiki),
            "capacity": "1Gi",
            "access_modes": ["ReadWriteOnce"],
            "storage_class": "microk8s-hostpath",
            "labels": {},
        }
    ]
    objects = json.loads((saved / "cluster/objects.json").read_text())
    assert objects["kind"] == "List"
    assert objects["items"] == [
        {"kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "wiki"}, "data": {"a": "b"}}
    ]
    asked = (founder.root / "asked").read_text()
    assert "-n logging create job --from=cronjob/logstore-snapshot logstore-snapshot-backup" in asked


def test_a_founder_without_the_control_file_says_so(founder: Machine) -> None:
    (founder.directory / "control/sealed").unlink()

    assert "the inventory of the control machine could not be saved: there is no" in founder.fails("save")
    assert founder.metrics()['failed{repository="nas"}'] == 1


def test_a_claim_and_a_service_can_be_made_in_another_cluster() -> None:
    claim = {
        "kind": "PersistentVolumeClaim",
        **_metadata("data", annotations={"pv.kubernetes.io/bind-completed": "yes", "mine": "1"}),
        "spec": {"volumeName": "pvc-1"},
        "status": {"phase": "Bound"},
    }
    service = {"kind": "Service", **_metadata("wiki"), "spec": {"clusterIP": "10.152.183.7", "ports": []}}
    headless = {"kind": "Service", **_metadata("db"), "spec": {"clusterIP": "None"}}

    assert cluster.without_server_fields(claim) == {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "wiki", "annotations": {"mine": "1"}},
        "spec": {"volumeName": "pvc-1"},
    }
    assert cluster.without_server_fields(service)["spec"] == {"ports": []}
    assert cluster.without_server_fields(headless)["spec"] == {"clusterIP": "None"}


def test_apps_are_told_before_and_after(founder: Machine) -> None:
    _apps(founder, {"db": {"before": [["dump", "all"]], "after": [["forget"]]}})
    founder.done("save")

    asked = (founder.root / "asked").read_text().splitlines()
    hooks = [line for line in asked if " exec " in line]
    assert hooks == [
        "-n apps exec deployment/db -- dump all",
        "-n apps exec deployment/db -- forget",
    ]


def test_a_command_that_fails_is_told_and_the_rest_is_saved(founder: Machine) -> None:
    (founder.wiki / "page").write_text("Hello")
    _apps(founder, {"broken": {"before": [["dump"]]}})
    told = founder.fails("save")

    assert "the command before a save failed in the app broken -> correct its backup.before" in told
    assert "no such database" in told
    assert (founder.restored() / "volumes" / WIKI / "page").read_text() == "Hello"
    assert founder.metrics()['failed{repository="nas"}'] == 1
    assert 'last_success_timestamp_seconds{repository="nas"}' not in founder.metrics()


def test_a_cluster_that_does_not_answer_is_told_and_the_rest_is_saved(founder: Machine) -> None:
    (founder.wiki / "page").write_text("Hello")
    (founder.root / "kubectl").write_text("#!/bin/sh\necho 'connection refused' >&2; exit 1\n")
    told = founder.fails("save")

    assert "the objects of the cluster could not be saved: kubectl get persistentvolumes" in told
    assert (founder.restored() / "volumes" / WIKI / "page").read_text() == "Hello"


def test_a_machine_without_a_cluster_is_saved(founder: Machine) -> None:
    (founder.wiki / "page").write_text("Hello")
    (founder.root / "kubectl").unlink()

    assert "no app has run its commands before a save: kubectl cannot be run" in founder.fails("save")
    assert (founder.restored() / "volumes" / WIKI / "page").read_text() == "Hello"


# ---- what goes wrong


def test_metrics_tell_what_went_well(new: Machine) -> None:
    (new.wiki / "page").write_text("Hello")
    before = time.time()
    new.done("prepare")
    make_cheap(new.target, PASSWORD)
    for job in ("save", "check", "drill"):
        new.done(job)

    told = new.metrics()
    for name in ("configured", "last_success", "last_check", "last_drill"):
        assert before - 1 < told[f'{name}_timestamp_seconds{{repository="nas"}}'] < time.time() + 1
    assert told['failed{repository="nas"}'] == 0
    assert told['size_bytes{repository="nas"}'] > 0
    assert (new.root / "metrics/homeserver_backup.prom").stat().st_mode & 0o777 == 0o644
    assert new.directory.stat().st_mode & 0o777 == 0o700


def test_a_wrong_password_is_told(machine: Machine) -> None:
    machine.done("save")
    machine.configure(password="quite-another-password")
    told = machine.fails("save")

    assert "repository nas: its password is a different one -> put the password" in told
    assert PASSWORD not in told
    assert "quite-another-password" not in told
    assert len(machine.copies()) == 1
    assert machine.metrics()['failed{repository="nas"}'] == 1


def test_a_directory_that_is_not_mounted_is_not_filled(new: Machine) -> None:
    new.target.rmdir()
    assert f"repository nas: there is no directory {new.target} -> make it, or mount" in new.fails("save")

    new.target.mkdir()
    new.done("save")
    gone = new.target.rename(new.root / "gone")
    new.target.mkdir()
    told = new.fails("save")
    assert "repository nas: it is gone -> mount its disk" in told
    assert list(new.target.iterdir()) == []

    new.target.rmdir()
    new.done("prepare")  # An alert tells it. It is no reason to leave the home as it is.
    assert new.metrics()['failed{repository="nas"}'] == 1
    gone.rename(new.target)
    new.done("save")
    assert new.metrics()['failed{repository="nas"}'] == 0


@pytest.fixture
def small(new: Machine) -> Iterator[Machine]:
    """A machine whose target has 16 MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", new.target], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root mounts")
    yield new
    subprocess.run(["umount", new.target], check=True)


def test_a_full_target_is_told_and_earlier_copies_stay(small: Machine) -> None:
    (small.wiki / "page").write_text("Hello")
    small.done("save")
    (small.wiki / "film").write_bytes(os.urandom(24 << 20))
    told = small.fails("save")

    assert "repository nas: it is full; what was saved before is still there -> free space there" in told
    (small.wiki / "film").unlink()
    assert (small.restored() / "volumes" / WIKI / "page").read_text() == "Hello"
    small.done("check")


def test_a_restic_that_is_stuck_is_ended_and_told(machine: Machine) -> None:
    machine.done("save")
    names = ("IDLE_SECONDS", "IDLE_SECONDS_IF_FULL")
    program = machine.changed("restic", *((f"\n{name} = ", f"\n{name} = 2 or ") for name in names))
    stuck = machine.root / "bin/restic"
    stuck.parent.mkdir()
    real = shutil.which("restic")
    stuck.write_text(f'#!/bin/sh\ncase $* in *backup*) exec sleep 600 ;; *) exec {real} "$@" ;; esac\n')
    stuck.chmod(0o755)
    path = {"PATH": f"{stuck.parent}:{os.environ['PATH']}"}
    ended = subprocess.run(
        machine.command("save", program),
        env=machine.environment | path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert "did nothing for 2 s" in ended.stderr
    assert machine.metrics()['failed{repository="nas"}'] == 1


def test_the_lock_of_a_job_that_is_gone_does_not_stop_the_next_save(machine: Machine) -> None:
    (machine.wiki / "page").write_bytes(os.urandom(64 << 20))
    machine.done("save")
    process = subprocess.Popen(machine.command("check"), env=machine.environment, start_new_session=True)
    wait_until(lambda: any((machine.target / "locks").iterdir()), pause=0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert any((machine.target / "locks").iterdir())

    machine.done("save")
    assert machine.metrics()['failed{repository="nas"}'] == 0


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.mark.parametrize("job", ["check", "drill"])
def test_a_flipped_bit_is_found(machine: Machine, job: str) -> None:
    (machine.wiki / "page").write_bytes(os.urandom(1 << 20))
    machine.done("save")
    largest = max(
        (machine.target / "data").rglob("*"), key=lambda path: path.is_file() and path.stat().st_size
    )
    _flip(largest)
    told = _in_every_week(machine, job) if job == "check" else machine.fails(job)

    assert "repository nas: " in told
    assert "damaged" in told or "came back wrong" in told
    assert machine.metrics()['failed{repository="nas"}'] == 1
    # Nothing was let go.
    assert largest.exists()


def _in_every_week(machine: Machine, job: str) -> str:
    """Run a job in each of the weeks in which it reads another part, until it fails."""
    for week in range(12):
        command = machine.command(
            job, machine.changed("repositories", ("time.time() // (7 * 86400)", str(week)))
        )
        ended = subprocess.run(command, env=machine.environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            return ended.stderr
    pytest.fail("no check found it")


def test_a_drill_finds_what_differs(machine: Machine) -> None:
    page = machine.wiki / "page"
    page.write_text("Hello")
    machine.done("save")
    about = page.stat()
    page.write_text("Jello")
    os.utime(page, ns=(about.st_atime_ns, about.st_mtime_ns))

    assert f"repository nas: 1 files came back wrong: {page} differs" in machine.fails("drill")
    assert not machine.directory.with_name("saved-drill").exists()


def test_a_drill_counts_what_changed_since(machine: Machine) -> None:
    (machine.wiki / "page").write_text("Hello")
    (machine.wiki / "other").write_text("Hello")
    machine.done("save")
    (machine.wiki / "page").write_text("Hello again")

    # One lists what a copy has to have.
    assert "restored 3 files, 2 match the current ones, 1 have changed since" in machine.done("drill")


def test_a_drill_waits_for_no_pipe_that_came_in_the_place_of_a_file(machine: Machine) -> None:
    page = machine.wiki / "page"
    page.touch()
    machine.done("save")
    about = page.stat()
    page.unlink()
    os.mkfifo(page)
    os.utime(page, ns=(about.st_atime_ns, about.st_mtime_ns))

    assert "1 have changed since" in machine.done("drill")


LOST = """
_real = stage
def stage(settings):
    excluded, errors = _real(settings)
    return [*excluded, Path({lost!r})], errors
"""


@pytest.mark.parametrize("lost", [f"volumes/{WIKI}", f"saved/volumes/{VOLUME}/x.db"])
def test_a_drill_names_what_was_not_saved(machine: Machine, lost: str) -> None:
    _database(machine.wiki / "x.db", "kept")
    (machine.volumes / OTHER).mkdir()
    (machine.volumes / OTHER / "page").write_text("Hello")
    saved = _save_patched(machine, "volumes", LOST.format(lost=str(machine.root / lost)))
    assert saved.returncode == 0, saved.stderr

    told = machine.fails("drill")
    assert f"the newest copy lacks 1 volumes or databases: {machine.root / lost} -> " in told
    assert machine.metrics()['failed{repository="nas"}'] == 1
    machine.done("save")
    machine.done("drill")


def test_a_drill_names_a_volume_that_the_cluster_has_here_and_nobody_saved(founder: Machine) -> None:
    about = json.loads((founder.root / "pv.json").read_text())
    (term,) = about["items"][0]["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    term["matchExpressions"][0]["values"] = [os.uname().nodename.lower()]
    (founder.root / "pv.json").write_text(json.dumps(about))
    founder.done("save")
    founder.done("drill")
    founder.wiki.rename(founder.root / "moved")
    founder.done("save")

    assert f"the newest copy lacks 1 volumes or databases: {founder.wiki} -> " in founder.fails("drill")


def test_a_volume_that_is_a_link_is_told(machine: Machine, elsewhere: Path) -> None:
    """Its files are elsewhere, and restic saves only the link."""
    (machine.volumes / OTHER).symlink_to(elsewhere)
    machine.done("save")

    assert f"lacks 1 volumes or databases: {machine.volumes / OTHER} -> " in machine.fails("drill")


def test_a_save_that_is_killed_loses_nothing(machine: Machine) -> None:
    (machine.wiki / "page").write_text("Hello")
    machine.done("save")
    (machine.wiki / "film").write_bytes(os.urandom(200 << 20))
    database = sqlite3.connect(machine.wiki / "wiki.db")
    database.execute("CREATE TABLE page (text)")
    database.close()
    running = subprocess.Popen(machine.command("save"), env=machine.environment, start_new_session=True)
    wait_until(
        lambda: len([path for path in (machine.target / "data").rglob("*") if path.is_file()]) > 4, pause=0.01
    )
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert len(machine.copies()) == 1

    machine.done("save")
    machine.done("check")
    assert _files(machine.restored() / "volumes" / WIKI).keys() == {"page", "film"}


def test_one_repository_that_fails_does_not_stop_the_others(machine: Machine) -> None:
    away = {
        "name": "away",
        "location": "rest:http://owner:hidden-word@127.0.0.1:9/",
        "environment": {"A": "hidden-two"},
    }
    machine.configure(repositories=[away, {"name": "nas", "location": str(machine.target)}])
    told = machine.fails("save")

    assert "repository away: it cannot be reached -> is it on" in told
    assert "hidden-" not in told
    assert len(machine.copies()) == 1
    told_by_metrics = machine.metrics()
    assert told_by_metrics['failed{repository="away"}'] == 1
    assert told_by_metrics['failed{repository="nas"}'] == 0


def test_nothing_is_saved_over_a_restore(machine: Machine) -> None:
    machine.done("save")
    (machine.directory / "restoring").touch()

    assert "a restore has started but not finished" in machine.fails("save")
    assert len(machine.copies()) == 1


def test_old_copies_are_let_go_each_machine_for_itself(machine: Machine) -> None:
    (machine.wiki / "page").write_text("Hello")
    for host_name, day in (("home", "01"), ("home", "02"), ("home", "03"), ("attic", "01")):
        machine.target.mkdir(exist_ok=True)
        machine.done("prepare")
        place = str(machine.volumes)
        stamp = ("--time", f"2020-01-{day} 03:15:00", "--host", host_name, "--tag", "homeserver")
        machine.restic("backup", *stamp, place)
    machine.configure(keep={"daily": 2})
    machine.done("save")

    kept = sorted((copy["hostname"], copy["time"][:10]) for copy in machine.copies())
    assert kept[0] == ("attic", "2020-01-01")
    assert next(when for name, when in kept if name == "home") == "2020-01-03"
    assert len(kept) == 3
