"""Writes container images without a container engine.

The archive has the format of `docker save`, which containerd, buildah, podman and docker all read. The same
content always gives the same bytes: names are sorted, times are omitted.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from lab.cache import sha256

_EPOCH = "1970-01-01T00:00:00Z"
# A container runtime mounts its own files here, and some reject device files in a layer.
_MOUNTED_OVER = {"dev", "proc", "sys", "run"}


def write_archive(archive: Path, reference: str, config: Mapping[str, object], layers: list[Path]) -> None:
    """Write an image to `archive`.

    Args:
        archive: The tar file to write.
        reference: The image's full name and tag.
        config: The `config` object of the image specification: Entrypoint, Env, User, Labels and so on.
        layers: Uncompressed tar files, lowest first.
    """
    digests = [sha256(layer) for layer in layers]
    description = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _EPOCH,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            "history": [{"created": _EPOCH, "created_by": "homeserver lab"} for _ in layers],
        },
        sort_keys=True,
    ).encode()
    name = f"{hashlib.sha256(description).hexdigest()}.json"
    names = [f"{digest}/layer.tar" for digest in digests]
    index = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": names}]).encode()
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
        _add_bytes(tar, "manifest.json", index)
        _add_bytes(tar, name, description)
        for layer_name, layer in zip(names, layers, strict=True):
            _add(tar, tar.gettarinfo(layer, layer_name), layer)


def write_layer(layer: Path, files: Mapping[str, Path]) -> None:
    """Write a layer with these files, by their path in the image, with their modes and owned by root."""
    # Without `dereference`, hard-linked files could become links here.
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT, dereference=True) as tar:
        for name, source in sorted(files.items()):
            member = tar.gettarinfo(source, name)
            member.uid = member.gid = 0
            _add(tar, member, source)


def write_tree_layer(layer: Path, tree: Path) -> None:
    """Write a layer with a whole directory, and keep its owners, modes and links."""
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _walk(tree):
            _add(tar, tar.gettarinfo(path, path.relative_to(tree).as_posix()), path)


def _walk(tree: Path) -> Iterator[Path]:
    for path in sorted(tree.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink() and path.name not in _MOUNTED_OVER:
            yield from sorted(path.rglob("*"))


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _add(tar: tarfile.TarFile, member: tarfile.TarInfo, source: Path) -> None:
    member.mtime = 0
    member.uname = member.gname = ""
    if member.isreg():
        with source.open("rb") as file:
            tar.addfile(member, file)
    else:
        tar.addfile(member)
