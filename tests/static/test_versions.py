"""The one file with versions can be read by the roles, and kept current by Renovate."""

import json
import re
from typing import Any

import yaml

from tests.static.roles import ROOT

VERSIONS = ROOT / "inventory/group_vars/all/versions.yml"


def _versions() -> dict[str, Any]:
    versions: dict[str, Any] = yaml.safe_load(VERSIONS.read_text())["homeserver_versions"]
    return versions


def test_the_channel_is_a_pinned_track() -> None:
    assert re.fullmatch(r"1\.\d+/(stable|candidate|beta|edge)", _versions()["microk8s_channel"])


def test_every_image_is_a_full_reference_with_a_tag_that_stays() -> None:
    pinned = re.compile(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9./_-]+:v?\d[\w.-]*")

    assert [image for image in _versions()["images"].values() if not pinned.fullmatch(image)] == []


def test_renovate_finds_every_image() -> None:
    pattern = json.loads((ROOT / "renovate.json").read_text())["customManagers"][0]["matchStrings"][0]
    found = re.finditer(pattern.replace("(?<", "(?P<"), VERSIONS.read_text())

    assert {f"{match['depName']}:{match['currentValue']}" for match in found} == set(
        _versions()["images"].values()
    )


def test_every_manifest_is_pinned_by_its_content() -> None:
    for manifest in _versions()["manifests"].values():
        assert re.fullmatch(r"[0-9a-f]{64}", manifest["sha256"])
        assert manifest["version"] in manifest["url"]


def test_traefik_and_its_crds_are_of_one_release() -> None:
    versions = _versions()

    assert versions["images"]["traefik"].endswith(f":{versions['manifests']['traefik_crds']['version']}")


def test_the_snap_track_has_schemas_the_manifests_are_checked_against() -> None:
    minor = _versions()["microk8s_channel"].split("/")[0]

    assert (ROOT / "tests/static/test_manifests.py").read_text().count(f'KUBERNETES = "{minor}"') == 1
