"""Runs the role's Elasticsearch: it stays within its budget, keeps snapshots, and survives a full disk."""

import base64
import time
from pathlib import Path
from typing import Any

from homeserver_logstore.indices import ALIASES
from homeserver_logstore.retention import Index, Retention, indices
from homeserver_logstore.settings import Settings
from homeserver_logstore.snapshots import take

from harness.elk_role import Store
from harness.elk_store import Command, a_line, write
from harness.home import eventually

MIB = 1 << 20
LOW_WATERMARKS = {
    f"cluster.routing.allocation.disk.watermark.{name}": None for name in ("low", "high", "flood_stage")
}


def _fill(store: Store, alias: str, mib: int) -> str:
    """Write this many MiB of lines that cannot be compressed, and return their index."""
    filebeat, keeper = store.user("filebeat"), store.user("logstore")
    with Path("/dev/urandom").open("rb") as random:
        for _ in range(mib):
            lines = [a_line(message=base64.b64encode(random.read(24 * 1024)).decode()) for _ in range(40)]
            assert all(item["status"] == 201 for item in write(filebeat, alias, *lines))

    def current() -> Index:
        return next(each for each in indices(keeper) if each.is_current and each.series == alias)

    # Elasticsearch updates the size of an index every ten seconds.
    assert eventually(lambda: current().size >= mib * MIB, 30)
    return current().name


def test_the_oldest_index_is_deleted_above_the_budget(ready: Store) -> None:
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
    assert [item["status"] for item in write(ready.user("filebeat"), "logs-traefik", a_line())] == [201]


def test_a_new_index_is_deleted_if_it_alone_exceeds_the_budget(ready: Store) -> None:
    settings = Settings(retention_bytes=4 * MIB, rollover_bytes=1 << 30)
    filled = _fill(ready, "logs-app", 8)
    outcome = Retention(ready.user("logstore"), settings).carry_out()

    assert outcome["failures"] == []
    assert filled in outcome["deleted"]
    assert outcome["bytes"] <= settings.retention_bytes
    assert [item["status"] for item in write(ready.user("filebeat"), "logs-app", a_line())] == [201]


def test_a_run_stores_its_outcome(ready: Store, run: Command) -> None:
    assert run("retain") == 0
    left = ready.user("grafana").get("logstore/_doc/retention")["_source"]

    assert left["failures"] == []
    assert 0 < left["bytes"] < left["limit_bytes"]


def test_snapshots_are_taken_pruned_and_restored(ready: Store, run: Command) -> None:
    keeper, admin = ready.user("logstore"), ready.user("admin")
    settings: dict[str, Any] = {
        "snapshots_kept": 2,
        "snapshots_bytes": 100 * MIB,
        "snapshots_directory": str(ready.snapshots / "home"),
    }
    assert run("setup", **settings) == 0
    write(ready.user("filebeat"), "logs-host", a_line(message="to be lost"))
    names = []
    for _ in range(3):
        assert take(keeper, Settings(**settings)) == "SUCCESS"
        names = sorted(each["snapshot"] for each in keeper.get("_snapshot/home/_all")["snapshots"])
        time.sleep(1)  # their names contain the second
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


def test_a_new_elasticsearch_begins_with_what_the_last_snapshot_has(ready: Store, run: Command) -> None:
    keeper, admin = ready.user("logstore"), ready.user("admin")
    settings: dict[str, Any] = {
        "snapshots_kept": 2,
        "snapshots_bytes": 100 * MIB,
        "snapshots_directory": str(ready.snapshots / "home"),
    }
    assert run("setup", **settings) == 0
    write(ready.user("filebeat"), "logs-host", a_line(message="survives a disk"))
    assert take(keeper, Settings(**settings)) == "SUCCESS"
    for index in (*(each.name for each in indices(keeper)), "logstore"):
        admin.delete(index)

    assert run("setup", **settings) == 0

    def found() -> int:
        query = {"query": {"match_phrase": {"message": "survives a disk"}}}
        return int(admin.post("logs-host/_search", query)["hits"]["total"]["value"])

    admin.wait(60)
    assert eventually(lambda: found() == 1, 30)
    assert write(ready.user("filebeat"), "logs-host", a_line())[0]["status"] == 201
    assert run("setup", **settings) == 0, "a second time it restores nothing"
    assert found() == 1


def test_an_index_that_the_disk_has_damaged_is_replaced(ready: Store) -> None:
    admin, filebeat, keeper = (ready.user(name) for name in ("admin", "filebeat", "logstore"))
    write(filebeat, "logs-app", a_line(), a_line())
    damaged = next(each.name for each in indices(keeper) if each.is_current and each.series == "logs-app")
    admin.post(f"{damaged}/_flush")
    admin.post(f"{damaged}/_close")
    uuid = admin.get(f"{damaged}/_settings")[damaged]["settings"]["index"]["uuid"]
    segments = (ready.directory / f"data/indices/{uuid}/0/index").glob("*.cf[es]")
    with max(segments, key=lambda path: path.stat().st_mtime).open("r+b") as file:
        file.truncate(100)
    admin.post(f"{damaged}/_open", wait_for_active_shards=0)

    outcome = Retention(keeper, Settings()).carry_out()

    assert write(filebeat, "logs-app", a_line())[0]["status"] == 201
    assert outcome["failures"] == []
    # What it has can still be restored.
    assert damaged not in outcome["deleted"]
    assert Retention(keeper, Settings()).carry_out()["indices"] == outcome["indices"]
    admin.delete(damaged)


def test_a_full_disk_stops_writes_but_not_deletions_until_there_is_space(ready: Store) -> None:
    admin, filebeat, keeper = (ready.user(name) for name in ("admin", "filebeat", "logstore"))
    _fill(ready, "logs-app", 1)
    admin.post("logs-app/_rollover")
    # No disk has this much free space, so Elasticsearch takes it for full.
    full = dict.fromkeys(LOW_WATERMARKS, "900000gb")
    admin.put("_cluster/settings", {"persistent": full})
    assert eventually(lambda: write(filebeat, "logs-app", a_line())[0]["status"] == 429, 120)

    outcome = Retention(keeper, Settings(retention_bytes=1)).carry_out()
    assert any(name.startswith("logs-app-") for name in outcome["deleted"])

    admin.put("_cluster/settings", {"persistent": LOW_WATERMARKS})
    assert eventually(lambda: write(filebeat, "logs-app", a_line())[0]["status"] == 201, 120)
