"""Runs three nodes of the role's Elasticsearch: one may fail, and nothing is lost."""

from pathlib import Path

import pytest

from harness.elk_role import running_together, zone_of
from harness.elk_store import a_line, commands_of, write
from harness.home import eventually


def test_no_line_is_lost_when_one_of_three_nodes_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_together(tmp_path, 3) as members:
        home, *_ = [store for store, _ in members]
        home.user("admin").wait(120)
        assert eventually(lambda: home.user("admin").get("_cluster/health")["number_of_nodes"] == 3, 120)
        assert commands_of(home, tmp_path, monkeypatch)("setup", nodes=3) == 0
        assert len(write(home.user("filebeat"), "logs-app", *[a_line()] * 100)) == 100
        home.user("admin").wait(120, "green")

        # The node with the primary shard, such as elasticsearch-0.
        shards = home.user("admin").get("_cat/shards/logs-app", format="json")
        # The two copies are never on one host.
        assert sorted(zone_of(shard["node"]) for shard in shards) == ["attic", "cellar"]
        (place,) = [int(shard["node"][-1]) for shard in shards if shard["prirep"] == "p"]
        _, stop = members.pop(place)
        stop()
        left, *_ = [store for store, _ in members]
        left.user("admin").wait(120)
        assert left.user("admin").get("logs-app/_count")["count"] == 100
        assert [item["status"] for item in write(left.user("filebeat"), "logs-app", a_line())] == [201]
