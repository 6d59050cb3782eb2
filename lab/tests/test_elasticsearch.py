"""The lab's additions to Elasticsearch's minimal distribution, laid out like the official image."""

import json
from collections.abc import Iterator

import pytest
import requests

from harness.search import Engine, elasticsearch_running
from lab.catalogue import pinned_versions

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
    # bcrypt of "secret" at the lowest cost.
    password = "$2a$04$fMOyfkdHcXWo9Tksl1yTs.RUCFvHG0GiEaRyeIL.39ovwR/V.T.le"
    files = {
        "roles.yml": ROLES,
        "users": f"monitor:{password}\nnothing:{password}\n",
        "users_roles": "monitor:monitor\nnothing:nothing\n",
    }
    with elasticsearch_running(tmp_path_factory.mktemp("elasticsearch"), settings, files) as running:
        yield running


def test_it_describes_itself_to_users_who_may_monitor(engine: Engine) -> None:
    about = engine.ask("", auth=("monitor", "secret"))
    assert about["version"]["number"] == PINNED["elasticsearch"].rpartition(":")[2]
    assert about["version"]["build_flavor"] == "default"
    assert about["cluster_name"] == "test"
    assert about["tagline"] == "You Know, for Search"


@pytest.mark.parametrize(("user", "status"), [(("nothing", "secret"), 403), (None, 401)])
def test_it_rejects_other_users(engine: Engine, user: tuple[str, str] | None, status: int) -> None:
    assert requests.get(engine.url, auth=user, timeout=10).status_code == status


def test_head_requests_have_no_body(engine: Engine) -> None:
    answer = requests.head(engine.url, auth=("monitor", "secret"), timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")


def test_its_log_is_json_with_ecs_fields(engine: Engine) -> None:
    lines = [json.loads(line) for line in (engine.directory / "output").read_text().splitlines()]
    assert {line["event.dataset"] for line in lines} == {"elasticsearch.server"}
    assert all({"@timestamp", "log.level", "message"} <= line.keys() for line in lines)
