"""A bundle is made from a store, a registry and a web server, which break off, move and ask for tokens."""

import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.snap_store import Store
from ansible_collections.homeserver.stack.plugins.module_utils.registry import bundle_maker, downloads
from ansible_collections.homeserver.stack.plugins.module_utils.registry.bundle import read_bundle
from ansible_collections.homeserver.stack.plugins.module_utils.registry.client import Registries

from harness import sources
from harness.roles import ROOT
from lab.catalogue import pinned_versions

SNAP = os.urandom(300_000)
LAYER = os.urandom(400_000)
CRDS = b"kind: CustomResourceDefinition\n"
CHANNEL = pinned_versions()["microk8s_channel"]
TRAEFIK = "docker.io/library/traefik:v3"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[sources.Site]:
    """All that a small home takes, for two architectures."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    with sources.serving() as site:
        for architecture in ("amd64", "arm64"):
            name = architecture.encode()
            site.add_snap("microk8s", CHANNEL, SNAP + name, "core22", architecture)
            site.add_snap("core22", "latest/stable", b"core22" + name, None, architecture)
            site.add_snap("snapd", "latest/stable", b"snapd" + name, None, architecture)
        site.add_image("pause", "3.10", {"amd64": b"pause", "arm64": b"pause of arm"})
        site.add_image("library/traefik", "v3", {"amd64": LAYER, "arm64": b"arm"})
        site.pages["/crds.yml"] = ("text/yaml", CRDS)
        yield site


def make(
    site: sources.Site, directory: Path, platform: str = "linux/amd64", traefik: str = TRAEFIK, **more: Any
) -> bool:
    """Make the bundle as the playbook does."""
    web = downloads.Web(print, patience=5)
    mirrors = {"docker.io": site.url, "registry.k8s.io": site.url}
    crds = {"url": f"{site.url}/crds.yml", "version": "v3", "sha256": hashlib.sha256(CRDS).hexdigest()}
    images = {"registry.k8s.io/pause:3.10": "microk8s", traefik: ""}
    wanted = bundle_maker.Wanted(CHANNEL, images, {"traefik_crds": crds | more})
    of = bundle_maker.Sources(web, Store(web, site.url), Registries(web, mirrors, []))
    return bundle_maker.make(directory, platform, wanted, of, print)


def files(directory: Path) -> set[str]:
    """Return what is in a directory, without folders."""
    return {str(file.relative_to(directory)) for file in directory.rglob("*") if file.is_file()}


def test_a_bundle_is_whole_and_has_its_digests(site: sources.Site, tmp_path: Path) -> None:
    assert make(site, tmp_path)

    bundle, wrong = read_bundle(tmp_path)
    assert wrong == []
    assert [snap["name"] for snap in bundle.snaps] == ["snapd", "core22", "microk8s"]
    assert bundle.snaps[2]["confinement"] == "classic"
    assert Path(bundle.snaps[2]["file"]).read_bytes() == SNAP + b"amd64"
    assert [(image["reference"], image.get("purpose")) for image in bundle.images] == [
        ("registry.k8s.io/pause:3.10", "microk8s"),
        (TRAEFIK, None),
    ]
    served = site.pages["/v2/library/traefik/manifests/v3"][1]
    assert bundle.images[1]["digest"] == f"sha256:{hashlib.sha256(served).hexdigest()}"
    assert Path(bundle.manifests["traefik_crds"]).read_bytes() == CRDS
    assert bundle.architecture == "amd64"
    assert len(files(tmp_path)) == 1 + 2 * 3 + 2 + 1


def test_snapd_is_told_what_to_trust_and_nothing_that_it_has(site: sources.Site, tmp_path: Path) -> None:
    make(site, tmp_path)

    text = Path(read_bundle(tmp_path)[0].snaps[2]["assertion"]).read_text()
    told = [line.partition(": ")[2] for line in text.splitlines() if line.startswith("type: ")]
    assert told == ["account-key", "snap-declaration", "snap-revision"]
    # Each is after an empty line, without which snapd reads no second one.
    assert text.count("\n\nAcLB\n") == 3
    assert "\n\ntype: snap-revision\n" in text


def test_an_archive_has_what_containerd_looks_for(site: sources.Site, tmp_path: Path) -> None:
    make(site, tmp_path, platform="linux/arm64")

    with tarfile.open(read_bundle(tmp_path)[0].images[1]["file"]) as tar:
        contents = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    (top,) = json.loads(contents["index.json"])["manifests"]
    assert top["annotations"]["io.containerd.image.name"] == TRAEFIK
    manifest = json.loads(contents[f"blobs/sha256/{top['digest'].partition(':')[2]}"])
    (layer,) = manifest["layers"]
    assert contents[f"blobs/sha256/{layer['digest'].partition(':')[2]}"] == b"arm"
    assert "oci-layout" in contents


def test_an_image_named_with_its_digest_keeps_it(site: sources.Site, tmp_path: Path) -> None:
    digest = hashlib.sha256(site.pages["/v2/library/traefik/manifests/v3"][1]).hexdigest()
    make(site, tmp_path, traefik=f"{TRAEFIK}@sha256:{digest}")

    assert read_bundle(tmp_path)[1] == []


@pytest.mark.parametrize("part", ["microk8s_amd64.snap", "blob"])
def test_an_interrupted_download_goes_on(site: sources.Site, tmp_path: Path, part: str) -> None:
    layer = f"/v2/library/traefik/blobs/sha256:{hashlib.sha256(LAYER).hexdigest()}"
    path = layer if part == "blob" else f"/download/{part}"
    site.cut[path] = 100_000

    make(site, tmp_path)

    assert read_bundle(tmp_path)[1] == []
    assert [ranged for asked, ranged in site.asked if asked == path] == ["", "bytes=65536-"]


def test_another_run_goes_on_after_one_that_ended(site: sources.Site, tmp_path: Path) -> None:
    layer = f"/v2/library/traefik/blobs/sha256:{hashlib.sha256(LAYER).hexdigest()}"
    kept = site.pages.pop(layer)
    with pytest.raises(downloads.DownloadError, match=r"blobs/sha256:\w+ answers 404"):
        make(site, tmp_path)
    assert not (tmp_path / "bundle.json").exists()
    site.pages[layer] = kept
    site.asked.clear()

    make(site, tmp_path)

    assert read_bundle(tmp_path)[1] == []
    assert site.paths("/download/") == site.paths("/v2/pause/blobs/") == site.paths("account-key") == []


def test_what_has_not_changed_is_not_downloaded_again(site: sources.Site, tmp_path: Path) -> None:
    make(site, tmp_path)
    site.asked.clear()

    assert not make(site, tmp_path)
    assert not {path for path in site.paths() if "/info/" not in path and "/manifests/" not in path}


def test_a_name_that_became_another_image_is_downloaded_and_the_old_one_goes(
    site: sources.Site, tmp_path: Path
) -> None:
    make(site, tmp_path)
    before = files(tmp_path)
    site.add_image("library/traefik", "v3", {"amd64": b"newer"})

    assert make(site, tmp_path)
    assert len(files(tmp_path) - before) == 1
    assert len(before - files(tmp_path)) == 1


def test_a_server_that_is_away_for_a_moment_is_asked_again(site: sources.Site, tmp_path: Path) -> None:
    site.failing = {"/v2/pause/manifests/3.10": 2, "/download/microk8s_amd64.snap": 2, "/crds.yml": 1}

    assert make(site, tmp_path)


def test_a_server_that_stays_away_is_told(
    site: sources.Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    site.failing = {"/v2/pause/manifests/3.10": 100}

    with pytest.raises(downloads.DownloadError, match=r"manifests/3.10 answers 503, for \d s -> try again"):
        make(site, tmp_path)


def test_a_registry_gives_a_token(site: sources.Site, tmp_path: Path) -> None:
    site.token = "secret"

    assert make(site, tmp_path)
    assert len(site.paths("/token")) == 2  # one for each image


@pytest.mark.parametrize("path", ["/download/microk8s_amd64.snap", "/crds.yml", "layer"])
def test_a_file_that_is_another_one_is_refused(site: sources.Site, tmp_path: Path, path: str) -> None:
    layer = f"/v2/library/traefik/blobs/sha256:{hashlib.sha256(LAYER).hexdigest()}"
    site.pages[layer if path == "layer" else path] = ("any", b"something else")

    with pytest.raises(downloads.DownloadError, match=r"has SHA(-256|3-384) \w+, not \w+ -> try again later"):
        make(site, tmp_path)
    assert not (tmp_path / "bundle.json").exists()


def test_an_image_for_another_platform_only_is_told(site: sources.Site, tmp_path: Path) -> None:
    site.add_image("library/traefik", "v3", {"arm64": b"arm"})

    with pytest.raises(
        downloads.DownloadError, match=r"there is no docker\.io/library/traefik:v3 for linux/amd64"
    ):
        make(site, tmp_path)


def test_a_channel_without_the_snap_is_told(site: sources.Site, tmp_path: Path) -> None:
    site.pages["/v2/snaps/info/microk8s"] = ("application/json", b'{"channel-map": []}')

    with pytest.raises(downloads.DownloadError, match=f"the store has no microk8s in {CHANNEL} for amd64"):
        make(site, tmp_path)


def test_the_playbook_makes_one_for_each_platform(site: sources.Site, tmp_path: Path) -> None:
    own = yaml.safe_load((ROOT / "roles/common/vars/main/microk8s_images.yml").read_text())
    minor = pinned_versions()["microk8s_channel"].partition("/")[0]
    pinned = [*pinned_versions()["images"].values(), *own["homeserver_microk8s_images"][minor]]
    for reference in pinned:
        name, _, tag = reference.partition("/")[2].rpartition(":")
        site.add_image(name, tag, {each: f"{name} {each}".encode() for each in ("amd64", "arm64")})
    hosts = tmp_path / "home/hosts.yml"
    hosts.parent.mkdir()
    hosts.write_text("{all: {children: {home_servers: {children: {control_plane: {hosts: {home: {}}}}}}}}")
    crds = {"url": f"{site.url}/crds.yml", "sha256": hashlib.sha256(CRDS).hexdigest()}
    variables = {
        "bundle_store": site.url,
        "bundle_platforms": ["linux/amd64", "linux/arm64"],
        "bundle_images": ["ghcr.io/own/app:1"],
        "homeserver_version_overrides": {"manifests": {"traefik_crds": crds}},
        "microk8s_registry_mirrors": dict.fromkeys({each.partition("/")[0] for each in pinned}, site.url),
    }
    site.add_image("own/app", "1", dict.fromkeys(("amd64", "arm64"), b"own"))
    play = ["ansible-playbook", "-i", str(hosts), "-e", json.dumps(variables), "playbooks/bundle.yml"]

    def run() -> str:
        done = subprocess.run(play, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run()
    assert f"homeserver_bundle: {tmp_path}/bundle/arm64" in said
    for architecture in ("amd64", "arm64"):
        bundle, wrong = read_bundle(tmp_path / "bundle" / architecture)
        assert (wrong, bundle.architecture) == ([], architecture)
        assert {image["reference"] for image in bundle.images} == {*pinned, "ghcr.io/own/app:1"}
        assert bundle.sha256 in said
    assert "changed=0" in run()
