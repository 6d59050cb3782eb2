"""Translates the image of a service, or the directory that it is built from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..preflight.formats import fits
from ..registry.image_reference import parse
from . import loading
from .errors import Remarks
from .project import Project, Service

Entry = dict[str, Any]
_SPECIAL = ("dockerfile_inline", "args", "target", "additional_contexts")


def image(project: Project, key: str, service: Service, remarks: Remarks) -> Entry:
    """Return the keys of an entry about its image."""
    name, build = service.get("image", ""), service.get("build")
    if build is None:
        if not name or not fits("image", name):
            fix = "set image to one such as docker.io/library/nginx:1"
            remarks.refuse(key, "image", f"{name!r} is not the name of an image -> {fix}")
        return {"image": parse(name).full if name else name}
    long = build if isinstance(build, dict) else {"context": build}
    found, wrong = _remote(long) if _is_remote(long) else _local(project.directory, long)
    if found:
        return found
    if "/" in name and fits("image", name):
        remarks.change(
            key, "build", f"the image {name} is pulled, and not built: {wrong.partition(' -> ')[0]}"
        )
        return {"image": parse(name).full}
    remarks.refuse(key, "build", wrong)
    return {}


def _is_remote(build: dict[str, Any]) -> bool:
    return bool(re.match(r"[a-z+]+://|git@", build.get("context", "")))


def _remote(build: dict[str, Any]) -> tuple[Entry, str]:
    """Return a git repository, or the reason why it cannot be built."""
    context = build["context"]
    url, _, place = context.partition("#")
    ref, _, inner = place.partition(":")
    if _is_special(build):
        return {}, _unusual()
    if not re.fullmatch(r"[^\s-]\S*", ref):
        return {}, f"{context} names no branch -> add it, as in https://git.example.org/app.git#main"
    directory = inner.strip("/")
    return {"git": {"url": url, "ref": ref} | ({"directory": directory} if directory else {})}, ""


def _local(base: Path, build: dict[str, Any]) -> tuple[Entry, str]:
    """Return a directory, or the reason why it cannot be built."""
    directory = base / build.get("context", ".")
    if _is_special(build):
        return {}, _unusual()
    if not loading.is_file(directory / "Dockerfile"):
        return {}, f"{directory} has no Dockerfile -> copy the directory beside the compose file"
    return {"source": str(directory.resolve())}, ""


def _is_special(build: dict[str, Any]) -> bool:
    usual = build.get("dockerfile", "Dockerfile") in ("Dockerfile", "./Dockerfile")
    return not usual or any(build.get(key) for key in _SPECIAL)


def _unusual() -> str:
    fix = "build the image yourself, push it to a registry, and set image"
    return f"only a file Dockerfile is built, without arguments -> {fix}"
