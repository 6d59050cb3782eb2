"""What takes long to start, once for all tests that ask it."""

from collections.abc import Iterator

import pytest

from tests import logged
from tests.search import Engine, elasticsearch_running


@pytest.fixture(scope="session")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An Elasticsearch with lines of every kind, which nobody changes."""
    with elasticsearch_running(tmp_path_factory.mktemp("lines")) as engine:
        for alias in sorted({index for index, _ in logged.documents()}):
            first = {
                "mappings": logged.MAPPING,
                "settings": {"number_of_replicas": 0},
                "aliases": {alias: {"is_write_index": True}},
            }
            engine.ask(f"{alias}-000001", first, method="PUT")
        answer = engine.ask("_bulk?refresh=true", logged.bulk(logged.documents()), method="POST")
        assert not answer["errors"], answer
        yield engine
