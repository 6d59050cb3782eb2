"""The images that were built here are found again by their archives."""

import io
import json
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleLookupError
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import lookup_loader
from ansible.template import Templar
from ansible_collections.homeserver.stack.plugins.filter.images import (
    hosts_without_images,
    missing_images,
)
from ansible_collections.homeserver.stack.plugins.lookup.built_images import LookupModule


def archive(file: Path, content: object, name: str = "manifest.json") -> None:
    text = json.dumps(content).encode()
    member = tarfile.TarInfo(name)
    member.size = len(text)
    with tarfile.open(file, "w") as tar:
        tar.addfile(member, io.BytesIO(text))


def named(source: Path, directory: Path, platform: str = "linux/amd64") -> dict[str, Any]:
    """Return what the lookup images tells of an image."""
    variables = {
        "homeserver_python_image": "python:3.13",
        "homeserver_images_dir": str(directory),
        "homeserver_platform": platform,
        "_apps_builds": {"wiki": str(source)},
    }
    loader = DataLoader()
    templar = Templar(loader=loader, variables=variables)
    lookup = lookup_loader.get("homeserver.stack.images", loader=loader, templar=templar)
    (image,) = lookup.run(["apps"], variables)
    return dict(image)


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


def test_an_image_is_named_by_its_content(tmp_path: Path) -> None:
    source, directory = tmp_path / "wiki", tmp_path / "images"
    directory.mkdir()
    source.mkdir()
    (source / "Dockerfile").write_text("FROM $BASE")
    lookup = partial(named, source, directory)

    first = lookup()
    assert first["reference"].startswith("localhost/wiki:")
    assert not first["built"]
    Path(first["archive"]).touch()
    assert lookup() == first | {"built": True}
    assert lookup(platform="linux/arm64")["reference"] != first["reference"]
    (source / "page").touch()
    assert lookup()["reference"] != first["reference"]
    assert not lookup()["built"]


def test_the_files_of_a_source_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Dockerfile").write_text("FROM $BASE")
    read = []

    def read_bytes(path: Path) -> bytes:
        read.append(path.name)
        return b""

    monkeypatch.setattr(Path, "read_bytes", read_bytes)

    named(tmp_path, tmp_path / "images")

    assert read == ["Dockerfile"]


def test_a_source_without_a_dockerfile_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnsibleLookupError, match=rf"localhost/wiki: .*{tmp_path}"):
        named(tmp_path, tmp_path)


def test_only_hosts_that_lack_an_image_are_loaded() -> None:
    there = {"references": ["localhost/a:1", "localhost/b:1"]}
    hostvars = {
        "home": {"microk8s_images_there": there},
        "attic": {},
        "shed": {"microk8s_images_there": there},
    }

    lacking = [hosts_without_images(hostvars, hostvars, [f"localhost/{name}:1"]) for name in "abc"]

    assert lacking == [["attic"], ["attic"], ["home", "attic", "shed"]]


def test_an_image_is_missing_until_it_is_built_and_on_every_host() -> None:
    hostvars: dict[str, Any] = {
        "home": {
            "microk8s_images_there": {"references": ["localhost/a:1", "localhost/b:1", "localhost/c:1"]}
        },
        "attic": {"microk8s_images_there": {"references": ["localhost/a:1", "localhost/c:1"]}},
    }
    images = [
        {"name": name, "reference": f"localhost/{name}:1", "built": name != "c"}
        for name in ("a", "b", "c", "d")
    ]

    assert missing_images(images, hostvars, hostvars) == ["b", "c", "d"]
    assert missing_images(images, ["home"], hostvars) == ["c", "d"]
    assert missing_images(images, [], hostvars) == ["c"]
    assert missing_images([], hostvars, hostvars) == []
