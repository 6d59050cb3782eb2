"""A machine and all on its control machine are lost; a backup brings the home back at another address."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from harness.dashboards import Question, asked, read
from harness.database import ask
from harness.home import Home, Kubectl, eventually
from harness.logs import Logs
from harness.machines import Machines, changes
from harness.prometheus import Prometheus
from harness.shipping import write_lines

DISK = "/mnt/disk"
REPOSITORY = f"{DISK}/home"
NAME = "disk"
SAVE = "python3 /usr/local/lib/homeserver/homeserver_backup"
OWNERS = {"backup_repositories": [{"name": NAME, "location": REPOSITORY}]}
NAS = {"name": "nas", "location": "sftp:root@127.0.0.1:/mnt/nas/home"}
# Stops a save in the middle: once it has locked the repository.
STOP_A_SAVE = f"""systemctl start --no-block homeserver-backup
for try in $(seq 6000); do
  pkill -STOP -f '[r]estic --quiet backup' && [ -n "$(ls {REPOSITORY}/*/locks)" ] && exit 0
  pkill -CONT -f '[r]estic --quiet backup'
  sleep 0.02
done
exit 1"""
# Ends a restore in the middle: once a volume is filled.
END_A_RESTORE = """for try in $(seq 60000); do
  grep -sq / /var/lib/homeserver-backup/restoring && pkill -KILL -x restic && exit 0
  sleep 0.02
done
exit 1"""
SHOWN = [
    question
    for board in read().values()
    for question in asked(board)
    if "homeserver_backup_" in question.expr
]
KEPT_BY_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": "mine"}}
SILENCES = "/var/snap/microk8s/common/default-storage/monitoring-alertmanager-*/silences"
AMTOOL = "-n monitoring exec alertmanager-0 -- amtool --alertmanager.url=http://localhost:9093"


def _logs(machines: Machines) -> Logs:
    return Logs(machines.host(machines.home.name), machines.home, machines.kubectl)


def _secrets(home: Home) -> Mapping[str, str]:
    """Return the content of all secrets but the certificates of servers, which have an address."""
    kinds = ("*.password", "*.key", "*.token", "ca.crt")
    return {path.name: path.read_text() for kind in kinds for path in home.secrets.glob(kind)}


@dataclass(frozen=True)
class Lost:
    """What an owner had.

    Attributes:
        address: The address of the machine.
        secrets: The passwords, keys and the CA.
        measured: When Prometheus measured something for sure, in seconds.
        logged: What a line of the logs had in it.
        disk: The disk with the backup.
        password: The password of the backup, on a slip of paper, as it were.
    """

    address: str
    secrets: Mapping[str, str]
    measured: float
    logged: str
    disk: Path
    password: str


@pytest.fixture(scope="module")
def machines(home: Home) -> Machines:
    """The machine of the home, with its logs."""
    return Machines(home, options=())


@pytest.fixture(scope="module")
def lost(machines: Machines, prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory) -> Lost:
    """Let a home be used and saved, and lose all but the disk with the backup.

    The power is cut while it is saved once more.
    """
    home, kubectl = machines.home, machines.kubectl
    place = tmp_path_factory.mktemp("elsewhere")
    # Alertmanager writes it within a minute, in which all else is done.
    kubectl(f"{AMTOOL} silence add alertname=Never --comment=kept --author=owner --duration=30d")
    ask(kubectl, "CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept'); CHECKPOINT")
    kubectl("create namespace mine")
    kubectl.apply({**KEPT_BY_OWNER, "data": {"note": "kept"}})
    logged = write_lines(kubectl, 1, 0)
    (home.inventory / "group_vars/all/the_owners.yml").write_text(yaml.safe_dump(OWNERS))
    machines.host(home.name).check_output(f"mkdir -p {REPOSITORY}")
    machines.play("site.yml")

    assert eventually(lambda: prometheus.value("count(up == 1)") > 3, 120)
    _logs(machines).wait(logged)
    assert eventually(lambda: machines.host(home.name).run(f"grep -qa kept {SILENCES}").succeeded, 120)
    measured = time.time()
    machines.play("playbooks/backup.yml")
    ask(kubectl, "INSERT INTO notes VALUES ('after the last whole backup')")

    password = (home.secrets / "backup.password").read_text().strip()
    machines.host(home.name).check_output(STOP_A_SAVE)
    machines.cut(home.name)
    machines.start(home.name)
    machines.unplug(home.name, DISK, place / "disk.tar")
    had = Lost(home.address, _secrets(home), measured, logged, place / "disk.tar", password)
    machines.remove(home.name)
    assert not home.inventory.exists()
    return had


@pytest.fixture(scope="module")
def restored(machines: Machines, lost: Lost) -> str:
    """Restore the home, as docs/backup.md says, on a new machine, with an interruption.

    Returns what the last run printed.
    """
    home = machines.home
    machines.up(1)
    machines.move(home.name)
    machines.plug(home.name, DISK, lost.disk)
    question = f"Password of the backups at {REPOSITORY}"
    typed = ("-e", f"restore_location={REPOSITORY}")
    brought = home.play_and_type(question, lost.password, "playbooks/restore_inventory.yml", *typed)
    assert brought.returncode == 0, brought.stdout
    assert lost.password not in brought.stdout
    with ThreadPoolExecutor() as pool:
        ending = pool.submit(machines.host(home.name).check_output, END_A_RESTORE)
        said = machines.refused("playbooks/restore.yml")
        ending.result()
    assert "Run the same again" in said
    return machines.play("playbooks/restore.yml")


@pytest.fixture(scope="module")
def found(machines: Machines, restored: str) -> Kubectl:
    """The restored cluster."""
    assert restored
    return Kubectl(machines.host(machines.home.name))


def test_the_machine_is_another(home: Home, lost: Lost, restored: str) -> None:
    assert restored
    assert home.address != lost.address


@pytest.mark.usefixtures("restored")
def test_passwords_and_the_authority_are_the_same(home: Home, lost: Lost) -> None:
    assert _secrets(home) == lost.secrets


def test_rows_are_there(found: Kubectl) -> None:
    assert ask(found, "SELECT text FROM notes") == "kept"


def test_a_dump_of_them_was_saved(found: Kubectl) -> None:
    assert "kept" in found("-n apps exec deployment/db -- cat /var/lib/postgresql/data/homeserver-backup.sql")


def test_the_owners_object_is_there(found: Kubectl) -> None:
    assert found.get("-n mine configmap mine")["data"] == {"note": "kept"}


def test_the_silence_is_there(found: Kubectl) -> None:
    silences = json.loads(found(f"{AMTOOL} silence query --output=json"))

    assert "kept" in {silence["comment"] for silence in silences}


@pytest.mark.usefixtures("restored")
def test_what_was_measured_is_there(prometheus: Prometheus, lost: Lost) -> None:
    before = prometheus.api("query", query="count(up == 1)", time=str(lost.measured))

    assert float(before["result"][0]["value"][1]) > 3


@pytest.mark.usefixtures("restored")
def test_what_was_logged_is_there(machines: Machines, lost: Lost) -> None:
    assert _logs(machines).wait(lost.logged)


@pytest.mark.usefixtures("restored")
def test_pages_answer(home: Home) -> None:
    assert requests.get(f"https://hello.{home.domain}/", verify=home.ca, timeout=10).status_code == 200


@pytest.mark.usefixtures("restored")
def test_every_volume_is_the_old_one(found: Kubectl) -> None:
    volumes: dict[str, Any] = {
        volume["metadata"]["name"]: volume for volume in found.get("persistentvolumes")["items"]
    }
    claims = found.get("persistentvolumeclaims -A")["items"]

    # A claim of what does not run here waits for its first pod.
    assert {claim["spec"]["volumeName"] for claim in claims if "volumeName" in claim["spec"]} == set(volumes)
    assert {volume["status"]["phase"] for volume in volumes.values()} == {"Bound"}


@pytest.mark.usefixtures("restored")
def test_a_copy_is_proved_by_a_drill(machines: Machines) -> None:
    proved = _proved(machines, NAME)

    assert proved["drill"] > proved["check"]
    assert proved["failures"] == {}


@pytest.mark.usefixtures("restored")
def test_the_machine_keeps_secrets_that_it_cannot_read(machines: Machines, lost: Lost) -> None:
    host = machines.host(machines.home.name)
    known = " ".join(("/etc/homeserver", "/var/lib/homeserver-backup"))

    assert host.file("/var/lib/homeserver-backup/control/sealed").size > 1000
    for secret in (lost.password, lost.secrets["ca.key"].splitlines()[1]):
        assert host.run("grep -rqF -e %s " + known, secret).rc == 1


def _proved(machines: Machines, name: str) -> dict[str, Any]:
    """Check the repositories, let a drill restore the first, and return what is known of one then."""
    host = machines.host(machines.home.name)
    for job in ("check", "drill"):
        host.check_output(f"systemctl start homeserver-backup-{job}")
    known: dict[str, Any] = json.loads(host.check_output(f"{SAVE} status"))[name]
    return known


@pytest.fixture
def away(machines: Machines, restored: str) -> Iterator[str]:
    """A home whose disk is away when it is to be saved. Returns what that said."""
    assert restored
    host = machines.host(machines.home.name)
    host.check_output(f"mv {REPOSITORY} {REPOSITORY}.away")
    saved = host.run(f"{SAVE} save")
    assert saved.rc == 1
    yield saved.stderr
    host.check_output(f"mv {REPOSITORY}.away {REPOSITORY}")


def test_the_home_changes_nothing_more_and_tells_that_its_disk_is_away(
    machines: Machines, prometheus: Prometheus, away: str
) -> None:
    assert f"repository {NAME}: there is no directory {REPOSITORY} -> make it, or mount its disk" in away
    run = machines.play("site.yml")

    assert set(changes(run).values()) == {0}
    assert f"{REPOSITORY} is missing" in run
    alert = f'ALERTS{{alertname="BackupFailing", repository="{NAME}"}}'
    assert eventually(lambda: bool(prometheus.query(alert)), 120)


def test_one_app_is_brought_back_if_that_is_meant(machines: Machines, found: Kubectl) -> None:
    day = time.strftime("%Y-%m-%d")
    ask(found, "DELETE FROM notes")

    with ThreadPoolExecutor(2) as pool:
        newest, oldest = pool.map(
            lambda more: machines.refused("playbooks/restore.yml", "-e", "app=db", *more),
            ((), ("-e", "at=2020-01-01")),
        )
    assert "newer data" in newest
    assert "no save that old" in oldest
    assert ask(found, "SELECT count(*) FROM notes") == "0"
    machines.play(
        "playbooks/restore.yml", *("-e", "app=db", "-e", f"at={day}", "-e", "restore_overwrite=true")
    )

    found("-n apps rollout status deployment/db --timeout=120s")
    assert eventually(lambda: ask(found, "SELECT text FROM notes") == "kept", 60)


@pytest.mark.usefixtures("restored")
def test_the_home_is_saved_on_also_over_ssh(machines: Machines, prometheus: Prometheus) -> None:
    host, begun = machines.host(machines.home.name), time.time()
    host.check_output(
        "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519"
        " && cat ~/.ssh/id_ed25519.pub >> ~/.ssh/authorized_keys"
        " && ssh-keyscan 127.0.0.1 >> ~/.ssh/known_hosts && mkdir /mnt/nas"
    )
    # The first is the one that a drill reads.
    both = {"backup_repositories": [NAS, *OWNERS["backup_repositories"]]}
    machines.play("playbooks/stages/schedule_backups.yml", "-e", json.dumps(both))
    host.check_output("systemctl start homeserver-backup")
    proved = _proved(machines, NAS["name"])

    assert proved["drill"] > proved["check"] > proved["success"]
    assert proved["failures"] == {}
    saved = f"count(homeserver_backup_last_success_timestamp_seconds > {begun})"
    assert eventually(lambda: prometheus.value(saved) == 2, 120)
    assert prometheus.value("max(homeserver_backup_failed)") == 0


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("question", SHOWN, ids=str)
def test_the_dashboards_show_the_backups(prometheus: Prometheus, question: Question) -> None:
    assert eventually(lambda: bool(prometheus.query(question.expr)), 60), question.expr
