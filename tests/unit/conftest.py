"""Servers that start slowly, once for all tests that use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from homeserver_logstore.__main__ import main

from harness import logged
from harness.elk_role import Store, running
from harness.elk_store import Command, commands_of


@contextmanager
def _with_lines(home: Path) -> Iterator[Store]:
    with running(home) as store:
        with pytest.MonkeyPatch.context() as environment:
            passwords = home / "secrets/home"
            environment.setenv("ELASTICSEARCH_URL", store.url)
            environment.setenv("ELASTICSEARCH_USER", "logstore")
            environment.setenv("ELASTICSEARCH_PASSWORD_FILE", f"{passwords}/elasticsearch_logstore.password")
            environment.setenv("ELASTICSEARCH_CA_FILE", str(store.authority))
            (home / "settings.json").write_text("{}")
            assert main(["setup", "--settings", f"{home}/settings.json"]) == 0
        answer = store.user("filebeat").bulk(logged.actions(), refresh=True)
        assert not answer["errors"], answer
        yield store


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The role's Elasticsearch, set up as by its Job, with lines of every kind; read only."""
    with _with_lines(tmp_path_factory.mktemp("lines")) as store:
        yield store


@pytest.fixture(scope="module")
def new_lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The same, with lines that are no older than the module's tests."""
    with _with_lines(tmp_path_factory.mktemp("new_lines")) as store:
        yield store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Elasticsearch with the role's files and a small storage budget."""
    with running(tmp_path_factory.mktemp("home"), homeserver_storage_budget_gib=2) as store:
        yield store


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command as its Job does."""
    return commands_of(store, tmp_path, monkeypatch)


@pytest.fixture
def ready(store: Store, run: Command) -> Store:
    """Elasticsearch, set up."""
    assert run("setup") == 0
    return store
