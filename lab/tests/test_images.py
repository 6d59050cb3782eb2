import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.images import write_archive, write_layer, write_tree_layer

CONFIG = {"Entrypoint": ["/program"], "User": "65532"}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    os.utime(path, (1, 1))
    return path


def read(archive: Path) -> tuple[dict[str, Any], dict[str, Any], list[bytes]]:
    """Read an image like a container engine: the index, the config, and the layers."""
    with tarfile.open(archive) as tar:
        contents = {member.name: extract(tar, member) for member in tar}
    (index,) = json.loads(contents["manifest.json"])
    return index, json.loads(contents[index["Config"]]), [contents[name] for name in index["Layers"]]


def extract(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file
    return file.read()


def test_an_archive_follows_the_image_specification(tmp_path: Path, program: Path) -> None:
    layers = [tmp_path / "1.tar", tmp_path / "2.tar"]
    write_layer(layers[0], {"program": program})
    write_layer(layers[1], {"etc/other": program})
    write_archive(tmp_path / "image.tar", "registry.example/a/b:1.2", CONFIG, layers)
    index, config, contents = read(tmp_path / "image.tar")
    assert index["RepoTags"] == ["registry.example/a/b:1.2"]
    assert contents == [layer.read_bytes() for layer in layers]
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in contents
    ]
    assert config["config"] == CONFIG
    assert (config["os"], config["architecture"]) == ("linux", "amd64")


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, program: Path) -> None:
    written = []
    for age in (100, 200):
        os.utime(program, (age, age))
        write_layer(tmp_path / "layer.tar", {"b": program, "a": program})
        write_archive(tmp_path / "image.tar", "x:1", CONFIG, [tmp_path / "layer.tar"])
        written.append((tmp_path / "image.tar").read_bytes())
        os.link(program, tmp_path / f"linked-{age}")  # the cache may do this at any time
    assert written[0] == written[1]


def test_files_keep_their_mode_and_belong_to_root(tmp_path: Path, program: Path) -> None:
    write_layer(tmp_path / "layer.tar", {"usr/bin/program": program})
    with tarfile.open(tmp_path / "layer.tar") as tar:
        (member,) = tar.getmembers()
    assert (member.name, member.mode, member.uid, member.mtime) == ("usr/bin/program", 0o755, 0, 0)


def test_a_tree_keeps_links_and_omits_mount_points(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for directory in ("usr/bin", "dev", "proc/1"):
        (tree / directory).mkdir(parents=True)
    (tree / "usr/bin/sh").write_text("sh")
    (tree / "bin").symlink_to("usr/bin")
    (tree / "dev/null").write_text("a device")
    write_tree_layer(tmp_path / "layer.tar", tree)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        members = {member.name: member for member in tar}
    assert sorted(members) == ["bin", "dev", "proc", "usr", "usr/bin", "usr/bin/sh"]
    assert members["bin"].linkname == "usr/bin"
