"""The images that were built here are found again by their archives."""

import io
import json
import tarfile
from pathlib import Path

from ansible_collections.homeserver.stack.plugins.lookup.built_images import LookupModule


def archive(file: Path, content: object, name: str = "manifest.json") -> None:
    text = json.dumps(content).encode()
    member = tarfile.TarInfo(name)
    member.size = len(text)
    with tarfile.open(file, "w") as tar:
        tar.addfile(member, io.BytesIO(text))


def test_every_archive_is_found_by_the_name_in_it(tmp_path: Path) -> None:
    archive(tmp_path / "hello-1.tar", [{"RepoTags": ["localhost/hello:1"]}])
    archive(tmp_path / "blog-2.tar", [{"RepoTags": ["localhost/blog:2"]}])
    found = LookupModule().run([str(tmp_path)])
    assert found == [
        {"reference": "localhost/blog:2", "file": str(tmp_path / "blog-2.tar")},
        {"reference": "localhost/hello:1", "file": str(tmp_path / "hello-1.tar")},
    ]


def test_what_is_no_archive_of_an_image_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "half.tar").write_text("not yet")
    archive(tmp_path / "other.tar", {}, name="index.json")
    archive(tmp_path / "nameless.tar", [{"RepoTags": None}])
    assert LookupModule().run([str(tmp_path)]) == []
    assert LookupModule().run([str(tmp_path / "missing")]) == []
