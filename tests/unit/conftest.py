"""What takes long to start, once for all tests that ask it."""

from collections.abc import Iterator

import pytest
from homeserver_logstore.__main__ import main

from tests import logged
from tests.unit.elk_role import Store, running


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The role's Elasticsearch, set up as its Job does it, with lines of every kind, which nobody changes."""
    home = tmp_path_factory.mktemp("lines")
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
