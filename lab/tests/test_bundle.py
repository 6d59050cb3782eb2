import hashlib
import json
from pathlib import Path

from lab.bundle import bundle
from lab.cache import Cache, Job, Part


def image(job: Job) -> None:
    (job.out / "image.tar").write_text("layers")


def snap(job: Job) -> None:
    (job.out / "x.snap").write_text("squashed")


def test_a_bundle_lists_every_file_in_it_with_its_checksum(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    needs = (Part("an-image", image), Part("a-snap", snap))
    whole = Part(
        "bundle",
        bundle,
        settings={
            "description": "for a test",
            "architecture": "arm64",
            "contents": {
                "snaps": [{"name": "x", "version": "1", "source": "a-snap/x.snap", "file": "x.snap"}],
                "images": [
                    {
                        "reference": "r/i:1",
                        "source": "an-image/image.tar",
                        "file": "i.tar",
                        "purpose": "build",
                    }
                ],
                "manifests": [],
            },
        },
        needs=needs,
    )
    for part in (*needs, whole):
        cache.make(part)
    made = cache.path(whole)
    manifest = json.loads((made / "bundle.json").read_text())
    assert manifest == {
        "format": 1,
        "description": "for a test",
        "architecture": "arm64",
        "snaps": [{"name": "x", "version": "1", "file": "snaps/x.snap", "sha256": checksum("squashed")}],
        "images": [
            {"reference": "r/i:1", "purpose": "build", "file": "images/i.tar", "sha256": checksum("layers")}
        ],
        "manifests": [],
    }
    assert (made / "images/i.tar").read_text() == "layers"
    assert (made / "images/i.tar").stat().st_ino == (cache.path(needs[0]) / "image.tar").stat().st_ino


def checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
