import hashlib
import json
import os
from pathlib import Path

import pytest
from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible_collections.homeserver.stack.plugins.module_utils.registry import checksums
from ansible_collections.homeserver.stack.plugins.module_utils.registry.bundle import read_bundle

from harness.archives import tar


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    entries = {
        "snaps": {"name": "core", "file": "core.snap", "assertion": "core.assert"},
        "images": {"reference": "docker.io/library/traefik:v3", "file": "traefik.tar"},
        "manifests": {"name": "traefik_crds", "file": "crds.yml"},
    }
    for entry in entries.values():
        (tmp_path / entry["file"]).write_text(entry["file"])
        entry["sha256"] = hashlib.sha256(entry["file"].encode()).hexdigest()
    (tmp_path / "bundle.json").write_text(
        json.dumps(
            {"format": 1, "architecture": "arm64", **{kind: [entry] for kind, entry in entries.items()}}
        )
    )
    return tmp_path


def test_a_whole_bundle_is_read_with_absolute_paths(bundle: Path) -> None:
    content, wrong = read_bundle(bundle)
    assert wrong == []
    assert content.snaps[0]["file"] == str(bundle / "core.snap")
    assert content.snaps[0]["assertion"] == str(bundle / "core.assert")
    assert content.images[0]["reference"] == "docker.io/library/traefik:v3"
    assert content.manifests == {"traefik_crds": str(bundle / "crds.yml")}
    assert content.architecture == "arm64"
    assert content.sha256 == hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()


def test_every_flaw_is_reported(bundle: Path) -> None:
    (bundle / "core.snap").write_text("other")
    (bundle / "traefik.tar").unlink()
    _, wrong = read_bundle(bundle)
    assert len(wrong) == 2
    assert f"{bundle}/core.snap has SHA-256 {hashlib.sha256(b'other').hexdigest()}, not " in wrong[0]
    assert wrong[1] == f"{bundle}/traefik.tar cannot be read (No such file or directory)"


@pytest.mark.parametrize(
    ("content", "flaw"),
    [(None, "cannot be read"), ("{", "is not JSON"), ('{"format": 2}', "has format 2, not 1")],
)
def test_an_unreadable_manifest_is_reported(tmp_path: Path, content: str | None, flaw: str) -> None:
    if content is not None:
        (tmp_path / "bundle.json").write_text(content)
    assert flaw in read_bundle(tmp_path)[1][0]


def test_the_lookup_refuses_a_broken_bundle_and_accepts_an_empty_path(bundle: Path) -> None:
    lookup = lookup_loader.get("homeserver.stack.bundle")
    assert lookup.run([""]) == [
        {"snaps": [], "images": [], "manifests": {}, "architecture": "", "sha256": ""}
    ]
    assert lookup.run([str(bundle)])[0]["manifests"]
    (bundle / "crds.yml").write_text("")
    with pytest.raises(AnsibleLookupError, match=r"incomplete or damaged(.|\n)*crds\.yml"):
        lookup.run([str(bundle)])


MANIFEST = b"{}"
DIGEST = hashlib.sha256(MANIFEST).hexdigest()
INDEX = json.dumps({"manifests": [{"digest": f"sha256:{DIGEST}"}]}).encode()
WHOLE = {"index.json": INDEX, f"blobs/sha256/{DIGEST}": MANIFEST}


@pytest.mark.parametrize(
    ("archive", "digest", "flawed"),
    [
        (tar(WHOLE), DIGEST, False),
        (tar(WHOLE), "2f" * 32, True),
        (tar(WHOLE | {f"blobs/sha256/{DIGEST}": b"{ }"}), DIGEST, True),
        (tar({"index.json": INDEX}), DIGEST, True),
        (tar({"manifest.json": b"[]"}), DIGEST, True),
        (b"no archive", DIGEST, True),
    ],
    ids=["whole", "another digest", "another manifest", "no manifest", "Docker's format", "no archive"],
)
def test_an_image_named_with_its_digest_has_it(
    bundle: Path, archive: bytes, digest: str, flawed: bool
) -> None:
    (bundle / "traefik.tar").write_bytes(archive)
    content = json.loads((bundle / "bundle.json").read_text())
    reference = f"docker.io/library/traefik:v3@sha256:{digest}"
    content["images"][0] |= {"reference": reference, "sha256": hashlib.sha256(archive).hexdigest()}
    (bundle / "bundle.json").write_text(json.dumps(content))

    wrong = f"{bundle}/traefik.tar has no image with the digest of {reference}"
    assert read_bundle(bundle)[1] == ([wrong] if flawed else [])


def test_a_checksum_is_recomputed_only_when_the_file_changed(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", tmp_path / "cache.json"
    file.write_text("one")
    first = checksums.sha256(file, cache)
    cache.write_text(cache.read_text().replace(first, "cached"))
    assert checksums.sha256(file, cache) == "cached"
    os.utime(file, ns=(1, 1))
    assert checksums.sha256(file, cache) == first


def test_a_damaged_cache_is_recreated(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", tmp_path / "cache.json"
    file.write_text("one")
    cache.write_text("{")
    assert checksums.sha256(file, cache) == hashlib.sha256(b"one").hexdigest()
    assert json.loads(cache.read_text())
