"""An upgrade of a part with data is taken back with its data, also if the run ends at any moment."""

from pathlib import Path
from typing import cast

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes import upgrade
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import Cluster
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.upgrade import (
    Change,
    Copier,
    claims_of,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError

from harness.update_program import KilledError
from harness.upgraded_part import NEW, NEWER, OLD, WORKLOAD, Part

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


@pytest.mark.parametrize("number", range(12))
def test_an_interrupted_way_back_continues(part: Part, number: int) -> None:
    part.broken = {NEW}
    for cut in (10, number):
        _interrupted(part, NEW, cut)
    part.refuses(NEW)

    assert part.state() == OLD


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
    assert "the migration failed" in part.refuses(NEW)
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


def test_several_pods_are_not_stopped(part: Part) -> None:
    several = part.objects[WORKLOAD]
    several = several | {"spec": several["spec"] | {"replicas": 3}}
    found = upgrade.Upgrade(cast(Cluster, part), "demo", Copier(lambda *_: None))

    assert not found.begin([Change(several, several)], [])


def test_the_claims_of_a_stateful_set_count() -> None:
    spec = {"template": {"spec": {}}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    metadata = {"namespace": "logging", "name": "elasticsearch"}

    assert claims_of({"metadata": metadata, "spec": spec}) == {("logging", "data-elasticsearch-0")}
