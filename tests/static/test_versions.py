"""The roles can read the file with all versions, and Renovate can update it."""

import json
import re
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from harness.roles import ROOT
from lab.catalogue import VERSIONS, pinned_versions
from tests.static.test_manifests import KUBERNETES
from tools import reference

REQUIREMENTS = [
    ROOT / name
    for name in (
        "requirements.in",
        "app/requirements.in",
        "images/devices/requirements.in",
        "images/door/requirements.in",
        "requirements-dev.in",
    )
]


def test_the_channel_is_a_pinned_track() -> None:
    assert re.fullmatch(r"1\.\d+/(stable|candidate|beta|edge)", pinned_versions()["microk8s_channel"])


def test_every_image_is_a_full_reference_with_a_fixed_tag() -> None:
    pinned = re.compile(r"[a-z0-9.-]+\.[a-z]+/[a-z0-9./_-]+:v?\d[\w.-]*(@sha256:[0-9a-f]{64})?")

    assert [image for image in pinned_versions()["images"].values() if not pinned.fullmatch(image)] == []


def test_renovate_finds_every_image_with_and_without_a_digest() -> None:
    manager = json.loads((ROOT / "renovate.json").read_text())["customManagers"][0]
    files = [re.compile(each.strip("/")) for each in manager["managerFilePatterns"]]
    (pattern,) = (re.compile(each.replace("(?<", "(?P<")) for each in manager["matchStrings"])
    images = set(pinned_versions()["images"].values())
    digest = f"sha256:{'2f' * 32}"
    pinned = pattern.sub(rf"\g<0>@{digest}", VERSIONS.read_text())

    catalogue = [*(ROOT / "roles/apps/catalogue").iterdir()]

    assert [
        path
        for path in (VERSIONS, *catalogue)
        if not any(f.search(str(path.relative_to(ROOT))) for f in files)
    ] == []
    assert {match[0] for match in pattern.finditer(VERSIONS.read_text())} == images
    for path in catalogue:
        named = {app["image"] for app in yaml.safe_load(path.read_text())["apps"]}
        assert {match[0] for match in pattern.finditer(path.read_text())} == named
    assert {match[0] for match in pattern.finditer(pinned)} == {f"{image}@{digest}" for image in images}
    assert {match["currentDigest"] for match in pattern.finditer(pinned)} == {digest}


def test_the_reference_tells_until_when_each_version_is_mended() -> None:
    pinned = pinned_versions()
    rows = re.findall(r"^\| `(\w+)` \| `(\S+)` \| (.+) \|$", reference.render(), re.MULTILINE)
    versions = {"microk8s_channel": pinned["microk8s_channel"], **pinned["images"]}

    assert {name: version for name, version, _ in rows if name in versions} == versions
    assert [
        row
        for row in rows
        if not re.fullmatch(r"until (\d{4}-\d\d-\d\d|\d+\.\d+)|while it is the newest", row[2])
    ] == []


def test_every_manifest_is_pinned_by_checksum() -> None:
    for manifest in pinned_versions()["manifests"].values():
        assert re.fullmatch(r"[0-9a-f]{64}", manifest["sha256"])
        assert manifest["version"] in manifest["url"]


def test_traefik_and_its_crds_have_the_same_release() -> None:
    versions = pinned_versions()

    assert versions["images"]["traefik"].endswith(f":{versions['manifests']['traefik_crds']['version']}")


def test_the_manifests_are_checked_against_the_snaps_version() -> None:
    minor = pinned_versions()["microk8s_channel"].split("/")[0]

    assert minor == KUBERNETES


def test_it_is_known_what_the_snap_runs_itself() -> None:
    text = VERSIONS.with_name("microk8s_images.yml").read_text()
    known = yaml.safe_load(text)["homeserver_microk8s_images"]
    images = known[pinned_versions()["microk8s_channel"].split("/")[0]]

    assert {"pause", "cni", "coredns"} <= {image.rpartition("/")[2].partition(":")[0] for image in images}
    assert [image for image in images if not re.fullmatch(r"[a-z0-9.]+/[a-z0-9/-]+:v?[\d.]+", image)] == []


def test_every_action_of_the_workflows_is_pinned_by_its_commit() -> None:
    workflows = [yaml.safe_load(file.read_text()) for file in (ROOT / ".github/workflows").glob("*.yml")]
    steps = [step for each in workflows for job in each["jobs"].values() for step in job["steps"]]
    actions = [step["uses"] for step in steps if "uses" in step]

    assert actions
    assert [action for action in actions if not re.search(r"@[0-9a-f]{40}$", action)] == []


def _named(file: Path) -> dict[str, Requirement]:
    """Return the packages that a file of requirements names itself."""
    lines = (line.removesuffix(" \\") for line in file.read_text().splitlines())
    named = (Requirement(line) for line in lines if line and not line.startswith(("#", "-", " ")))
    return {each.name.lower().replace("_", "-"): each for each in named}


def test_every_python_package_has_one_version_and_checksums() -> None:
    versions: dict[str, set[str]] = {}
    for wanted in REQUIREMENTS:
        locked = wanted.with_suffix(".txt")
        found = _named(locked)
        assert {name: each.specifier for name, each in _named(wanted).items()}.items() <= {
            name: each.specifier for name, each in found.items()
        }.items()
        blocks = re.split(r"^(?=[\w-])", locked.read_text(), flags=re.MULTILINE)[1:]
        assert [block for block in blocks if "--hash=sha256:" not in block] == []
        assert len(blocks) == len(found)
        for name, each in found.items():
            versions.setdefault(name, set()).add(str(each.specifier))

    assert {name: every for name, every in versions.items() if len(every) > 1} == {}
