"""A machine is saved over the network: to a REST server and to S3. Over ssh, the scenario restore does it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.backup import keys

from harness import rendering
from harness.backup_program import Machine
from harness.playbooks import play
from harness.programs import free_port, rclone
from harness.restic_key import make_cheap
from harness.waiting import wait_for_port

KEY, SECRET = "keeper", "keepers-secret"
MASTER = "what-opens-the-backups"
HOME = "home"  # the name of the repository on a server


@dataclass(frozen=True)
class Remote:
    """Where restic writes to, and what it needs for that besides its password.

    Attributes:
        location: The URL.
        environment: Its keys, as `backup_repositories` has them.
        wrong: The same with a key that the server does not know.
    """

    location: str
    environment: Mapping[str, str]
    wrong: tuple[str, Mapping[str, str]]


@contextmanager
def _serving(directory: Path, protocol: str, *options: str) -> Iterator[int]:
    """Serve a directory, and return the port."""
    port, log = free_port(), directory / "log"
    (directory / "served").mkdir(exist_ok=True)
    command = [str(rclone()), "serve", protocol, f"--addr=127.0.0.1:{port}", *options, f"{directory}/served"]
    environment = os.environ | {"RCLONE_CONFIG": str(directory / "rclone.conf")}
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server,
    ):
        try:
            wait_for_port(port, server, log.read_text)
            yield port
        finally:
            server.terminate()


@contextmanager
def _rest(directory: Path) -> Iterator[Remote]:
    with _serving(directory, "restic", f"--user={KEY}", f"--pass={SECRET}") as port:
        where = f"127.0.0.1:{port}/{HOME}/"
        yield Remote(f"rest:http://{KEY}:{SECRET}@{where}", {}, (f"rest:http://{KEY}:not-known@{where}", {}))


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A REST server that deletes nothing, and the directory that it serves."""
    place = tmp_path_factory.mktemp("growing")
    with _serving(place, "restic", "--append-only") as port:
        yield f"rest:http://127.0.0.1:{port}/", place / "served"


@contextmanager
def _s3(directory: Path) -> Iterator[Remote]:
    with _serving(directory, "s3", f"--auth-key={KEY},{SECRET}") as port:
        location = f"s3:http://127.0.0.1:{port}/{HOME}"
        keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        yield Remote(location, keys, (location, keys | {"AWS_SECRET_ACCESS_KEY": "not-known"}))


Serve = Callable[[Path], AbstractContextManager[Remote]]
SERVERS: Mapping[str, Serve] = {"rest": _rest, "s3": _s3}


@pytest.fixture(scope="module", params=SERVERS)
def remote(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A server with a place for a repository."""
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as ready:
        yield ready


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with something to save."""
    return Machine(tmp_path)


def _saving_to(machine: Machine, location: str, environment: Mapping[str, str]) -> None:
    machine.configure(repositories=[{"name": "nas", "location": location, "environment": environment}])


def test_a_machine_is_saved_and_its_copy_proved(machine: Machine, remote: Remote) -> None:
    (machine.wiki / "page").write_text("kept")
    _saving_to(machine, remote.location, remote.environment)
    for job in ("save", "check", "drill"):
        machine.done(job)

    values = machine.metrics()
    assert values['failed{repository="nas"}'] == 0
    assert values['last_drill_timestamp_seconds{repository="nas"}'] > 0


def test_a_key_that_the_server_does_not_know_is_told(machine: Machine, remote: Remote) -> None:
    _saving_to(machine, *remote.wrong)
    said = machine.fails("save")

    assert "repository nas: access is refused -> check its credentials" in said
    assert "not-known" not in said


def test_a_server_that_is_off_is_told(machine: Machine) -> None:
    for location in (
        f"rest:http://127.0.0.1:{free_port()}/",
        f"sftp://{KEY}@127.0.0.1:{free_port()}//{HOME}",
    ):
        _saving_to(machine, location, {})
        assert "repository nas: it cannot be reached -> is it on, and is its name right?" in machine.fails(
            "save"
        )


def _control(home: Path, repository: Mapping[str, object], *more: str) -> subprocess.CompletedProcess[str]:
    """Prune from the control machine."""
    secrets = home / "secrets/home"
    (home / "inventory").mkdir(exist_ok=True)
    (home / "inventory/hosts.yml").write_text(rendering.INVENTORY)
    secrets.mkdir(parents=True, exist_ok=True)
    (secrets / "backup.password").write_text(f"{MASTER}\n")
    variables = {
        "backup_repositories": [repository],
        "backup_keep": {"daily": 1},
        "backup_prune_from": "control",
    }
    given = ("-i", str(home / "inventory"), "-e", json.dumps(variables), *more)
    return play(*given, "playbooks/prune_backups.yml")


def test_a_machine_deletes_nothing_where_the_control_machine_prunes(
    machine: Machine, growing: tuple[str, Path], tmp_path: Path
) -> None:
    location, served = growing
    password = keys.machine_password(MASTER, "home")
    own = {"name": "nas", "location": keys.machine_location(location, "home"), "parent": location}
    machine.configure(repositories=[own], password=password, prunes=False, keep={"daily": 1})
    for number in range(3):
        (machine.wiki / "page").write_text(f"version {number}" * 1000)
        machine.done("save")
        if not number:
            make_cheap(served / "home", password)
    machine.done("check")
    door = {"RESTIC_REPOSITORY": own["location"], "RESTIC_PASSWORD": password}

    def refused(*arguments: str) -> bool:
        done = subprocess.run(
            ["restic", *arguments], env=machine.environment | door, capture_output=True, check=False
        )
        return done.returncode != 0

    assert refused("forget", "--keep-last=1", "--prune")
    snapshots = served / "home/snapshots"
    assert len(list(snapshots.iterdir())) == 3

    repository = {"name": "nas", "location": location, "prune": {"location": str(served)}}
    dry = _control(tmp_path, repository, "--check")
    assert "nas: 2 deleted, 1 kept" in dry.stdout, dry.stdout + dry.stderr
    assert len(list(snapshots.iterdir())) == 3
    pruned = _control(tmp_path, repository)
    assert "nas: 2 deleted, 1 kept" in pruned.stdout, pruned.stdout + pruned.stderr
    assert MASTER not in pruned.stdout
    assert password not in pruned.stdout
    assert len(list(snapshots.iterdir())) == 1
    for job in ("save", "check", "drill"):
        machine.done(job)


def test_a_control_machine_without_restic_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}")
    repository = {"name": "nas", "location": "/mnt/nas", "prune": {"location": "/mnt/nas"}}

    run = _control(tmp_path, repository)
    assert "there is no restic on the control machine -> sudo apt-get install restic" in run.stdout, (
        run.stderr
    )


def test_pruning_is_left_to_machines_that_do_it(tmp_path: Path) -> None:
    run = _control(tmp_path, {"name": "nas", "location": "/mnt/nas"}, "-e", "backup_prune_from=machines")

    assert "backup_prune_from is machines, with 1 repositories (expected control" in " ".join(
        run.stdout.split()
    )
