"""Runs the role's Elasticsearch: its users and their rights, encryption, and the lines it accepts."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError
from homeserver_logstore.commands.check import problems
from homeserver_logstore.retention import indices
from homeserver_logstore.settings import Settings

from harness.elk_role import Store
from harness.elk_store import a_line, write

MIB = 1 << 20
LIMIT = {"persistent": {"cluster.max_shards_per_node": 1000}}
LOW_WATERMARKS = {
    f"cluster.routing.allocation.disk.watermark.{name}": None for name in ("low", "high", "flood_stage")
}


def test_a_second_setup_changes_nothing(ready: Store, run: Callable[..., int]) -> None:
    admin = ready.user("admin")
    before = {index.name for index in indices(admin)}

    assert run("setup") == 0
    assert {index.name for index in indices(admin)} == before
    assert admin.get("_cluster/health")["status"] == "green"


def test_it_logs_to_no_file(store: Store) -> None:
    output = (store.directory / "output").read_text()

    # Java begins a file before it learns that it is to keep none.
    assert {path.stat().st_size for path in store.directory.rglob("*.log*")} <= {0}
    assert '"log.level":' in output
    # In JSON it may say that it collects much. What is not JSON would be the log of Java's collector.
    assert not [line for line in output.splitlines() if "[gc" in line and not line.startswith("{")]


def test_machine_learning_is_off(store: Store) -> None:
    (node,) = store.user("admin").get("_nodes/settings")["nodes"].values()

    assert node["settings"]["xpack"]["ml"]["enabled"] == "false"


def test_missing_indices_are_created_again(store: Store, run: Callable[..., int]) -> None:
    admin, filebeat = store.user("admin"), store.user("filebeat")
    assert run("setup") == 0
    for index in admin.get("_alias/logs-host"):
        admin.delete(index)
    (refused,) = write(filebeat, "logs-host", a_line())
    assert refused["status"] in (403, 404)  # Filebeat does not retry these, so the line is lost

    assert run("retain") == 0
    assert [item["status"] for item in write(filebeat, "logs-host", a_line())] == [201]


def test_a_missing_write_index_is_created_again(ready: Store, run: Callable[..., int]) -> None:
    admin, logstash = ready.user("admin"), ready.user("logstash")
    line = {"@timestamp": "2026-11-25T10:00:00Z", "message": "refused"}
    older = set(admin.get("_alias/logs-invalid"))
    admin.delete(admin.post("logs-invalid/_rollover")["new_index"])
    (refused,) = write(logstash, "logs-invalid", line)
    assert refused["status"] == 400

    assert run("retain") == 0
    assert [item["status"] for item in write(logstash, "logs-invalid", line)] == [201]
    assert set(admin.get("_alias/logs-invalid")) > older


def test_kibana_has_a_token(store: Store) -> None:
    headers = {"Authorization": f"Bearer {store.role.value('_elk_kibana_token')}"}
    url = f"{store.url}/_security/_authenticate"
    answer = requests.get(url, headers=headers, verify=str(store.authority), timeout=30)

    assert answer.json()["username"] == "elastic/kibana"


@pytest.mark.parametrize(
    "user", ["admin", "logstore", "filebeat", "logstash", "exporter", "metrics", "grafana", "jaeger"]
)
def test_every_user_logs_in_with_the_generated_password_only(store: Store, user: str) -> None:
    assert store.user(user).get("_cluster/health")["status"] == "green"
    with pytest.raises(RefusedError, match="unable to authenticate"):
        store.user(user, "guessed").get("_cluster/health")


def test_the_builtin_user_is_disabled(store: Store) -> None:
    with pytest.raises(RefusedError) as caught:
        store.user("elastic", "changeme").get("_cluster/health")
    assert caught.value.status == 401


def test_connections_without_tls_or_with_another_authority_fail(store: Store) -> None:
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
    "who only looks writes": ("viewer", lambda client: client.post("logs-app/_doc", {"a": 1})),
    "who only looks deletes": ("viewer", lambda client: client.delete("logs-app-000001")),
    "who only looks administers": ("viewer", lambda client: client.put("_cluster/settings", LIMIT)),
    "who only looks sees users": ("viewer", lambda client: client.get("_security/user")),
    "the keeper makes other indices": ("logstore", lambda client: client.put("other", {})),
}


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_client_cannot_do_more_than_its_task(ready: Store, case: str) -> None:
    user, action = FORBIDDEN[case]

    with pytest.raises(RefusedError) as caught:
        action(ready.user(user))
    assert caught.value.status == 403


def test_each_client_can_do_its_task(ready: Store) -> None:
    assert [item["status"] for item in write(ready.user("filebeat"), "logs-app", a_line())] == [201]
    assert ready.user("grafana").get("logs-*/_search", size=1)["hits"]["total"]["value"] > 0
    assert ready.user("viewer").get("logs-*/_search", size=1)["hits"]["total"]["value"] > 0
    assert ready.user("exporter").get("_cat/indices/logs-*", format="json")


def test_an_odd_line_is_kept_and_adds_no_field(ready: Store) -> None:
    odd = [
        a_line(json={"a": {"b": [1, "x", {"c": None}]}, "x" * 300: "y" * 9000, "": 2, "a.b": 3}),
        a_line(message="x" * 131072, user_agent={"original": "日" * 8000}),
        a_line(http={"response": {"status_code": "abc"}}, client={"ip": "not an address"}),
        a_line(json={"k" * 200: "日" * 4096}),
        a_line(whatever={"deep": {"er": 1}}),
        {"@timestamp": "the other day", "message": "no date"},
    ]
    fields = ready.user("admin").get("logs-app/_mapping")
    written = write(ready.user("filebeat"), "logs-app", *odd)

    assert [item.get("error") for item in written] == [None] * len(odd)
    assert ready.user("admin").get("logs-app/_mapping") == fields


@pytest.mark.parametrize(
    "fields",
    [{"kubernetes": "not an object"}, {"json": "text"}, {"json": json.loads('{"a":' * 25 + "1" + "}" * 25)}],
)
def test_a_refused_line_is_accepted_as_text(ready: Store, fields: dict[str, Any]) -> None:
    (refused,) = write(ready.user("filebeat"), "logs-app", a_line(**fields))
    as_text = a_line(message=json.dumps(fields), error={"type": "400", "message": refused["error"]["reason"]})
    (taken,) = write(ready.user("filebeat"), "logs-invalid", as_text)

    assert (refused["status"], taken["status"]) == (400, 201)


def test_a_missing_index_is_not_created(ready: Store) -> None:
    (item,) = write(ready.user("admin"), "logs-nowhere", a_line())

    assert item["status"] == 404


def test_the_owners_fields_and_processors_are_checked_before_use(ready: Store) -> None:
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
def test_setup_fails_where_addresses_cannot_be_anonymized(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("setup", anonymize=True) == 1
    assert (
        "elk_client_addresses_anonymized: this Elasticsearch has no processor gsub" in capsys.readouterr().err
    )


@pytest.mark.usefixtures("ready")
def test_setup_names_the_refused_setting(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("setup", mappings_extra={"logs-host": {"x": {"type": "nothing"}}}) == 1
    assert capsys.readouterr().err.startswith("elk_mappings_extra of logs-host: ")


def test_a_changed_field_type_starts_a_new_index(ready: Store, run: Callable[..., int]) -> None:
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
