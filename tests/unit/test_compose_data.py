"""The data and passwords of a compose file are found where Docker and its owner have them."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.action import compose_data
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import Imported, translate
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import (
    Project,
    read_project,
)

COMPOSE = """
services:
  web:
    image: registry.example.org/wiki:1
    ports: ["8080:80"]
    environment: {DATABASE_URL: "postgres://wiki:old-one@db:5432/wiki"}
    volumes: [./pages:/pages, /opt/appdata/wiki/own:/own, /scratch]
  db:
    image: registry.example.org/db:1
    environment: {POSTGRES_PASSWORD: old-one}
    volumes: [rows:/rows, shared:/shared, named:/named]
volumes:
  rows: {}
  shared: {external: true}
  named: {name: own_name}
"""
DOCKER = "/var/lib/docker/volumes"
SNAP = "/var/snap/docker/common/var-lib-docker/volumes"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose app got another name."""
    directory = tmp_path / "Old.Wiki"
    directory.mkdir()
    (directory / "compose.yml").write_text(COMPOSE)
    return read_project(directory / "compose.yml", "wiki")


@pytest.fixture
def imported(project: Project) -> Imported:
    """Return its entries."""
    return translate(project)


def _sources(imported: Imported, project: Project, data: str = "") -> dict[str, list[str]]:
    found = compose_data.volumes(imported, project, {"present": [], "data": data})
    return {each["name"]: each["sources"] for each in found}


def test_data_are_where_docker_has_them(imported: Imported, project: Project) -> None:
    assert _sources(imported, project) == {
        "wiki-pages": [f"{project.directory}/pages"],
        "wiki-own": ["/opt/appdata/wiki/own"],
        "wiki-db-rows": [f"{DOCKER}/oldwiki_rows/_data", f"{SNAP}/oldwiki_rows/_data"],
        "wiki-db-shared": [f"{DOCKER}/shared/_data", f"{SNAP}/shared/_data"],
        "wiki-db-named": [f"{DOCKER}/own_name/_data", f"{SNAP}/own_name/_data"],
    }


def test_data_are_where_their_owner_says(imported: Imported, project: Project) -> None:
    found = _sources(imported, project, "/mnt/old")

    assert found["wiki-pages"] == ["/mnt/old/pages", "/mnt/old/Old.Wiki/pages"]
    assert found["wiki-own"] == ["/mnt/old/opt/appdata/wiki/own", "/mnt/old/own"]
    assert found["wiki-db-rows"] == [
        "/mnt/old/oldwiki_rows/_data",
        f"{DOCKER}/oldwiki_rows/_data",
        f"{SNAP}/oldwiki_rows/_data",
        "/mnt/old/oldwiki_rows",
        "/mnt/old/rows",
    ]


def test_a_volume_is_the_one_of_the_app(imported: Imported, project: Project) -> None:
    present = [
        {"claim": "monitoring/wiki-pages", "path": "/m", "node": "home"},
        {"claim": "apps-root/wiki-pages", "path": "/r", "node": "attic"},
    ]
    found = {
        each["name"]: each
        for each in compose_data.volumes(imported, project, {"present": present, "data": ""})
    }

    pages = {name: found["wiki-pages"][name] for name in ("claim", "path", "node")}
    assert pages == {"claim": "apps-root/wiki-pages", "path": "/r", "node": "attic"}
    assert found["wiki-own"]["claim"] == ""


def test_old_passwords_replace_generated_ones_and_go_again(imported: Imported, tmp_path: Path) -> None:
    """A database that is moved has its old password."""
    file = tmp_path / "secrets/postgres_password"
    file.parent.mkdir()
    file.write_text("generated\n")

    def use(wanted: str) -> tuple[bool, Any]:
        return compose_data.use_passwords(file.parent, imported.passwords, wanted), file.read_text()

    assert use("keep") == (False, "generated\n")
    assert use("file") == (True, "old-one\n")
    assert use("file") == (False, "old-one\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert use("generated") == (True, "generated\n")
    assert use("generated") == (False, "generated\n")


def test_passwords_of_two_databases_stay_two(tmp_path: Path) -> None:
    """They would be one, because their variables have the same name."""
    (tmp_path / "compose.yml").write_text(
        "services:\n"
        "  a: {image: registry.example.org/a:1, environment: {POSTGRES_PASSWORD: one-secret}}\n"
        "  b: {image: registry.example.org/b:1, environment: {POSTGRES_PASSWORD: two-secret}}\n"
    )
    imported = translate(read_project(tmp_path / "compose.yml", "shop"))

    assert sorted(value for _, value in imported.passwords) == ["one-secret", "two-secret"]
    assert len({name for name, _ in imported.passwords}) == 2
