"""A cleanup deletes only unused files, and records each deletion."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from homeserver_disk_cleanup.cleanup import DAY, Containerd, clean, leftovers

STATE = {
    "images": {
        "docker.io/library/traefik:v3": "a",
        "docker.io/library/traefik@sha256:x": "a",
        "sha256:of-traefik": "a",
        "localhost/hello:old": "b",
        "sha256:of-hello-old": "b",
        "localhost/hello:new": "c",
        "registry.example/kept:1": "d",
        "sha256:of-kept": "d",
    },
    "containers": ["sha256:of-traefik", "localhost/hello:new"],
    "pinned": ["registry.example/kept:1"],
    "stuck": [],
}


@pytest.fixture
def containerd(tmp_path: Path) -> Containerd:
    """A containerd with used, pinned and unused images."""
    shutil.copy(Path(__file__).with_name("ctr"), tmp_path / "ctr")
    (tmp_path / "containerd.json").write_text(json.dumps(STATE))
    return Containerd([str(tmp_path / "ctr"), "--namespace=k8s.io"])


@pytest.fixture
def sideload(tmp_path: Path) -> Path:
    """A directory for archives, like MicroK8s' own."""
    directory = tmp_path / "sideload"
    directory.mkdir()
    return directory


def _images(directory: Path) -> set[str]:
    return set(json.loads((directory / "containerd.json").read_text())["images"])


def test_unused_images_are_removed_by_all_their_names(
    containerd: Containerd, sideload: Path, tmp_path: Path
) -> None:
    assert clean(containerd, sideload) == 0
    assert set(STATE["images"]) - _images(tmp_path) == {"localhost/hello:old", "sha256:of-hello-old"}


def test_a_failed_removal_does_not_stop_the_others(
    containerd: Containerd, sideload: Path, tmp_path: Path
) -> None:
    (tmp_path / "containerd.json").write_text(json.dumps(STATE | {"stuck": ["localhost/hello:old"]}))

    assert clean(containerd, sideload) == 1
    assert set(STATE["images"]) - _images(tmp_path) == {"sha256:of-hello-old"}


def test_only_archives_older_than_a_day_are_removed(containerd: Containerd, sideload: Path) -> None:
    now = time.time()
    ages = {
        "old.tar.loaded": 2 * DAY,
        "old.part": 2 * DAY,
        "waiting.tar": 2 * DAY,
        "homeserver.json": 2 * DAY,
        "new.tar.loaded": DAY / 2,
    }
    for name, age in ages.items():
        (sideload / name).write_text("x")
        os.utime(sideload / name, (now - age, now - age))
    clean(containerd, sideload)

    assert {path.name for path in sideload.iterdir()} == {"waiting.tar", "homeserver.json", "new.tar.loaded"}
    assert list(leftovers(sideload, now - DAY)) == []


def test_every_removal_is_recorded(
    containerd: Containerd, sideload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean(containerd, sideload)
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [(line["event"], line.get("image")) for line in lines] == [
        ("removed image", "localhost/hello:old"),
        ("removed image", "sha256:of-hello-old"),
        ("done", None),
    ]
    assert {"time", "freed_bytes", "failures"} <= lines[-1].keys()
