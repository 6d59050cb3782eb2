"""Preflight accepts every example of the documentation, and the variables that tests and the lab set."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import yaml

from harness import docs
from harness.playbooks import play
from harness.roles import ROLES, ROOT
from lab.catalogue import pinned_versions

FILES = ROOT / "tests/inventories/files"

# Files that an owner puts beside the inventory, with the names in the examples.
OWN_FILES = {
    "dashboards/garage.json": "own.json",
    "kibana/shop.ndjson": "own.ndjson",
    "rules/garage.yml": "garage.yml",
    "shop/Dockerfile": "../../../app/Dockerfile",
    "targets/nas.yml": "nas.yml",
}
EMPTY = {"file": "empty", "sha256": hashlib.sha256().hexdigest()}
OPTIONS = {name for role in ROLES for name in role.options}


def _hosts() -> dict[str, dict[str, Any]]:
    """Return the variables of each example, by its page and number there."""
    return {
        "-".join([*page.relative_to(ROOT).with_suffix("").parts, str(number)]): example
        for page in docs.PAGES
        for number, example in enumerate(docs.examples(page), start=1)
    }


def _others() -> dict[str, dict[str, Any]]:
    """The variables that inventories of this repository set, by their files."""
    files = [
        *ROOT.glob("tests/inventories/*/group_vars/all/main.yml"),
        *ROOT.glob("inventory/example/group_vars/all/main.yml"),
        *ROOT.glob("lab/*.yml"),
        ROOT / "molecule/variables.yml",
    ]
    place = {"inventory_dir": str(ROOT / "tests/inventories/everything_on"), "project": str(ROOT)}
    return {
        "-".join(file.relative_to(ROOT).with_suffix("").parts): place | yaml.safe_load(file.read_text())
        for file in files
    }


def _complaints(tmp_path: Path, hosts: dict[str, dict[str, Any]]) -> list[str]:
    """Return the problems of variables that preflight reports; it also reports unreachable hosts."""
    for name, file in OWN_FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(FILES / file)
    (tmp_path / "files").symlink_to(FILES)
    _write_bundle(tmp_path / "bundle/amd64")
    inventory = tmp_path / "inventory"
    (inventory / "group_vars/all").mkdir(parents=True)
    vaulted = dict.fromkeys(re.findall(r"\bvault_\w+", json.dumps(hosts)), "secret")
    (inventory / "group_vars/all/vault.yml").write_text(json.dumps(vaulted))
    overrides = {"manifests": {key: {"sha256": EMPTY["sha256"]} for key in pinned_versions()["manifests"]}}
    of_bundle = {"homeserver_version_overrides": overrides}
    (inventory / "group_vars/all/bundle.yml").write_text(json.dumps(of_bundle))
    locked = dict.fromkeys(pinned_versions()["images"].values(), f"sha256:{EMPTY['sha256']}")
    lock = {"all": {"vars": {"images_lock": locked}}}
    (inventory / "images.lock.yml").write_text(json.dumps(lock))
    nowhere = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_become": False}
    first, *others = hosts
    groups = {
        "control_plane": {"hosts": {first: nowhere | hosts[first]}},
        "workers": {"hosts": {name: nowhere | hosts[name] for name in others}},
    }
    tree = {"all": {"children": {"home_servers": {"children": groups}}}}
    (inventory / "hosts.yml").write_text(json.dumps(tree))
    done = play("-i", str(inventory), "playbooks/stages/preflight.yml")
    assert "cannot be reached" in done.stdout, done.stdout + done.stderr
    return sorted({line.strip() for line in done.stdout.splitlines() if _is_about_a_variable(line)})


def _write_bundle(directory: Path) -> None:
    """Write a bundle with all images, as playbooks/bundle.yml does; each file is empty."""
    directory.mkdir(parents=True)
    (directory / "empty").touch()
    versions = pinned_versions()
    content = {
        "format": 1,
        "snaps": [{"name": "microk8s", "assertion": "empty", **EMPTY}],
        "images": [{"reference": reference, **EMPTY} for reference in versions["images"].values()],
        "manifests": [{"name": name, **EMPTY} for name in versions["manifests"]],
    }
    (directory / "bundle.json").write_text(json.dumps(content))


def _is_about_a_variable(line: str) -> bool:
    wrong = line.partition(": ")[2].partition(" -> ")[0]  # without the hosts, which are named after pages
    named = OPTIONS & set(re.findall(r"\w+", wrong))
    return " -> " in line and (bool(named) or "unknown variable" in line)


def test_every_example_is_accepted(tmp_path: Path) -> None:
    assert _complaints(tmp_path, _hosts()) == []


def test_the_variables_of_every_inventory_are_accepted(tmp_path: Path) -> None:
    others = _others()

    assert len(others) >= 6
    assert _complaints(tmp_path, others) == []


def test_a_wrong_example_is_found(tmp_path: Path) -> None:
    mistakes: dict[str, dict[str, Any]] = {
        "type": {"traefik_drain_seconds": "two"},
        "name": {"traefik_nonsense": 1},
        "key": {"traefik_routes": [{"name": "nas", "host": "nas.home.arpa"}]},
        "template": {"homeserver_domain": "{{ nothing }}"},
        "file": {"grafana_dashboards_extra": ["/nowhere.json"]},
    }

    assert {line.partition(":")[0] for line in _complaints(tmp_path, mistakes)} == set(mistakes)
