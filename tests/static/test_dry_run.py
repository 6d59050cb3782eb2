"""A first dry run shows every object, and no secret."""

import json
import re

import pytest

from harness.manifests import (
    SCHEDULED,
    SECRETS,
    WORKLOADS,
    Object,
    created,
    dry_run,
    name_of,
    of,
    template_of,
    value,
)

HASH = "homeserver.stack/config-hash"


@pytest.fixture(scope="session")
def printed(inventory: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The complete output."""
    return dry_run(inventory, tmp_path_factory.mktemp(f"dry-{inventory}"))


def _comparable(objects: list[Object], inventory: str) -> dict[str, Object]:
    """Remove differences between the two renderings: hidden values, hashes, built images."""
    # Tags of images that are built here contain a hash of their sources.
    copies = json.loads(re.sub(r"(localhost/[\w-]+):\w+", r"\1", json.dumps(objects)))
    for secret in of(copies, "Secret"):
        secret["data"] = sorted(secret["data"])
    for workload in of(copies, *WORKLOADS, *SCHEDULED):
        template_of(workload).get("metadata", {}).get("annotations", {}).pop(HASH, None)
    found = {name_of(obj): obj for obj in copies}
    found.pop("Job logging/arrival", None)  # it runs after everything is applied
    if inventory != "everything_on":
        # The probed gateway is the one of this machine.
        for file in ("prometheus.yml", "thresholds.rules.yml"):
            del found["ConfigMap monitoring/prometheus"]["data"][file]
    return found


def test_it_shows_the_objects_of_the_other_tests(printed: str, objects: list[Object], inventory: str) -> None:
    assert _comparable(created(printed), inventory) == _comparable(objects, inventory)


def test_it_prints_no_secret(printed: str) -> None:
    assert "not-a-real-one" not in printed  # the value of all secrets in the inventories
    assert [file for file in SECRETS if value(file) in printed] == []
