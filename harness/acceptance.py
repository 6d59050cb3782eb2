"""Whether a real API server accepts the objects of apps, with the Pod Security of their namespaces."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from harness.api_server import ApiServer, api_server
from harness.manifests import SCHEDULED, WORKLOADS, Object, name_of, of, template_of
from harness.programs import traefik_crds
from harness.rendering import Role


class Acceptance:
    """An API server with the kinds of a home."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._path = cache(self._find_path)
        for crd in yaml.safe_load_all(traefik_crds().read_text()):
            answer = server.apply(f"{_CRDS}/{crd['metadata']['name']}", crd)
            assert answer.ok, answer.text
        for crd in server.get(_CRDS)["items"]:
            group, version = crd["spec"]["group"], crd["spec"]["versions"][0]["name"]
            server.wait_for(f"/apis/{group}/{version}/{crd['spec']['names']['plural']}")

    def refusals(self, objects: Sequence[Object]) -> list[str]:
        """Return why it refuses objects, or pods of their workloads. Only namespaces are really created."""
        found = []
        for obj in sorted(objects, key=lambda each: each["kind"] != "Namespace"):
            path = self._path(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace", ""))
            is_dry = obj["kind"] != "Namespace"
            answer = self._server.apply(f"{path}/{obj['metadata']['name']}", obj, dry=is_dry)
            if not answer.ok:
                found.append(f"{name_of(obj)}: {answer.json()['message']}")
        for workload in of(list(objects), *WORKLOADS, *SCHEDULED):
            template, namespace = template_of(workload), workload["metadata"]["namespace"]
            metadata = {**template["metadata"], "name": workload["metadata"]["name"]}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            answer = self._server.create(self._path("v1", "Pod", namespace), pod, "admin", dry=True)
            if not answer.ok:
                found.append(f"a pod of {name_of(workload)}: {answer.json()['message']}")
        return found

    def _find_path(self, version: str, kind: str, namespace: str) -> str:
        """Return the path of a kind's objects."""
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        (plural,) = (
            each["name"]
            for each in self._server.get(root)["resources"]
            if each["kind"] == kind and "/" not in each["name"]
        )
        return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@contextmanager
def acceptance(directory: Path) -> Iterator[Acceptance]:
    """Run an API server until the block ends, with all its files in a directory."""
    with api_server(directory, {}) as server:
        yield Acceptance(server)


def objects_of(
    apps: Sequence[Mapping[str, Any]], state: Path, directories: Sequence[str] = ()
) -> list[Object]:
    """Return the objects of entries of the option apps.

    Args:
        apps: the entries.
        state: a directory for passwords.
        directories: the directories of the server that they may use.
    """
    role = Role(
        "apps",
        state,
        apps=list(apps),
        _apps_places=dict.fromkeys(directories, "home"),
        homeserver_built_images=dict.fromkeys(
            [*(each.get("name") for each in apps), "homeserver-devices"], "localhost/built:1"
        ),
    )
    return role.objects()
