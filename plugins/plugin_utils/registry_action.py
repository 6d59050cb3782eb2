"""The base of the action plugins that ask registries of images."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils.registry.client import Registries
from ansible_collections.homeserver.stack.plugins.module_utils.registry.downloads import Web

Arguments = dict[str, Any]


class RegistryAction(ActionBase):
    """An action that only runs on the control machine, so hosts need no internet."""

    ARGUMENTS: ClassVar[dict[str, Arguments]]
    """The options of the action, besides `mirrors`."""

    _supports_check_mode = True
    _requires_connection = False

    @abstractmethod
    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do the work, and return what to add to the task's result."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the arguments and act."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {"mirrors": {"type": "dict", "default": {}}, **self.ARGUMENTS}
        )
        return result | self.act(arguments, task_vars or {})

    def registries(self, web: Web, arguments: Arguments, task_vars: dict[str, Any]) -> Registries:
        """Return a client for all registries, with the owner's mirrors and logins."""
        # Logins are not an argument, because a result would show them.
        logins = self._templar.template(task_vars.get("homeserver_registry_logins", []))
        return Registries(web, arguments["mirrors"], logins)
