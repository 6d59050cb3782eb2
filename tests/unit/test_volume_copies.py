"""Volumes are copied before an upgrade, on the machine that has them, and the copies come back."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.action import component
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.upgrade import Copier
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError
from ansible_collections.homeserver.stack.plugins.modules import volume_copies

from harness import modules


def run(*volumes: Path, state: str = "present", check: bool = False) -> dict[str, Any]:
    return modules.run(volume_copies, check=check, volumes=list(map(str, volumes)), state=state)


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    found = tmp_path / "monitoring-prometheus-pvc-1"
    (found / "wal").mkdir(parents=True)
    (found / "wal/1").write_text("samples")
    return found


def _copies(volume: Path) -> Path:
    return volume.parent / volume_copies.COPIES


def test_a_spoilt_volume_is_replaced_by_its_copy(volume: Path) -> None:
    assert run(volume)["changed"]
    assert _copies(volume).stat().st_mode & 0o777 == 0o700
    shutil.rmtree(volume / "wal")
    (volume / "spoilt").touch()
    run(volume, state="restored")

    assert [str(path.relative_to(volume)) for path in sorted(volume.rglob("*"))] == ["wal", "wal/1"]
    run(volume, state="restored")
    assert (volume / "wal/1").read_text() == "samples"
    run(volume, state="absent")
    assert not _copies(volume).exists()


def test_a_copy_that_an_interrupted_run_left_is_replaced(volume: Path) -> None:
    run(volume)
    (volume / "wal/1").write_text("more")
    run(volume)

    assert (_copies(volume) / volume.name / "wal/1").read_text() == "more"


def test_copies_of_other_parts_stay(volume: Path) -> None:
    other = volume.with_name("monitoring-grafana-pvc-2")
    other.mkdir()
    run(volume)
    run(other)
    assert run(volume, state="absent")["changed"]
    assert not run(volume, state="absent")["changed"]

    assert [path.name for path in _copies(volume).iterdir()] == [other.name]


def test_without_room_the_numbers_are_told_before_anything_is_copied(
    volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(volume, check=True)["changed"]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**29))

    for check in (True, False):
        with pytest.raises(
            modules.Failed, match=r"a copy of its volumes needs 1\.0 GiB, and 0\.5 GiB are free -> "
        ):
            run(volume, check=check)
    assert not _copies(volume).exists()


# ---- where they are made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What is run on other hosts."""
    found: list[tuple[Any, ...]] = []

    def run_on(_: Any, host: str, module: str, arguments: Any, _vars: Any, *, dry: bool) -> Any:
        found.append((host, module, arguments["state"], dry))
        return {"failed": len(found) > 3, "msg": "no room"}

    monkeypatch.setattr(component, "run_on", run_on)
    return found


def _copier() -> Copier:
    addresses = [{"type": "InternalIP", "address": "192.0.2.2"}]
    nodes = [{"metadata": {"name": "attic-pc"}, "status": {"addresses": addresses}}]
    action = SimpleNamespace(connect=lambda _: SimpleNamespace(nodes=lambda: nodes))
    hosts = {"home": {"ansible_host": "192.0.2.1"}, "attic": {"ansible_host": "192.0.2.2"}}
    variables = {"groups": {"home_servers": list(hosts)}, "hostvars": hosts}
    values = {"{{ homeserver_control_plane }}": "home", "{{ homeserver_upgrade_copies }}": False}
    return component.ActionModule._copier(action, "kubeconfig", values.__getitem__, variables)  # type: ignore[arg-type]


def test_the_host_of_a_node_copies(asked: list[tuple[Any, ...]]) -> None:
    copier = _copier()
    assert not copier.enabled
    for node, action in (("attic-pc", "check"), ("", "copy"), ("home", "restore")):
        copier.act(node, action, ["/volume"])

    module = "homeserver.stack.volume_copies"
    assert asked == [
        ("attic", module, "present", True),
        ("home", module, "present", False),
        ("home", module, "restored", False),
    ]
    with pytest.raises(ApplicationError, match="home: no room, or upgrade without a copy: -e homeserver"):
        copier.act("", "check", ["/volume"])
    with pytest.raises(ApplicationError, match=r"home: no room$"):
        copier.act("", "remove", ["/volume"])


def test_a_node_without_a_host_is_told(asked: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ApplicationError, match="its data are on cellar, which is no host of the inventory"):
        _copier().act("cellar", "check", ["/volume"])
    assert asked == []
