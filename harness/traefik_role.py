"""Traefik's variables and manifests."""

import base64
from pathlib import Path
from typing import Any

from harness import rendering
from harness.rendering import Object


class Role(rendering.Role):
    """The role, for a home with some variables."""

    def __init__(self, state: Path, **variables: Any) -> None:
        super().__init__("traefik", state, **variables)

    def manifests(self) -> list[Object]:
        """Render all templates."""
        return self.objects()


def render(state: Path, **variables: Any) -> list[Object]:
    """Render all templates for a home with these variables."""
    return Role(state, **variables).manifests()


def behind_files(objects: list[Object], app: str) -> Object:
    """Return routes and middlewares as Traefik reads them from a file, where there is no cluster.

    Every service of the cluster is the app at this URL.
    """
    secrets = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "Secret"}
    middlewares = {
        each["metadata"]["name"]: _middleware(each["spec"], secrets)
        for each in objects
        if each["kind"] == "Middleware"
    }
    routers = {
        f"{each['metadata']['name']}-{number}": _router(each["spec"]["entryPoints"], rule)
        for each in objects
        if each["kind"] == "IngressRoute"
        for number, rule in enumerate(each["spec"]["routes"])
    }
    services = {"app": {"loadBalancer": {"servers": [{"url": app}]}}}
    options = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "TLSOption"}
    return {
        "http": {"routers": routers, "middlewares": middlewares, "services": services},
        "tls": {"options": options},
    }


def _middleware(spec: Object, secrets: dict[str, Object]) -> Object:
    ((kind, options),) = spec.items()
    if kind == "chain":
        return {"chain": {"middlewares": [each["name"] for each in options["middlewares"]]}}
    if kind == "basicAuth":
        users = base64.b64decode(secrets[options["secret"]]["users"]).decode().split()
        return {"basicAuth": {"users": users, "realm": options["realm"], "removeHeader": True}}
    return spec


def _router(entry_points: list[str], rule: Object) -> Object:
    (service,) = rule["services"]
    return {
        "entryPoints": entry_points,
        "rule": rule["match"],
        "middlewares": [each["name"] for each in rule.get("middlewares", [])],
        "service": service["name"] if service.get("kind") == "TraefikService" else "app",
    }
