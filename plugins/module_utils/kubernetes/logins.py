"""Lets pods pull images from registries that require a login."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..registry.image_reference import (
    DOCKER_HUB,
    parse,
)
from .objects import Object

Login = Mapping[str, str]
"""A `registry` with its `username` and `password`."""

_KEYS = {DOCKER_HUB: "https://index.docker.io/v1/"}
"""Names of registries in a Docker configuration, if different."""


def with_pull_secrets(application: str, objects: Iterable[Object], logins: Iterable[Login]) -> list[Object]:
    """Return the objects, with a Secret for each namespace in which an image needs a login.

    Args:
        application: part of the Secrets' names, because several applications can share a namespace.
        objects: all objects. Their pods get the name of the Secret.
        logins: all logins; a Secret contains those that its namespace needs.
    """
    known = {login["registry"]: login for login in logins}
    name = f"{application.replace('_', '-')}-registry-logins"
    given = list(objects)
    needed: dict[str, set[str]] = {}
    for obj in given:
        for pod in _pods(obj):
            registries = {parse(image).place[0] for image in _images(pod)} & known.keys()
            if registries:
                pod["imagePullSecrets"] = [{"name": name}]
                needed.setdefault(obj["metadata"]["namespace"], set()).update(registries)
    return [*given, *(_secret(name, namespace, known, needed[namespace]) for namespace in sorted(needed))]


def _pods(node: Any) -> Iterator[Object]:
    """Find the pod specs in an object: everything with containers."""
    if isinstance(node, dict):
        if isinstance(node.get("containers"), list):
            yield node
        for value in node.values():
            yield from _pods(value)


def _images(pod: Object) -> Iterator[str]:
    for container in pod["containers"] + pod.get("initContainers", []):
        yield container["image"]


def _secret(name: str, namespace: str, known: Mapping[str, Login], registries: Iterable[str]) -> Object:
    auths = {_KEYS.get(registry, registry): _auth(known[registry]) for registry in sorted(registries)}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": json.dumps({"auths": auths})},
    }


def _auth(login: Login) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()}
