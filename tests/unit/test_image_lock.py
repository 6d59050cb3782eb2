"""Images are installed as they were when their tags were first looked up, whatever a registry gives later."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import playbooks
from harness.registry import PASSWORD, PRIVATE, USER, Registry, serving
from lab.images import write_archive, write_layer

PLAY = """
- import_playbook: homeserver.stack.lock_images
- hosts: control_plane
  gather_facts: false
  roles: [homeserver.stack.common]
  tasks:
    - ansible.builtin.copy:
        dest: "{{ inventory_dir | dirname }}/installed.json"
        content: "{{ {'traefik': _traefik, 'lock': homeserver_locked_images} | to_json }}"
      vars: {_traefik: "{{ homeserver_image_prefix }}{{ homeserver_versions.images.traefik }}"}
      delegate_to: localhost
"""
TRAEFIK = "docker.io/library/traefik:v1"
SHOP = f"{PRIVATE}shop"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Images of one file each."""
    directory = tmp_path_factory.mktemp("images")
    for number in ("one", "two"):
        (directory / number).write_text(number)
        write_layer(directory / f"{number}.layer", {"file": directory / number})
        write_archive(directory / f"{number}.tar", "x/any:1", {}, [directory / f"{number}.layer"])
    return [directory / "one.tar", directory / "two.tar"]


@pytest.fixture
def registry(archives: list[Path]) -> Iterator[Registry]:
    with serving() as running:
        running.push(archives[0], TRAEFIK)
        running.push(archives[0], f"{SHOP}:latest")
        yield running


class Inventory:
    """A home whose images come through a registry on this machine."""

    def __init__(self, directory: Path, registry: Registry) -> None:
        self._directory = directory
        self._registry = registry
        self.lock_file = directory / "home/images.lock.yml"
        self.lock_file.parent.mkdir()
        (directory / "play.yml").write_text(PLAY)
        self.images: dict[str, str] = {"traefik": TRAEFIK}
        self.variables: dict[str, Any] = {}

    def run(self, *arguments: str, take: bool = False) -> str:
        """Lock as site.yml does, or as the playbook alone does, and note what would be installed."""
        mirror = f"127.0.0.1:{self._registry.port}"
        variables = {
            "homeserver_image_mirror": mirror,
            "microk8s_registry_mirrors": {mirror: f"http://{mirror}"},
            "homeserver_pinned_versions": {"images": self.images},
            "homeserver_registry_logins": [{"registry": mirror, "username": USER, "password": PASSWORD}],
            "apps": [{"name": "shop", "image": SHOP}, {"name": "own", "source": "/nowhere"}],
            **({} if take else {"lock_images_take_moved": False}),
            **self.variables,
        }
        hosts = {"home": {"ansible_connection": "local"}}
        tree = {"all": {"children": {"home_servers": {"children": {"control_plane": {"hosts": hosts}}}}}}
        (self._directory / "home/hosts.yml").write_text(json.dumps(tree))
        given = ("-i", str(self._directory / "home"), "-e", json.dumps(variables), *arguments)
        done = playbooks.play(*given, str(self._directory / "play.yml"))
        assert done.returncode == 0, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def lock(self) -> dict[str, str]:
        content = yaml.safe_load(self.lock_file.read_text())
        return dict(content["all"]["vars"]["images_lock"])

    @property
    def installed(self) -> Any:
        return json.loads((self._directory / "installed.json").read_text())


@pytest.fixture
def home(tmp_path: Path, registry: Registry) -> Inventory:
    return Inventory(tmp_path, registry)


def _long_ago(file: Path) -> None:
    week_ago = time.time() - 8 * 24 * 3600
    os.utime(file, (week_ago, week_ago))


def test_a_tag_that_moves_is_told_and_not_installed_until_it_is_taken(
    home: Inventory, registry: Registry, archives: list[Path]
) -> None:
    first = registry.push(archives[0], TRAEFIK)
    said = home.run()
    assert "moved" not in said
    assert home.lock == {TRAEFIK: first, SHOP: first}
    assert home.installed["traefik"] == f"127.0.0.1:{registry.port}/{TRAEFIK}@{first}"

    now = registry.push(archives[1], TRAEFIK)
    asked = len(registry.answers)
    assert "moved" not in home.run()
    assert len(registry.answers) == asked  # a run asks for nothing that is locked

    _long_ago(home.lock_file)
    moved = f"the tag of {TRAEFIK} has moved from {first} to {now} -> playbooks/lock_images.yml takes it"
    assert moved in home.run()
    assert home.installed["traefik"].endswith(f"@{first}")
    assert len(registry.answers) > asked
    assert moved in home.run("--check", take=True)
    assert home.lock[TRAEFIK] == first

    assert f"has moved from {first} to {now} -> the next run installs it" in home.run(take=True)
    assert home.installed["traefik"].endswith(f"@{now}")
    assert home.lock == {TRAEFIK: now, SHOP: first}


def test_another_version_is_locked_in_place_of_the_one_before(
    home: Inventory, registry: Registry, archives: list[Path]
) -> None:
    home.run()
    registry.push(archives[1], TRAEFIK.replace("v1", "v2"))
    digested = f"ghcr.io/me/other:1@sha256:{'2f' * 32}"
    home.images = {"traefik": TRAEFIK.replace("v1", "v2"), "other": digested}
    home.run()

    assert home.lock.keys() == {TRAEFIK.replace("v1", "v2"), SHOP}


def test_a_registry_that_does_not_answer_stops_no_run(home: Inventory, registry: Registry) -> None:
    home.images["missing"] = "docker.io/library/missing:1"
    said = home.run()
    assert "not locked to the current digests of their tags: docker.io/library/missing:1 (" in said
    before = home.lock
    assert before.keys() == {TRAEFIK, SHOP}

    _long_ago(home.lock_file)
    home.variables["microk8s_registry_mirrors"] = {f"127.0.0.1:{registry.port}": "http://127.0.0.1:1"}
    del home.images["missing"]
    said = home.run()
    assert f"it is not known whether tags have moved: {TRAEFIK}, {SHOP} (http://127.0.0.1:1/" in said
    assert home.lock == before
    assert home.installed["traefik"].endswith(f"@{before[TRAEFIK]}")


def test_what_a_bundle_brings_is_not_locked(home: Inventory, tmp_path: Path) -> None:
    home.run()
    (tmp_path / "image.tar").touch()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    images = [{"reference": "any:1", "file": "image.tar", "sha256": empty}]
    (tmp_path / "bundle.json").write_text(json.dumps({"format": 1, "images": images}))
    home.variables["homeserver_bundle"] = str(tmp_path)
    home.run()

    assert not home.lock_file.exists()
    assert home.installed["traefik"].endswith(TRAEFIK)
    assert home.installed["lock"] == {}


def test_a_dry_run_writes_no_lock(home: Inventory) -> None:
    home.run("--check")

    assert not home.lock_file.exists()
