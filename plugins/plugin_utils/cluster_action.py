"""The base of the action plugins that work on the cluster."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    ApiError,
    Cluster,
    UnreachableError,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.jobs import JobFailedError
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.logins import Login
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import ManifestError
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError

Arguments = dict[str, Any]


class ClusterAction(ActionBase):
    """An action that only runs on the control machine: no Secret gets into a file or a log of a host.

    So its tasks need no delegation.
    """

    ARGUMENTS: ClassVar[dict[str, Arguments]]
    """The options of the action, besides `kubeconfig`."""
    SKIPPED_IN_CHECK_MODE: ClassVar[bool] = False
    """Whether a dry run does nothing."""

    _cluster: Cluster | None = None

    _supports_check_mode = True
    _requires_connection = False

    @abstractmethod
    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do the work, and return what to add to the task's result."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the arguments and act; an error from the cluster fails the task with its message."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec({"kubeconfig": {"type": "path"}, **self.ARGUMENTS})
        if self._task.check_mode and self.SKIPPED_IN_CHECK_MODE:
            return result
        try:
            arguments["kubeconfig"] = arguments["kubeconfig"] or self._homes_kubeconfig(task_vars or {})
            return result | self.act(arguments, task_vars or {})
        except (ApiError, ApplicationError, JobFailedError, ManifestError, UnreachableError) as error:
            return result | {"failed": True, "msg": str(error)}

    def _homes_kubeconfig(self, task_vars: dict[str, Any]) -> str:
        return str(self._templar.template(task_vars["homeserver_kubeconfig"]))

    def logins(self, task_vars: dict[str, Any]) -> list[Login]:
        """Return homeserver_registry_logins.

        It is not an argument: a missing one would only be noticed with a private image.
        """
        logins: list[Login] = self._templar.template(task_vars.get("homeserver_registry_logins", []))
        return logins

    def connect(self, kubeconfig: str) -> Cluster:
        """Connect to the cluster once. A dry run does not wait, because the cluster may not exist yet."""
        if not self._cluster:
            self._cluster = Cluster(kubeconfig, patient=not self._task.check_mode)
        return self._cluster
