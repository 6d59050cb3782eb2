"""What the lab adds to Elasticsearch's small distribution, and lays out as the official image has it."""

import json
from collections.abc import Iterator

import pytest
import requests

from lab.catalogue import pinned_versions
from tests.search import Engine, elasticsearch_running

PINNED = pinned_versions()["images"]
ROLES = "monitor:\n  cluster: [monitor]\nnothing:\n  cluster: []\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    settings = {
        "xpack.security.enabled": True,
        "xpack.security.http.ssl.enabled": False,
        "xpack.security.transport.ssl.enabled": False,
        "xpack.security.authc.realms.file.file.order": 0,
    }
    # bcrypt, at the least cost, of "secret".
    password = "$2a$04$fMOyfkdHcXWo9Tksl1yTs.RUCFvHG0GiEaRyeIL.39ovwR/V.T.le"
    files = {
        "roles.yml": ROLES,
        "users": f"monitor:{password}\nnothing:{password}\n",
        "users_roles": "monitor:monitor\nnothing:nothing\n",
    }
    with elasticsearch_running(tmp_path_factory.mktemp("elasticsearch"), settings, files) as running:
        yield running


def test_it_says_what_it_is_to_who_may_monitor(engine: Engine) -> None:
    about = engine.ask("", auth=("monitor", "secret"))
    assert about["version"]["number"] == PINNED["elasticsearch"].rpartition(":")[2]
    assert about["version"]["build_flavor"] == "default"
    assert about["cluster_name"] == "test"
    assert about["tagline"] == "You Know, for Search"


@pytest.mark.parametrize(("user", "status"), [(("nothing", "secret"), 403), (None, 401)])
def test_it_says_nothing_to_others(engine: Engine, user: tuple[str, str] | None, status: int) -> None:
    assert requests.get(engine.url, auth=user, timeout=10).status_code == status


def test_it_answers_head_without_a_body(engine: Engine) -> None:
    answer = requests.head(engine.url, auth=("monitor", "secret"), timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")


def test_what_it_logs_is_json_in_the_fields_of_ecs(engine: Engine) -> None:
    lines = [json.loads(line) for line in (engine.directory / "output").read_text().splitlines()]
    assert {line["event.dataset"] for line in lines} == {"elasticsearch.server"}
    assert all({"@timestamp", "log.level", "message"} <= line.keys() for line in lines)
