"""The data that the program of molecule/apps/wiki had in Docker move into its apps, and back."""

import shlex
import subprocess
from typing import Any

import pytest
import requests
from testinfra.host import Host

from harness.home import ROOT, Home, Kubectl, eventually

NAMESPACE = "apps-root"
VOLUMES = "/var/snap/microk8s/common/default-storage"
DOCKER = "/var/lib/docker/volumes"
OLD_PASSWORD = "keep-me-secret"
# A database as it was in Docker, with the password of the compose file.
INITIALIZE = f"""cd /var/lib/postgresql/data && rm -rf old && echo {OLD_PASSWORD} >/tmp/password
initdb --pgdata=old --username=wiki --pwfile=/tmp/password --auth-host=scram-sha-256 >/dev/null
echo 'host all all all scram-sha-256' >>old/pg_hba.conf
echo "listen_addresses = '*'" >>old/postgresql.conf
echo 'CREATE DATABASE wiki;' | postgres --single -D old postgres >/dev/null
echo 'CREATE TABLE kept AS SELECT 42 AS mark;' | postgres --single -D old wiki >/dev/null
"""
PREPARE = f"""set -e
rm -rf {DOCKER} /srv/broken
mkdir -p {DOCKER}/wiki_pages/_data/notes {DOCKER}/wiki_rows/_data
cd {DOCKER}/wiki_pages/_data
echo moved >notes/page.md
ln -s page.md notes/link.md
ln notes/page.md notes/hard.md
head -c 5M /dev/urandom >notes/picture
chown 1234:5678 notes/page.md notes/picture
chmod 0640 notes/page.md
chmod 0777 . notes
mv {VOLUMES}/{NAMESPACE}-wiki-db-rows-*/old {DOCKER}/wiki_rows/_data/pgdata
chown 999:999 {DOCKER}/wiki_rows/_data
chmod 0700 {DOCKER}/wiki_rows/_data
cp --archive {DOCKER} /srv/broken
echo 9.6 >/srv/broken/wiki_rows/_data/pgdata/PG_VERSION"""


@pytest.fixture(scope="module", autouse=True)
def _in_docker(host: Host, kubectl: Kubectl) -> None:
    """Leave what Docker would have left on the server."""
    kubectl(f"exec -n {NAMESPACE} deployment/wiki-db -- sh -ec {shlex.quote(INITIALIZE)}")
    host.check_output(PREPARE)


def _move(home: Home, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the playbook, and return its output in one line, because Ansible breaks lines."""
    file = ROOT / "molecule/apps/wiki/docker-compose.yml"
    done = home.play("playbooks/move_in.yml", "-e", f"file={file}", *options)
    done.stdout = " ".join(done.stdout.split())
    return done


def _facts(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def answers() -> bool:
        answer = requests.get(f"https://wiki.{home.domain}/", verify=home.ca, timeout=10)
        found.update(answer.json() if answer.ok else {})
        return found.get("heartbeat") is not None and found["heartbeat"] < 10

    assert eventually(answers, 60), found
    return found


def _mark(home: Home, kubectl: Kubectl) -> str:
    """Ask the database with the password that the web server has."""
    url: str = _facts(home)["environment"]["DATABASE_URL"].replace("@db:", "@$(hostname -i):")
    query = f'psql "{url}" --tuples-only --no-align --command="TABLE kept" 2>&1 || true'
    return kubectl(f"exec -n {NAMESPACE} deployment/wiki-db -- sh -c {shlex.quote(query)}").strip()


def _volume_ids(host: Host) -> str:
    return str(host.check_output(f"stat --format='%n %i' {VOLUMES}/{NAMESPACE}-wiki-*"))


def test_volumes_with_content_are_refused_before_anything_stops(home: Home, kubectl: Kubectl) -> None:
    before = kubectl.containers()
    done = _move(home)

    assert done.returncode == 2
    assert f"{NAMESPACE}/wiki-pages has content already" in done.stdout
    assert f"{NAMESPACE}/wiki-db-rows has content already" in done.stdout
    assert {uid: kubectl.containers().get(uid) for uid in before} == before


def test_data_that_do_not_start_are_taken_back(home: Home, host: Host, kubectl: Kubectl) -> None:
    before = _volume_ids(host)
    done = _move(
        home, "-e", "data=/srv/broken", "-e", "replace=true", "-e", "apps_rollout_timeout_seconds=60"
    )

    assert done.returncode == 2, done.stdout
    assert "the apps did not run with the data, so all volumes and passwords are as before" in done.stdout
    assert "The data directory was initialized by PostgreSQL version 9.6" in done.stdout
    assert _volume_ids(host) == before
    assert _facts(home)["note"] == []
    assert 'relation "kept" does not exist' in _mark(home, kubectl)
    assert not host.file(f"{VOLUMES}/.homeserver-moved").listdir()


def test_data_move_in_with_owners_and_passwords_once(home: Home, host: Host, kubectl: Kubectl) -> None:
    done = _move(home, "-e", "replace=true")

    assert done.returncode == 0, done.stdout
    assert "files and directories were copied and compared" in done.stdout
    facts = _facts(home)
    assert facts["note"] == ["moved\n", 1234, "0o640"]
    assert OLD_PASSWORD in facts["environment"]["DATABASE_URL"]
    assert _mark(home, kubectl) == "42"
    assert OLD_PASSWORD not in done.stdout
    moved = f"{VOLUMES}/{NAMESPACE}-wiki-pages-*/notes"
    assert host.run(f"cmp {DOCKER}/wiki_pages/_data/notes/picture {moved}/picture").rc == 0

    again = _move(home)

    assert again.returncode == 0, again.stdout
    assert "changed=0" in again.stdout
    assert f"Moved in already: {NAMESPACE}/wiki-pages: from {DOCKER}/wiki_pages/_data" in again.stdout


def test_one_command_goes_back(home: Home, host: Host, kubectl: Kubectl) -> None:
    done = _move(home, "-e", "undo=true")

    assert done.returncode == 0, done.stdout
    facts = _facts(home)
    assert facts["note"] == []
    assert OLD_PASSWORD not in facts["environment"]["DATABASE_URL"]
    assert 'relation "kept" does not exist' in _mark(home, kubectl)
    host.check_output(f"rm -rf {DOCKER} /srv/broken")
