"""The base of the action plugins that apply an application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.application import (
    Application,
    Outcome,
    without_cluster,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import UnreachableError
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.logins import with_pull_secrets
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import Object, read
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.upgrade import Copier
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import ClusterAction
from ansible_collections.homeserver.stack.plugins.plugin_utils.rendering import render


class Wanted(NamedTuple):
    """The wanted state of an application."""

    application: str
    """Its name, which is a label of its objects."""
    state: str
    """`present` or `absent`."""
    timeout: int
    """Seconds for all waiting together, without the time to pull images."""
    volumes: str | None = None
    """`keep` or `delete`; by default the former of an application that is present."""
    partial: bool = False
    """Whether the objects are only some of those that it has."""
    copier: Copier | None = None
    """What copies its volumes before an upgrade."""
    prove: Callable[[bool], None] = lambda _changed: None
    """Raises ApplicationError if it does not work; gets whether anything changed."""


class ApplyAction(ClusterAction):
    """An action that renders manifests and applies them, or deletes an application."""

    def apply(
        self, wanted: Wanted, objects: Iterable[Object], kubeconfig: str, task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        """Apply the objects, and return what to add to the task's result."""
        complete = with_pull_secrets(wanted.application, objects, self.logins(task_vars))
        outcome, warnings = self._carry_out(wanted, complete, kubeconfig)
        for workload, seconds in outcome.away.items():
            self._display.display(f"{workload} was away for {seconds:.0f} s")
        result = {
            "away": outcome.away,
            "created": outcome.created,
            "updated": outcome.updated,
            "deleted": outcome.deleted,
            "changed": bool(outcome.created or outcome.updated or outcome.deleted),
            "warnings": warnings,
        }
        return result | ({"diff": outcome.diff} if self._task.diff else {})

    def _carry_out(self, wanted: Wanted, objects: list[Object], kubeconfig: str) -> tuple[Outcome, list[str]]:
        """Apply or delete the application; in check mode the cluster need not exist yet."""
        name = str(wanted.application)  # without Ansible's tags, which YAML cannot represent
        present = wanted.state == "present"
        check_mode = self._task.check_mode
        try:
            cluster = self.connect(kubeconfig)
        except UnreachableError as error:
            if not check_mode:
                raise
            outcome = without_cluster(name, objects) if present else Outcome()
            return outcome, [f"{name}: rendered, but not checked by Kubernetes: {error}"]
        say = self._display.display
        application = Application(
            cluster, name, timeout=wanted.timeout, check_mode=check_mode, say=say, copier=wanted.copier
        )
        if present:
            delete_volumes = wanted.volumes == "delete"
            application.present(
                objects, partial=wanted.partial, delete_volumes=delete_volumes, prove=wanted.prove
            )
        else:
            application.absent(delete_volumes=wanted.volumes != "keep")
        return application.outcome, cluster.warnings

    def read_file(self, name: str) -> list[Object]:
        """Read a manifest, found like the files of a role.

        Raises:
            ManifestError: it contains something other than Kubernetes objects.
            AnsibleError: it is not found.
        """
        return list(read(Path(self._find_needle("files", name)).read_text(), name))

    def render(self, name: str, task_vars: dict[str, Any]) -> list[Object]:
        """Render a template of manifests, found like the templates of a role.

        Raises:
            ManifestError: it renders something other than Kubernetes objects.
            AnsibleError: it is not found, or cannot be rendered.
        """
        text = render(self._templar, self._loader, self._find_needle("templates", name), task_vars)
        return list(read(text, name))
