"""What a worker knows of the backups opens nothing of the founder's."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

from harness.machines import Machines

FOUNDER, WORKERS = "molecule", ("molecule-2", "molecule-3")
REPOSITORY = "/mnt/backups"
REPOSITORIES = {"backup_repositories": [{"name": "disk", "location": REPOSITORY}]}

pytestmark = pytest.mark.usefixtures("three")


@pytest.fixture(scope="module")
def settings(machines: Machines) -> Iterator[dict[str, dict[str, Any]]]:
    """Save the founder and a worker, and return what each machine knows for that."""
    hosts = {name: machines.host(name) for name in (FOUNDER, *WORKERS)}
    for host in hosts.values():
        host.check_output(f"mkdir -p {REPOSITORY}")
    machines.play("playbooks/stages/schedule_backups.yml", "-e", json.dumps(REPOSITORIES))
    for name in (FOUNDER, WORKERS[0]):
        hosts[name].check_output("python3 /usr/local/lib/homeserver/homeserver_backup save")
    yield {name: json.loads(host.file("/etc/homeserver/backup.json").content) for name, host in hosts.items()}
    machines.play("playbooks/stages/schedule_backups.yml", "-e", "backup_state=absent")


def _opens(host: Host, location: str, password: str) -> bool:
    """Tell whether a password opens a repository."""
    run = host.run("RESTIC_PASSWORD=%s restic -r %s --no-lock --no-cache cat config", password, location)
    assert run.succeeded or "wrong password" in run.stderr, run.stderr
    return bool(run.succeeded)


def test_a_workers_password_opens_nothing_of_the_founders(
    machines: Machines, settings: dict[str, dict[str, Any]]
) -> None:
    """Both repositories are on disks of their own here, as if the worker had got at the founder's."""
    founder = machines.host(FOUNDER)
    (location,) = (each["location"] for each in settings[FOUNDER]["repositories"])

    opened = {name: _opens(founder, location, known["password"]) for name, known in settings.items()}
    assert opened == {FOUNDER: True, **dict.fromkeys(WORKERS, False)}
    (own,) = (each["location"] for each in settings[WORKERS[0]]["repositories"])
    assert _opens(machines.host(WORKERS[0]), own, settings[WORKERS[0]]["password"])


@pytest.mark.parametrize("name", [FOUNDER, *WORKERS])
def test_no_machine_knows_the_password_of_all(
    machines: Machines, settings: dict[str, dict[str, Any]], name: str
) -> None:
    assert settings
    master = (machines.home.secrets / "backup.password").read_text().strip()

    found = machines.host(name).run("grep -rlF -e %s /etc/homeserver /var/lib/homeserver-backup", master)
    assert (found.rc, found.stdout) == (1, "")
