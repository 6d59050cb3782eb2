"""An upgrade of a part with data is taken back with its data, also if the run ends at any moment."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes import upgrade
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.application import (
    Application,
    Outcome,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import ApiError, Cluster
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import without_server_fields
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.upgrade import (
    Change,
    Copier,
    claims_of,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError

from harness.acceptance import Acceptance
from harness.api_server import ApiServer, api_server
from harness.manifests import Object
from harness.roles import ROOT
from harness.update_program import KilledError
from harness.upgraded_part import NEW, NEWER, OLD, Part, an_object, wanted

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}
EFFECTS = 24
"""More than an upgrade or its way back has."""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Part:
    return Part(tmp_path, monkeypatch)


def test_a_good_upgrade_leaves_no_copy(part: Part) -> None:
    part.run(NEW)

    assert part.state() == NEW
    steps = [each for each in part.power.effects if "ConfigMap" not in each]
    secret = "apply Secret kube-system/homeserver-upgrade-demo homeserver-upgrade-demo"
    assert steps == [
        secret,
        "remove",
        "scale to 0",
        "copy",
        secret,
        "apply StatefulSet demo/db",
        secret,
        "remove",
        "delete Secret kube-system/homeserver-upgrade-demo",
    ]
    part.power.effects.clear()
    assert part.run(NEW) == []
    assert part.power.effects == []


def test_a_version_that_does_not_run_is_taken_back_with_the_data(part: Part) -> None:
    part.broken = {NEW}
    said = part.refuses(NEW)

    assert part.state() == OLD
    assert "delete ConfigMap demo/only-1" not in part.power.effects
    assert said.splitlines()[:2] == [
        "the upgrade of demo was taken back:",
        f"  StatefulSet demo/db: {OLD} -> {NEW}",
    ]
    assert "the migration failed" in said
    assert "What was written in the 60 s after that is lost" in said
    assert "homeserver_version_overrides" in said
    part.broken = set()
    part.run(NEW)
    assert part.state() == NEW


def test_a_version_that_is_ready_but_does_not_work_is_taken_back(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prove(_changed: bool) -> None:
        raise ApplicationError("it does not answer")

    monkeypatch.setattr(part, "prove", prove)
    assert "it does not answer" in part.refuses(NEW)

    assert part.state() == OLD


def test_a_version_that_fails_soon_after_its_start_is_taken_back(part: Part) -> None:
    part.failing = {NEW}
    part.refuses(NEW)

    assert part.state() == OLD


def _interrupted(part: Part, image: str, number: int) -> bool:
    """Cut the power before an effect of a run, and return whether it had that many."""
    part.power.cut_before = number
    try:
        part.run(image)
    except KilledError:
        return True
    except ApplicationError:
        return False
    finally:
        part.power.cut_before = None
        part.power.effects.clear()
    return False


def _phase(part: Part) -> str:
    return upgrade.Upgrade(cast(Cluster, part), "demo", Copier(lambda *_: None)).phase


@pytest.mark.parametrize("number", range(EFFECTS))
def test_an_interrupted_upgrade_is_finished_by_the_next_run(part: Part, number: int) -> None:
    _interrupted(part, NEW, number)
    part.run(NEW)

    assert part.state() == NEW


@pytest.mark.parametrize("number", range(EFFECTS))
def test_a_broken_version_never_keeps_the_data_after_an_interruption(part: Part, number: int) -> None:
    part.broken = {NEW}
    was_cut = _interrupted(part, NEW, number)
    if was_cut:
        assert "the upgrade of demo was taken back" in part.refuses(NEW)

    assert part.state() == OLD


@pytest.mark.parametrize("number", range(EFFECTS))
@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("image", [OLD, NEWER])
def test_after_an_interruption_another_version_gets_the_former_data(
    part: Part, number: int, image: str, broken: bool
) -> None:
    part.broken = {NEW} if broken else set()
    was_cut = _interrupted(part, NEW, number)
    if not broken and (not was_cut or _phase(part) == upgrade.ACCEPTED):
        return
    for _ in range(2):
        try:
            part.run(image)
        except ApplicationError as error:
            # The way back of the run before is told first.
            assert "was taken back" in str(error)  # noqa: PT017
        else:
            break

    assert part.state() == image


def test_a_run_with_another_version_says_what_it_took_back(part: Part) -> None:
    _interrupted(part, NEW, 6)
    part.run(OLD)

    assert (
        f"demo: the upgrade of demo was taken back:\n  StatefulSet demo/db: {OLD} -> {NEW}" in part.said[-1]
    )
    assert "it was interrupted, and this run has another version" in part.said[-1]


@pytest.mark.parametrize("number", range(12))
def test_an_interrupted_way_back_continues(part: Part, number: int) -> None:
    part.broken = {NEW}
    for cut in (10, number):
        _interrupted(part, NEW, cut)
    part.refuses(NEW)

    assert part.state() == OLD


@pytest.mark.parametrize("number", [0, 1, 2, 4, 5, 6, 7])
def test_a_run_that_lives_on_after_its_end_leaves_the_copy_to_the_next(part: Part, number: int) -> None:
    """It stands still before an effect, while the next run does all of its own."""
    part.broken = {NEW}
    mine = part.power.spend

    def spend(effect: str) -> None:
        if len(part.power.effects) == number:
            part.power.spend = mine  # type: ignore[method-assign]
            assert "the upgrade of demo was taken back" in part.refuses(NEW)
            part.broken = set()
        mine(effect)

    part.power.spend = spend  # type: ignore[method-assign]
    with contextlib.suppress(ApiError, ApplicationError):
        part.run(NEW)
    part.power.spend = mine  # type: ignore[method-assign]
    part.run(NEW)

    assert part.state() == NEW


def test_a_run_notices_that_another_one_has_taken_over(part: Part) -> None:
    _interrupted(part, NEW, 5)
    assert _phase(part) == upgrade.STARTING
    first = upgrade.Upgrade(cast(Cluster, part), "demo", Copier(lambda *_: None))
    part.power.cut_before = 1
    with pytest.raises(KilledError):
        part.run(NEW)
    part.power.cut_before = None

    with pytest.raises(ApiError, match="another run upgrades demo -> run it again when that has ended"):
        first.accept()


def test_an_upgrade_that_is_accepted_is_not_taken_back(part: Part) -> None:
    number = next(each for each in range(EFFECTS) if _accepted(part, each))
    assert number > 5
    part.readable = {NEW}
    part.run(NEWER)

    assert part.state() == NEWER
    assert "taken back" not in "".join(part.said)


def _accepted(part: Part, number: int) -> bool:
    """Cut the power, and return whether it was after the upgrade was accepted."""
    _interrupted(part, NEW, number)
    return _phase(part) == upgrade.ACCEPTED


def test_a_removal_takes_the_copies_along(part: Part) -> None:
    _interrupted(part, NEW, 5)
    assert part.copies.exists()
    part.remove()

    assert not part.copies.exists()
    assert part.objects == {}


def test_without_room_nothing_changes(part: Part) -> None:
    part.refused = {"check"}

    assert "check: the disk fails" in part.refuses(NEW)
    assert part.power.effects == []
    assert part.state() == OLD


def test_a_copy_that_fails_lets_the_former_version_run_again(part: Part) -> None:
    part.refused = {"copy"}
    said = part.refuses(NEW)

    assert "with its data, which nothing else has used" in said
    assert part.state() == OLD


def test_data_that_cannot_be_brought_back_yet_come_back_later(part: Part) -> None:
    part.broken, part.refused = {NEW}, {"restore"}
    said = part.refuses(NEW)
    assert "The upgrade is not taken back yet: restore: the disk fails" in said
    assert "the migration failed" in said

    part.refused = set()
    part.clock.sleep(3600)
    said = part.refuses(NEW)
    assert "the migration failed" in said
    # Only the new version wrote, and it does not run since.
    assert "in the 60 s after that is lost" in said
    assert part.state() == OLD


def test_nothing_is_copied_for_another_change_or_without_the_option(part: Part) -> None:
    part.run(f"{OLD}@sha256:1")
    part.run(NEW, enabled=False)

    assert {"copy", "scale to 0"}.isdisjoint(part.power.effects)
    assert part.rows == NEW


def test_a_dry_run_changes_nothing(part: Part) -> None:
    assert "StatefulSet demo/db" in part.run(NEW, check_mode=True)
    assert part.power.effects == []
    assert part.state() == OLD


def test_a_part_that_shall_not_run_is_not_copied(part: Part) -> None:
    part.run(NEW, replicas=0)

    assert "copy" not in part.power.effects


def test_a_volume_that_is_no_directory_of_the_home_is_told(
    part: Part, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "STORAGE", Path("/elsewhere"))
    part.run(NEW)

    assert "copy" not in part.power.effects
    assert "demo/db is upgraded without a copy of its data" in part.warnings[0]


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (3, 3)])
def test_several_pods_are_not_stopped(part: Part, before: int, after: int) -> None:
    def workload(image: str, replicas: int) -> Object:
        (found,) = (obj for obj in wanted(image, replicas) if obj["kind"] == "StatefulSet")
        return found

    found = upgrade.Upgrade(cast(Cluster, part), "demo", Copier(lambda *_: None))
    assert found.begin([Change(workload(OLD, 1), workload(NEW, 1))], [])
    assert not found.begin([Change(workload(OLD, before), workload(NEW, after))], [])


def test_the_claims_of_a_stateful_set_count() -> None:
    spec = {"template": {"spec": {}}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    metadata = {"namespace": "logging", "name": "elasticsearch"}

    assert claims_of({"metadata": metadata, "spec": spec}) == {("logging", "data-elasticsearch-0")}


# ---- with the objects as a real API server keeps them


def _version(number: int) -> list[Object]:
    """Return objects whose defaults the API server adds, and that the next version changes in many ways."""
    container = {
        "name": "db",
        "image": f"registry.example.org/db:{number}",
        "args": [f"--number={each}" for each in range(number)],
        "env": [{"name": "N", "value": str(number)}],
        "ports": [{"name": "db", "containerPort": 5432}, {"containerPort": 9000 + number}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"tcpSocket": {"port": "db"}},
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "db"}}
    labels = {"app": "db"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": [volume]}}
    spec = {"replicas": 1, "serviceName": "db", "selector": {"matchLabels": labels}, "template": template}
    ports = [{"name": "db", "port": 5432}, *([{"name": "more", "port": 9000}] if number > 1 else [])]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}},
        an_object("PersistentVolumeClaim", "db", spec=claim),
        an_object("Service", "db", spec={"selector": labels, "ports": ports}),
        an_object("Secret", "db", stringData={"password": f"secret-{number}", f"only-{number}": "x"}),
        # Without a controller, nothing that is deleted would go.
        an_object("ConfigMap", "db", data={"number": str(number), f"only-{number}": "x"}),
        an_object("StatefulSet", "db", spec=spec),
    ]


def _bound_volume(server: ApiServer, path: Path, namespace: str = "demo", name: str = "db") -> None:
    metadata = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "pvc-1"}}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(path)},
        "claimRef": {"namespace": namespace, "name": name},
    }
    for where, more in (("", {"spec": spec}), ("/status", {"status": {"phase": "Bound"}})):
        answer = server.apply(f"/api/v1/persistentvolumes/pvc-1{where}", metadata | more)
        assert answer.ok, answer.text


def test_all_objects_are_as_before_for_a_real_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrade, "STORAGE", tmp_path)
    actions: list[tuple[str, str, list[str]]] = []
    volume = tmp_path / "demo-db-pvc-1"

    def applied(number: int, *, partial: bool = False, check_mode: bool = False) -> Outcome:
        copier = Copier(lambda *action: actions.append(action))
        cluster = Cluster(str(tmp_path / "kubeconfig"))
        part = Application(cluster, "demo", timeout=2, check_mode=check_mode, copier=copier)
        part.present(_version(number), partial=partial)
        return part.outcome

    with api_server(tmp_path, {}) as server:
        (tmp_path / "kubeconfig").write_text(server.kubeconfig)
        applied(1, partial=True)
        _bound_volume(server, volume)
        paths = ("statefulsets/db", "services/db", "secrets/db", "configmaps/db")
        roots = ["/apis/apps/v1" if path.startswith("stateful") else "/api/v1" for path in paths]
        urls = [f"{root}/namespaces/demo/{path}" for root, path in zip(roots, paths, strict=True)]
        before = [without_server_fields(server.get(url)) for url in urls]

        # No controller runs a pod.
        with pytest.raises(ApplicationError) as caught:
            applied(2)

        assert [without_server_fields(server.get(url)) for url in urls] == before
        assert [action for _, action, _ in actions] == ["check", "remove", "copy", "restore", "remove"]
        assert {(node, *paths) for node, _, paths in actions} == {("", str(volume))}
        secrets = server.get("/api/v1/namespaces/kube-system/secrets")["items"]
        assert not [each for each in secrets if each["metadata"]["name"].startswith("homeserver-upgrade")]
        assert applied(1, check_mode=True) == Outcome()
    assert "secret-" not in str(caught.value)


IN_ITS_HOME = f"""set -e
mount -t tmpfs none /var
mkdir -p {upgrade.STORAGE}
mount --bind "$1" {upgrade.STORAGE}
shift
exec "$@\""""


def _play_grafana(directory: Path, image: str) -> str:
    """Run the role on a host that has these volumes, where no pod ever runs; return what it says."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    hosts = {"control_plane": {"hosts": {"home": local | {"ansible_become": False}}}}
    variables = {
        "homeserver_kubeconfig": f"{directory}/kubeconfig",
        "homeserver_logging_enabled": False,
        "homeserver_version_overrides": {"images": {"grafana": image}},
        "grafana_rollout_timeout_seconds": 2,
    }
    role = {"ansible.builtin.import_role": {"name": "homeserver.stack.grafana"}}
    inventory = directory / "home/inventory/hosts.yml"
    inventory.parent.mkdir(parents=True, exist_ok=True)
    inventory.write_text(yaml.safe_dump({"home_servers": {"children": hosts, "vars": variables}}))
    (directory / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "home", "gather_facts": False, "tasks": [role]}])
    )
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", IN_ITS_HOME, "-", directory / "volumes"),
            *("ansible-playbook", "-i", inventory, directory / "play.yml"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_a_role_copies_and_brings_back_on_the_host_that_has_the_volume(tmp_path: Path) -> None:
    volume = tmp_path / "volumes/monitoring-grafana-pvc-1"
    volume.mkdir(parents=True)
    (volume / "grafana.db").write_text("before")
    (tmp_path / "api").mkdir()
    with api_server(tmp_path / "api", {}) as server:
        (tmp_path / "kubeconfig").write_text(server.kubeconfig)
        Acceptance(server)
        server.apply("/api/v1/namespaces/monitoring", NAMESPACE)
        assert "not rolled out after 2 s" in _play_grafana(tmp_path, "grafana/grafana:1.0.0")
        _bound_volume(server, upgrade.STORAGE / volume.name, "monitoring", "grafana")
        inode = (volume / "grafana.db").stat().st_ino

        said = _play_grafana(tmp_path, "grafana/grafana:1.0.1")

        assert "Deployment monitoring/grafana: grafana/grafana:1.0.0 -> grafana/grafana:1.0.1" in said
        assert "the upgrade of grafana was taken back" in said
        deployment = server.get("/apis/apps/v1/namespaces/monitoring/deployments/grafana")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert (container["image"], deployment["spec"]["replicas"]) == ("grafana/grafana:1.0.0", 1)
    # What is there is the copy.
    assert (volume / "grafana.db").read_text() == "before"
    assert (volume / "grafana.db").stat().st_ino != inode
    assert [path.name for path in volume.parent.iterdir()] == [volume.name]
