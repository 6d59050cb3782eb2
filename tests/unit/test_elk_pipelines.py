"""What Elasticsearch's pipelines add to lines and remove from them, simulated by OpenSearch's processors."""

from collections.abc import Iterator
from typing import Any

import pytest
from homeserver_logstore.pipelines import MissingProcessorError, pipeline
from homeserver_logstore.settings import Settings

from harness.search import Engine, opensearch_running

ALL = {"append", "geoip", "gsub", "set", "user_agent"}
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Safari/605.1.15"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """OpenSearch."""
    with opensearch_running(tmp_path_factory.mktemp("opensearch")) as engine:
        yield engine


def _through(engine: Engine, settings: Settings, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    body, missing = pipeline(settings, ALL)
    assert missing == []
    docs = [{"_source": line} for line in lines]
    answer = engine.ask("_ingest/pipeline/_simulate", {"pipeline": body, "docs": docs}, "POST")
    return [each["doc"]["_source"] for each in answer["docs"]]


def test_a_browser_gets_its_name(engine: Engine) -> None:
    (line,) = _through(engine, Settings(), {"message": "m", "user_agent": {"original": SAFARI}})

    assert line["user_agent"]["name"] == "Safari"
    assert line["user_agent"]["version"] == "17.4"
    assert line["user_agent"]["original"] == SAFARI
    assert "tags" not in line


@pytest.mark.parametrize("agent", ["", "x" * 9000, "\u0000\u202e(((((", "${jndi:ldap://x}", "日" * 3000])
def test_a_hostile_browser_does_no_harm(engine: Engine, agent: str) -> None:
    (line,) = _through(engine, Settings(), {"message": "m", "user_agent": {"original": agent}})

    assert (line["message"], line["user_agent"]["original"]) == ("m", agent)


def test_a_line_without_a_browser_is_unchanged(engine: Engine) -> None:
    line = {"message": "m", "client": {"ip": "192.0.2.77"}}

    assert _through(engine, Settings(), line) == [line]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:12:34:56:78:9a:bc", "2001:db8:12::"),
        ("2001:db8::1", "2001:db8::"),
        ("::1", "::"),
        ("fe80::a:b", "fe80::"),
        ("::ffff:192.0.2.77", "::"),
        ("fe80::1%eth0", "fe80::"),
        ("192.0.2.77:5000", "192.0.2.0"),
        ("[2001:db8:1:2::3]:443", "2001:db8:1::"),
    ],
)
def test_addresses_are_anonymized(engine: Engine, address: str, kept: str) -> None:
    client = {"ip": address, "address": address}
    (line,) = _through(engine, Settings(anonymize=True), {"message": "m", "client": client})

    assert line["client"] == {"ip": kept, "address": kept}


def test_a_host_name_is_not_anonymized(engine: Engine) -> None:
    (line,) = _through(engine, Settings(anonymize=True), {"message": "m", "client": {"address": "nas.lan"}})

    assert line["client"]["address"] == "nas.lan"


def test_the_owners_processors_come_last(engine: Engine) -> None:
    extra = ({"set": {"field": "seen", "value": "{{user_agent.name}}"}},)
    (line,) = _through(engine, Settings(processors_extra=extra), {"user_agent": {"original": SAFARI}})

    assert line["seen"] == "Safari"


def test_a_line_is_kept_and_tagged_when_a_processor_fails(engine: Engine) -> None:
    extra = ({"gsub": {"field": "nowhere", "pattern": "a", "replacement": "b"}},)
    (line,) = _through(engine, Settings(processors_extra=extra), {"message": "m", "tags": ["one"]})

    assert line == {"message": "m", "tags": ["one", "enrichment_failed"]}


def test_missing_processors_are_left_out_and_reported() -> None:
    body, missing = pipeline(Settings(geoip=True), {"set"})

    assert (body["processors"], missing) == ([], ["user_agent", "geoip"])
    assert "on_failure" not in body


def test_addresses_are_looked_up_before_they_are_anonymized() -> None:
    body, _ = pipeline(Settings(geoip=True, anonymize=True), ALL)
    kinds = [kind for each in body["processors"] for kind in each]

    assert kinds.index("geoip") < kinds.index("gsub")


def test_a_missing_processor_for_anonymizing_is_an_error() -> None:
    with pytest.raises(MissingProcessorError, match="elk_client_addresses_anonymized"):
        pipeline(Settings(anonymize=True), ALL - {"gsub"})
