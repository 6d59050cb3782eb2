"""The role's Elasticsearch, for real: who may do what, what it takes, and that it stays within its budget."""

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from homeserver_logstore.__main__ import main
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError
from homeserver_logstore.commands.check import problems
from homeserver_logstore.indices import ALIASES
from homeserver_logstore.retention import Index, Retention, indices
from homeserver_logstore.settings import Settings
from homeserver_logstore.snapshots import take

from tests.home import eventually
from tests.unit.elk_role import Store, running, running_together

MIB = 1 << 20
LOW_WATERMARKS = {
    f"cluster.routing.allocation.disk.watermark.{name}": None for name in ("low", "high", "flood_stage")
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Elasticsearch with the role's files, for a home with little to keep."""
    with running(tmp_path_factory.mktemp("home"), homeserver_storage_budget_gib=2) as store:
        yield store


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command as its Job does."""
    return _command_of(store, tmp_path, monkeypatch)


def _command_of(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    (tmp_path / "password").write_text(store.role.value("_elk_passwords")["logstore"])
    monkeypatch.setenv("ELASTICSEARCH_URL", store.url)
    monkeypatch.setenv("ELASTICSEARCH_USER", "logstore")
    monkeypatch.setenv("ELASTICSEARCH_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("ELASTICSEARCH_CA_FILE", str(store.authority))

    def run(command: str, **settings: Any) -> int:
        file = tmp_path / "settings.json"
        file.write_text(json.dumps(settings))
        return main([command, "--settings", str(file)])

    return run


@pytest.fixture
def ready(store: Store, run: Callable[..., int]) -> Store:
    """Elasticsearch, set up."""
    assert run("setup") == 0
    return store


def _line(**fields: Any) -> dict[str, Any]:
    return {"@timestamp": datetime.now(UTC).isoformat(), "message": "a line", **fields}


def _write(elasticsearch: Elasticsearch, alias: str, *lines: dict[str, Any]) -> list[dict[str, Any]]:
    actions = [each for line in lines for each in ({"create": {"_index": alias}}, line)]
    return [item["create"] for item in elasticsearch.bulk(actions, refresh=True)["items"]]


def test_setting_it_up_twice_changes_nothing(ready: Store, run: Callable[..., int]) -> None:
    admin = ready.user("admin")
    before = {index.name for index in indices(admin)}

    assert run("setup") == 0
    assert {index.name for index in indices(admin)} == before
    assert admin.get("_cluster/health")["status"] == "green"


def test_what_a_lost_volume_took_along_is_set_up_anew(store: Store, run: Callable[..., int]) -> None:
    admin, filebeat = store.user("admin"), store.user("filebeat")
    assert run("setup") == 0
    for index in admin.get("_alias/logs-host"):
        admin.delete(index)
    (refused,) = _write(filebeat, "logs-host", _line())
    assert refused["status"] in (403, 404)  # for good, and so it is lost

    assert run("retain") == 0
    assert [item["status"] for item in _write(filebeat, "logs-host", _line())] == [201]


def test_kibana_has_a_token(store: Store) -> None:
    headers = {"Authorization": f"Bearer {store.role.value('_elk_kibana_token')}"}
    url = f"{store.url}/_security/_authenticate"
    answer = requests.get(url, headers=headers, verify=str(store.authority), timeout=30)

    assert answer.json()["username"] == "elastic/kibana"


@pytest.mark.parametrize(
    "user", ["admin", "logstore", "filebeat", "logstash", "exporter", "metrics", "grafana", "jaeger"]
)
def test_every_user_is_let_in_by_the_generated_password_only(store: Store, user: str) -> None:
    assert store.user(user).get("_cluster/health")["status"] == "green"
    with pytest.raises(RefusedError, match="unable to authenticate"):
        store.user(user, "guessed").get("_cluster/health")


def test_the_user_that_comes_with_elasticsearch_is_none(store: Store) -> None:
    with pytest.raises(RefusedError) as caught:
        store.user("elastic", "changeme").get("_cluster/health")
    assert caught.value.status == 401


def test_nothing_is_told_without_encryption_or_to_who_trusts_another(store: Store) -> None:
    with pytest.raises(UnreachableError):
        Elasticsearch(store.url.replace("https", "http")).get("_cluster/health")
    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        Elasticsearch(store.url).get("_cluster/health")


FORBIDDEN: dict[str, tuple[str, Callable[[Elasticsearch], Any]]] = {
    "a shipper deletes": ("filebeat", lambda client: client.delete("logs-app-000001")),
    "a shipper reads": ("filebeat", lambda client: client.get("logs-app/_search")),
    "a shipper changes a line": ("filebeat", lambda client: client.put("logs-app/_doc/1", {"a": 1})),
    "a shipper makes an index": ("logstash", lambda client: client.put("logs-mine-1", {})),
    "a shipper writes traces": ("filebeat", lambda client: client.post("jaeger-span/_doc", {"a": 1})),
    "Grafana writes": ("grafana", lambda client: client.post("logs-app/_doc", {"a": 1})),
    "the exporter reads": ("exporter", lambda client: client.get("logs-app/_search")),
    "what counts lines writes": ("metrics", lambda client: client.post("logs-app/_doc", {"a": 1})),
    "what fills Kibana reads logs": ("importer", lambda client: client.get("logs-app/_search")),
    "Jaeger reads logs": ("jaeger", lambda client: client.get("logs-app/_search")),
    "the keeper makes other indices": ("logstore", lambda client: client.put("other", {})),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_each_client_can_do_its_own_and_no_more(ready: Store, case: str) -> None:
    user, action = FORBIDDEN[case]

    with pytest.raises(RefusedError) as caught:
        action(ready.user(user))
    assert caught.value.status == 403


def test_each_client_can_do_its_own(ready: Store) -> None:
    assert [item["status"] for item in _write(ready.user("filebeat"), "logs-app", _line())] == [201]
    assert ready.user("grafana").get("logs-*/_search", size=1)["hits"]["total"]["value"] > 0
    assert ready.user("exporter").get("_cat/indices/logs-*", format="json")


def test_a_line_that_is_odd_is_kept_and_makes_no_field(ready: Store) -> None:
    odd = [
        _line(json={"a": {"b": [1, "x", {"c": None}]}, "x" * 300: "y" * 9000, "": 2, "a.b": 3}),
        _line(message="x" * 131072, user_agent={"original": "日" * 8000}),
        _line(http={"response": {"status_code": "abc"}}, client={"ip": "not an address"}),
        _line(json={"k" * 200: "日" * 4096}),
        _line(whatever={"deep": {"er": 1}}),
        {"@timestamp": "the other day", "message": "no date"},
    ]
    fields = ready.user("admin").get("logs-app/_mapping")
    written = _write(ready.user("filebeat"), "logs-app", *odd)

    assert [item.get("error") for item in written] == [None] * len(odd)
    assert ready.user("admin").get("logs-app/_mapping") == fields


@pytest.mark.parametrize(
    "fields",
    [{"kubernetes": "not an object"}, {"json": "text"}, {"json": json.loads('{"a":' * 25 + "1" + "}" * 25)}],
)
def test_what_is_refused_is_refused_for_good_and_taken_as_text(ready: Store, fields: dict[str, Any]) -> None:
    (refused,) = _write(ready.user("filebeat"), "logs-app", _line(**fields))
    as_text = _line(message=json.dumps(fields), error={"type": "400", "message": refused["error"]["reason"]})
    (taken,) = _write(ready.user("filebeat"), "logs-invalid", as_text)

    assert (refused["status"], taken["status"]) == (400, 201)


def test_an_index_that_is_not_there_is_not_made(ready: Store) -> None:
    (item,) = _write(ready.user("admin"), "logs-nowhere", _line())

    assert item["status"] == 404


def test_the_owners_fields_and_processors_are_asked_about_before_they_are_used(ready: Store) -> None:
    good = Settings(mappings_extra={"logs-app": {"order": {"properties": {"id": {"type": "keyword"}}}}})
    bad = Settings(
        mappings_extra={"logs-app": {"order": {"type": "keywrd"}}, "logs-ap": {}},
        processors_extra=({"st": {"field": "a"}},),
    )
    before = ready.user("admin").get("_index_template")

    assert list(problems(ready.user("logstore"), good)) == []
    processor, field, alias = problems(ready.user("logstore"), bad)
    assert "elk_processors_extra: " in processor
    assert "No processor type exists with name [st]" in processor
    assert field.startswith("elk_mappings_extra of logs-app: ")
    assert "The mapper type [keywrd] declared on field [order] does not exist" in field
    assert alias.startswith("elk_mappings_extra: there is no logs-ap;")
    assert ready.user("admin").get("_index_template") == before


@pytest.mark.usefixtures("ready")
def test_addresses_are_not_kept_whole_where_they_cannot_be_cut(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("setup", anonymize=True) == 1
    assert (
        "elk_client_addresses_anonymized: this Elasticsearch has no processor gsub" in capsys.readouterr().err
    )


@pytest.mark.usefixtures("ready")
def test_setting_it_up_says_which_setting_is_refused(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("setup", mappings_extra={"logs-host": {"x": {"type": "nothing"}}}) == 1
    assert capsys.readouterr().err.startswith("elk_mappings_extra of logs-host: ")


def test_a_field_of_another_type_than_before_begins_an_index(ready: Store, run: Callable[..., int]) -> None:
    def current() -> str:
        (found,) = [
            each.name
            for each in indices(ready.user("logstore"))
            if each.is_current and each.series == "logs-kubernetes"
        ]
        return found

    assert run("setup", mappings_extra={"logs-kubernetes": {"mine": {"type": "keyword"}}}) == 0
    before = current()
    assert run("setup", mappings_extra={"logs-kubernetes": {"mine": {"type": "long"}}}) == 0
    assert current() > before


def _fill(store: Store, alias: str, mib: int) -> str:
    """Write so many MiB of lines that cannot be compressed, and return the index they are in."""
    filebeat, keeper = store.user("filebeat"), store.user("logstore")
    with Path("/dev/urandom").open("rb") as random:
        for _ in range(mib):
            lines = [_line(message=base64.b64encode(random.read(24 * 1024)).decode()) for _ in range(40)]
            assert all(item["status"] == 201 for item in _write(filebeat, alias, *lines))

    def current() -> Index:
        return next(each for each in indices(keeper) if each.is_current and each.series == alias)

    # Elasticsearch looks anew every ten seconds how large an index is.
    assert eventually(lambda: current().size >= mib * MIB, 30)
    return current().name


def test_the_oldest_is_deleted_when_there_is_more_than_the_budget(ready: Store) -> None:
    settings = Settings(retention_bytes=24 * MIB, rollover_bytes=4 * MIB)
    keeper = ready.user("logstore")
    Retention(keeper, settings).carry_out()
    filled, written, deleted = [], 0, []
    for alias in ("logs-traefik", "logs-app", "logs-traefik", "logs-app"):
        filled.append(_fill(ready, alias, 4))
        written += next(each.size for each in indices(keeper) if each.name == filled[-1])
        outcome = Retention(keeper, settings).carry_out()
        assert outcome["failures"] == []
        assert outcome["bytes"] <= settings.retention_bytes
        deleted += [name for name in outcome["deleted"] if name in filled]
    left = indices(keeper)

    assert written > settings.retention_bytes
    assert deleted == filled[: len(deleted)] != []
    assert filled[-1] in {index.name for index in left}
    assert {index.series for index in left if index.is_current} >= set(ALIASES)
    assert [item["status"] for item in _write(ready.user("filebeat"), "logs-traefik", _line())] == [201]


def test_even_what_was_just_written_goes_when_it_alone_is_too_much(ready: Store) -> None:
    settings = Settings(retention_bytes=4 * MIB, rollover_bytes=1 << 30)
    filled = _fill(ready, "logs-app", 8)
    outcome = Retention(ready.user("logstore"), settings).carry_out()

    assert outcome["failures"] == []
    assert filled in outcome["deleted"]
    assert outcome["bytes"] <= settings.retention_bytes
    assert [item["status"] for item in _write(ready.user("filebeat"), "logs-app", _line())] == [201]


def test_a_run_leaves_what_came_of_it(ready: Store, run: Callable[..., int]) -> None:
    assert run("retain") == 0
    left = ready.user("grafana").get("logstore/_doc/retention")["_source"]

    assert left["failures"] == []
    assert 0 < left["bytes"] < left["limit_bytes"]


def test_snapshots_are_made_and_the_oldest_removed_and_one_is_restored(
    ready: Store, run: Callable[..., int]
) -> None:
    keeper, admin = ready.user("logstore"), ready.user("admin")
    settings: dict[str, Any] = {
        "snapshots_kept": 2,
        "snapshots_bytes": 100 * MIB,
        "snapshots_directory": str(ready.snapshots / "home"),
    }
    assert run("setup", **settings) == 0
    _write(ready.user("filebeat"), "logs-host", _line(message="to be lost"))
    names = []
    for _ in range(3):
        assert take(keeper, Settings(**settings)) == "SUCCESS"
        names = sorted(each["snapshot"] for each in keeper.get("_snapshot/home/_all")["snapshots"])
        time.sleep(1)  # their names have seconds
    index = next(each.name for each in indices(keeper) if each.is_current and each.series == "logs-host")
    body = {
        "indices": index,
        "rename_pattern": "(.+)",
        "rename_replacement": "restored-$1",
        "include_aliases": False,
    }
    admin.post(f"_snapshot/home/{names[-1]}/_restore", body, wait_for_completion=True)
    found = admin.post(f"restored-{index}/_search", {"query": {"match_phrase": {"message": "to be lost"}}})

    assert len(names) == 2
    assert found["hits"]["total"]["value"] == 1
    admin.delete(f"restored-{index}")


def test_a_full_disk_stops_lines_but_not_the_deletion_and_is_over_by_itself(ready: Store) -> None:
    admin, filebeat, keeper = (ready.user(name) for name in ("admin", "filebeat", "logstore"))
    _fill(ready, "logs-app", 1)
    admin.post("logs-app/_rollover")
    # A disk of which so much is to be free is full.
    full = dict.fromkeys(LOW_WATERMARKS, "900000gb")
    admin.put("_cluster/settings", {"persistent": full})
    assert eventually(lambda: _write(filebeat, "logs-app", _line())[0]["status"] == 429, 120)

    outcome = Retention(keeper, Settings(retention_bytes=1)).carry_out()
    assert any(name.startswith("logs-app-") for name in outcome["deleted"])

    admin.put("_cluster/settings", {"persistent": LOW_WATERMARKS})
    assert eventually(lambda: _write(filebeat, "logs-app", _line())[0]["status"] == 201, 120)


def test_of_several_one_may_go_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_together(tmp_path, 3) as members:
        home, *_ = [store for store, _ in members]
        home.user("admin").wait(120)
        assert eventually(lambda: home.user("admin").get("_cluster/health")["number_of_nodes"] == 3, 120)
        assert _command_of(home, tmp_path, monkeypatch)("setup", nodes=3) == 0
        assert len(_write(home.user("filebeat"), "logs-app", *[_line()] * 100)) == 100
        home.user("admin").wait(120, "green")

        # The one that has them, as elasticsearch-0.
        shards = home.user("admin").get("_cat/shards/logs-app", format="json")
        (place,) = [int(shard["node"][-1]) for shard in shards if shard["prirep"] == "p"]
        _, stop = members.pop(place)
        stop()
        left, *_ = [store for store, _ in members]
        left.user("admin").wait(120)
        assert left.user("admin").get("logs-app/_count")["count"] == 100
        assert [item["status"] for item in _write(left.user("filebeat"), "logs-app", _line())] == [201]
