"""playbooks/import_compose.yml writes a file of the inventory, and says what is different."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.playbooks import play

COMPOSE = """
services:
  web:
    image: registry.example.org/shop:1
    user: "1000:1000"
    ports: ["8080:80"]
    environment:
      DATABASE_URL: postgres://shop:not-a-secret@db:5432/shop
      TEMPLATE: "{{ title }}"
    tty: true
    ulimits: {nofile: 1024}
  db:
    image: registry.example.org/db:1
    user: "999:999"
    environment: {POSTGRES_PASSWORD: not-a-secret}
    volumes: [rows:/rows]
volumes: {rows: {}}
"""


class _Loader(yaml.SafeLoader):
    """Reads what Ansible must not evaluate as it is."""


def _unsafe(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> tuple[str, str]:
    return "unsafe", str(loader.construct_scalar(node))


_Loader.add_constructor("!unsafe", _unsafe)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """An inventory of one host."""
    hosts = {"control_plane": {"hosts": {"home": {}}}, "workers": {"hosts": {}}}
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"children": {"home_servers": {"children": hosts}}}})
    )
    return tmp_path


def _import(inventory: Path, compose: str, *options: str) -> "subprocess.CompletedProcess[str]":
    project = inventory / "shop"
    project.mkdir(exist_ok=True)
    (project / "compose.yml").write_text(compose)
    given = (*options, "-e", f"file={project}/compose.yml")
    return play("-i", str(inventory), "playbooks/import_compose.yml", *given)


def _written(inventory: Path) -> list[dict[str, Any]]:
    text = (inventory / "group_vars/all/apps/shop.yml").read_text()
    found: list[dict[str, Any]] = yaml.load(text, _Loader)["imported_apps_shop"]  # noqa: S506
    return found


def test_it_writes_apps_for_the_owner_alone(inventory: Path) -> None:
    done = _import(inventory, COMPOSE)
    web, db = _written(inventory)
    file = inventory / "group_vars/all/apps/shop.yml"

    assert done.returncode == 0, done.stdout
    assert [web["name"], db["name"]] == ["shop", "shop-db"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert "web: ulimits: the limits of the server apply" in done.stdout
    assert "not-a-secret" not in done.stdout + file.read_text()


def test_secrets_are_expressions_and_all_else_is_text(inventory: Path) -> None:
    _import(inventory, COMPOSE)
    web, db = _written(inventory)
    file = "homeserver_secrets_dir ~ '/apps/shop/postgres_password'"
    secret = f"{{{{ lookup('homeserver.stack.secret', {file}, minimum=1) }}}}"

    assert db["secrets"] == {"POSTGRES_PASSWORD": secret}
    assert web["secrets"] == {"DATABASE_URL": f"postgres://shop:{secret}@db:5432/shop"}
    assert web["env"]["TEMPLATE"] == ("unsafe", "{{ title }}")


def test_a_second_import_changes_nothing_and_overwrites_no_changes(inventory: Path) -> None:
    _import(inventory, COMPOSE)
    again = _import(inventory, COMPOSE)
    changed = _import(inventory, COMPOSE.replace("8080:80", "8080:81"))
    kept = _written(inventory)[0]["port"]
    replaced = _import(inventory, COMPOSE.replace("8080:80", "8080:81"), "-e", "replace=true")

    assert "changed=0" in again.stdout
    assert changed.returncode != 0
    assert "is there already, and different -> keep it, or replace it with -e replace=true" in changed.stdout
    assert kept == 80
    assert (replaced.returncode, _written(inventory)[0]["port"]) == (0, 81)


@pytest.mark.parametrize(
    ("compose", "told"),
    [
        (COMPOSE.replace("tty: true", "privileged: true"), "web: privileged: "),
        (
            COMPOSE.replace("rows:/rows", "/var/run/docker.sock:/docker.sock"),
            "db: volumes: /var/run/docker.sock",
        ),
        ("services: {}", "has no services: it is not a compose file"),
        ("services: [", "is not YAML"),
    ],
)
def test_what_is_not_possible_writes_nothing(inventory: Path, compose: str, told: str) -> None:
    done = _import(inventory, compose)

    assert done.returncode != 0
    assert told in done.stdout + done.stderr
    assert not (inventory / "group_vars").exists()
