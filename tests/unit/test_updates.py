"""Apps are updated to the versions that their policy allows, and every failed update is taken back."""

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import apps
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import (
    prepare,
    template_hash,
)
from homeserver_update import check, volumes
from homeserver_update.errors import UpdateError
from homeserver_update.kubectl import KubectlError
from homeserver_update.registry import Registries
from homeserver_update.settings import Settings
from homeserver_update.state import Progress, State, check_not_held, exclusive_lock, hold, release
from homeserver_update.update import Updates
from homeserver_update.versions import newer

from harness.registry import PASSWORD, USER, Registry, serving
from harness.rendering import Role, find
from harness.update_program import NEW, OLD, KilledError, Machine
from lab.images import write_archive, write_layer

# Other tests replace it.
NEWEST = check._newest

# ---- versions


@pytest.mark.parametrize(
    ("tag", "policy", "expected"),
    [
        ("1.2.3", "patch", ["1.2.10", "1.2.4"]),
        ("1.2.3", "minor", ["1.10.0", "1.2.10", "1.2.4"]),
        ("1.2.3", "none", []),
        ("1.2.3-alpine", "minor", ["1.2.4-alpine"]),
        ("v1.2.3", "patch", ["v1.2.9"]),
        ("1.2", "minor", ["1.3"]),
        ("1.2", "patch", []),
        ("1.2.10", "patch", []),
        ("1", "minor", []),
        ("1.2.4-rc1", "minor", []),
        ("latest", "minor", []),
        ("", "minor", []),
    ],
)
def test_newer_versions_are_those_of_the_policy(tag: str, policy: str, expected: list[str]) -> None:
    tags = [
        "1.2.4",
        "1.2.10",
        "1.10.0",
        "2.0.0",
        "1.2.2",
        "1.2.4-alpine",
        "1.2.11-rc1",
        "1.2.4.1",
        "1.3",
        "2",
    ]
    tags += ["v1.2.9", "1.2.12-beta", "latest", "2.0.0-alpine", "1.2.4-rc2", "1.2.5+build", "nightly"]

    assert newer(tag, tags, policy) == expected


# ---- registries


NOW = datetime.now(timezone.utc)  # noqa: UP017 (as in the program)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with three versions of an image, and one that needs a login."""
    directory = tmp_path_factory.mktemp("image")
    (directory / "file").write_text("x")
    write_layer(directory / "layer.tar", {"file": directory / "file"})
    with serving() as running:
        archive = directory / "image.tar"
        for name, created in (
            ("wiki:1.0.0", "1970-01-01T00:00:00Z"),
            ("wiki:1.0.1", "2020-11-30T10:00:00.123456789Z"),
            ("wiki:1.0.2", NOW.isoformat()),
            ("private/wiki:1.0.0", ""),
        ):
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr("lab.images._EPOCH", created)
                write_archive(archive, name, {"Env": [f"NAME={name}"]}, [directory / "layer.tar"])
            running.push(archive, name)
        yield running


@pytest.fixture
def registries(registry: Registry) -> Registries:
    """A client of that registry, as a mirror of another one."""
    return Registries({"registry.example.org": f"http://127.0.0.1:{registry.port}"})


def test_a_registry_tells_tags_and_digests(registries: Registries) -> None:
    image = "registry.example.org/wiki"
    digests = {tag: registries.digest(f"{image}:{tag}") for tag in registries.tags(image)}

    assert sorted(digests) == ["1.0.0", "1.0.1", "1.0.2"]
    assert len(set(digests.values())) == 3
    assert registries.created(image, digests["1.0.0"]) is None
    assert registries.created(image, digests["1.0.2"]) == NOW.replace(microsecond=0)


@pytest.mark.parametrize(
    ("days", "skipped", "expected"),
    [(0, [], "1.0.2"), (0, ["1.0.2"], "1.0.1"), (7, [], "1.0.1"), (7, ["1.0.1"], "")],
)
def test_the_newest_version_is_old_enough_and_not_skipped(
    machine: Machine, registries: Registries, days: int, skipped: list[str], expected: str
) -> None:
    machine.settings.minimum_age_days = days
    state = State(machine.settings)
    state.skipped = {"registry.example.org/wiki": skipped}
    found = NEWEST(machine.settings, registries, state, OLD, "patch")

    image, _, digest = found.partition("@")
    assert image.rpartition(":")[2] == expected
    assert digest == (registries.digest(image) if expected else "")


def test_tags_come_in_pages(registries: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("homeserver_update.registry._PAGE", 2)

    assert sorted(registries.tags("registry.example.org/wiki")) == ["1.0.0", "1.0.1", "1.0.2"]


def test_a_private_image_needs_the_login(registries: Registries) -> None:
    image = "registry.example.org/private/wiki"
    with pytest.raises(UpdateError, match="401"):
        registries.tags(image)
    registries.logins = {"registry.example.org": (USER, PASSWORD)}

    assert registries.tags(image) == ["1.0.0"]


def test_a_registry_without_tls_is_refused() -> None:
    with pytest.raises(UpdateError, match="no TLS"):
        Registries({"docker.io": "http://192.0.2.1:5000"}).tags("nginx")


# ---- an update


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A founder with an app that has a volume."""
    return Machine(tmp_path, monkeypatch)


def test_an_update_is_installed(machine: Machine) -> None:
    assert not machine.run()

    assert machine.state() == "new"
    assert json.loads(machine.config_map["waiting"])["waiting"] == {}


def test_a_check_only_lists_it(machine: Machine) -> None:
    machine.run("check")

    assert machine.state() == "old"
    assert "1.0.1" in json.loads(machine.config_map["waiting"])["waiting"]["wiki"]
    assert (
        'homeserver_update_waiting{app="wiki"} 1'
        in (machine.root / "metrics/homeserver_update.prom").read_text()
    )


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (Machine.never_becomes_ready, "not ready after"),
        (Machine.restarts_later, "restarted"),
        (Machine.answers_with_errors, "requests failed"),
    ],
)
@pytest.mark.parametrize("with_volume", [True, False])
def test_a_worse_version_is_taken_back_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Any, why: str, with_volume: bool
) -> None:
    machine = Machine(tmp_path, monkeypatch, with_volume=with_volume)
    machine.behaviour = behaviour
    assert machine.run()

    assert machine.state() == "old"
    message = json.loads(machine.config_map["waiting"])["taken_back"]["wiki"]
    assert why in message
    assert "this version is skipped" in message
    assert ("is lost" in message) == with_volume
    text = (machine.root / "metrics/homeserver_update.prom").read_text()
    assert 'homeserver_update_taken_back_timestamp_seconds{app="wiki",version="1.0.1"}' in text
    assert not machine.run()
    assert machine.state() == "old"


@pytest.mark.parametrize(("command", "skipped"), [("dump", False), ("test", True)])
def test_a_failing_command_takes_it_back(machine: Machine, command: str, skipped: bool) -> None:
    machine.failed_commands = {command}
    assert machine.run()

    assert machine.state() == "old"
    assert ("skipped" in json.loads(machine.config_map["waiting"])["taken_back"]["wiki"]) == skipped


@pytest.mark.parametrize("behaviour", [Machine.becomes_ready, Machine.never_becomes_ready])
@pytest.mark.parametrize("with_volume", [True, False])
def test_a_power_cut_at_any_moment_leaves_one_version_with_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: Any, with_volume: bool
) -> None:
    """Also another one while the first is mended."""
    whole = Machine(tmp_path / "whole", monkeypatch, with_volume=with_volume)
    whole.behaviour = behaviour
    whole.run()
    seen = set()
    for moment in range(len(whole.power.effects)):
        with monkeypatch.context() as patched:
            machine = Machine(tmp_path / str(moment), patched, with_volume=with_volume)
            machine.behaviour = behaviour
            machine.power.cut_before = moment
            with pytest.raises(KilledError):
                machine.run()
            begun = len(machine.power.effects)
            machine.power.cut_before = begun + moment % 7
            try:
                machine.run("resume")
            except KilledError:
                machine.power.cut_before = None
                machine.run("resume")
            machine.power.cut_before = None
            seen.add(machine.state())

    assert seen == ({"old", "new"} if behaviour is Machine.becomes_ready else {"old"})


def test_an_update_that_was_only_interrupted_is_tried_again(machine: Machine) -> None:
    machine.power.cut_before = 12
    with pytest.raises(KilledError):
        machine.run()
    machine.power.cut_before = None
    machine.run("resume")
    assert machine.state() == "old"

    machine.run()
    assert machine.state() == "new"


def test_no_other_update_begins_before_one_is_taken_back(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its copies are the only ones of the data."""
    machine.behaviour = Machine.never_becomes_ready

    def fail(*_: Any) -> None:
        raise UpdateError("the disk fails")

    with monkeypatch.context() as patched:
        patched.setattr(volumes, "bring_back", fail)
        assert machine.run()
    copies = {path.name for path in machine.settings.copies.iterdir()}
    assert copies == {machine.volume.name}
    with pytest.raises(UpdateError, match="not taken back yet"):
        Updates(machine.settings, machine.cluster(), State(machine.settings)).update("wiki")
    assert {path.name for path in machine.settings.copies.iterdir()} == copies

    machine.run("resume")
    assert machine.state() == "old"


def test_a_copy_that_someone_else_left_is_not_taken_for_the_data(machine: Machine) -> None:
    machine.behaviour = Machine.never_becomes_ready
    (machine.settings.copies / machine.volume.name).mkdir(parents=True)
    (machine.settings.copies / machine.volume.name / "page").write_text("older")
    assert machine.run()

    assert machine.state() == "old"


def test_without_room_for_the_copy_nothing_happens(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 1000

    monkeypatch.setattr(volumes.shutil, "disk_usage", lambda _: Full)  # type: ignore[attr-defined]
    assert machine.run()

    assert machine.state() == "old"
    assert not any("scale" in effect for effect in machine.power.effects)


def test_data_of_another_machine_or_app_is_not_risked(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_volume", lambda: _elsewhere(machine))
    assert not machine.run()
    waiting = json.loads(machine.config_map["waiting"])["waiting"]["wiki"]
    assert "its volume wiki-data is on attic" in waiting
    assert "playbooks/backup.yml" in waiting

    monkeypatch.undo()


def _elsewhere(machine: Machine) -> dict[str, Any]:
    expressions = [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["attic"]}]
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}
    volume = Machine._volume(machine)
    return {**volume, "spec": {**volume["spec"], "nodeAffinity": affinity}}


def test_copies_are_complete(tmp_path: Path) -> None:
    volume, copies = tmp_path / "volume", tmp_path / "copies"
    volume.mkdir()
    (volume / "link").symlink_to("/etc/passwd")
    (volume / "private").write_text("x")
    (volume / "private").chmod(0o600)
    volumes.copy(volume, copies)
    (volume / "private").write_text("garbage")
    volumes.bring_back(volume, copies)

    assert (volume / "private").read_text() == "x"
    assert (volume / "private").stat().st_mode & 0o777 == 0o600
    assert (volume / "link").is_symlink()
    assert not list(copies.iterdir())


# ---- together with site.yml


def test_a_playbook_and_an_update_do_not_run_together(machine: Machine) -> None:
    machine.settings.directory.mkdir()
    hold(machine.settings)
    with pytest.raises(UpdateError, match="a playbook changes the apps"):
        check_not_held(machine.settings)
    release(machine.settings)
    check_not_held(machine.settings)

    Progress(machine.settings).write({"name": "wiki"}, "copying")
    with pytest.raises(UpdateError, match=r"update of wiki was interrupted \(copying\)"):
        hold(machine.settings)
    with (
        exclusive_lock(machine.settings),
        pytest.raises(UpdateError, match=r"wiki is being updated \(copying\)"),
        exclusive_lock(machine.settings),
    ):
        pass


def _records(**records: Any) -> list[dict[str, Any]]:
    metadata = {"namespace": "default", "name": "homeserver-updates"}
    return [{"metadata": metadata, "data": {name: json.dumps(each) for name, each in records.items()}}]


WIKI = {"name": "wiki", "image": OLD, "routes": [], "volumes": [{"name": "data", "path": "/data"}]}


def test_site_yml_keeps_an_update_without_a_restart(tmp_path: Path) -> None:
    def deployment(records: list[dict[str, Any]], **changed: Any) -> dict[str, Any]:
        role = Role("apps", tmp_path, apps=[WIKI | changed], _apps_records=records)
        return find(prepare("flask_app", role.objects()), "Deployment", "wiki")

    record = _records(wiki={"from": OLD, "to": NEW})
    before, after = deployment([]), deployment(record)
    newest = deployment(record, image="registry.example.org/wiki:1.1.0")

    def image(of: dict[str, Any]) -> str:
        return str(of["spec"]["template"]["spec"]["containers"][0]["image"])

    assert (image(before), image(after)) == (OLD, NEW)
    assert template_hash(before) == template_hash(after)
    assert after["metadata"]["annotations"]["homeserver.stack/updated-from"] == OLD
    # The owner's own change wins.
    assert image(newest) == "registry.example.org/wiki:1.1.0"
    assert "homeserver.stack/updated-from" not in newest["metadata"]["annotations"]


def test_a_record_ends_with_the_image_in_the_entry(machine: Machine) -> None:
    machine.run()
    machine.settings = Settings(machine.values(image="registry.example.org/wiki:1.0.2"))
    machine.run("check")

    assert "wiki" not in machine.config_map


def test_the_settings_name_stacks_claims_and_data_elsewhere(tmp_path: Path) -> None:
    entries = [
        WIKI | {"stack": "docs", "update": {"policy": "minor", "after": [["true"]]}},
        {"name": "web", "image": "web:1.0", "stack": "docs", "needs": ["db"]},
        {"name": "db", "image": "db:1.0", "volumes": [{"name": "rows", "path": "/rows"}]},
        {"name": "built", "source": "/srv/built", "update": {"policy": "patch"}, "needs": ["db"]},
    ]
    role = Role(
        "apps", tmp_path, apps=entries, apps_updates={"window": "Sun 03:00"}, homeserver_built_images={}
    )
    found = Settings(role.value("_apps_update_settings"))
    wiki, web, db, built = found.apps

    assert {name: [app.name for app in group] for name, group in found.groups().items()} == {
        "docs": ["wiki", "web"],
        "db": ["db"],
        "built": ["built"],
    }
    assert (wiki.policy, wiki.after, wiki.claims) == ("minor", [["true"]], ["wiki-data"])
    assert (web.policy, web.needs, db.claims) == ("patch", ["db"], ["db-rows"])
    assert (built.image, built.needs) == ("", [])
    assert found.watch_seconds == 600


def test_what_waits_is_told() -> None:
    about = {
        "waiting": {"wiki": "1.0.0 -> 1.0.1"},
        "taken_back": {"blog": "the update to 2.0.1 was taken back"},
    }

    assert apps.updates_told(_records(waiting=about)) == (
        "wiki: 1.0.0 -> 1.0.1; blog: the update to 2.0.1 was taken back"
    )
    assert (
        apps.updates_told(_records(waiting={"waiting": {}, "taken_back": {}})) == "no newer version of an app"
    )
    assert apps.updates_told([]) == ""


def test_an_error_of_kubectl_shows_no_more_than_its_first_words() -> None:
    from homeserver_update.kubectl import kubectl  # noqa: PLC0415

    with pytest.raises(KubectlError) as caught:
        kubectl(["false"], "exec", "deployment/db", "--", "psql", "--password=secret")
    assert "secret" not in str(caught.value)


def test_the_program_runs_by_its_directory() -> None:
    program = Path(volumes.__file__).parent
    done = subprocess.run(["python3", program, "--help"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
