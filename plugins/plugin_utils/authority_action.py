"""The base of the action plugins that use the home's certificate authority."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils.authority import Authority, AuthorityError

_DEFAULTS = Path(__file__).parents[2] / "roles/certificate_authority/defaults/main.yml"


class AuthorityAction(ActionBase):
    """An action that runs on the control machine only, where the authority is.

    So its tasks need no delegation.
    """

    SPEC: ClassVar[dict[str, Any]]
    """What the action takes, as the keyword arguments of `validate_argument_spec`."""

    _supports_check_mode = True
    _requires_connection = False

    @abstractmethod
    def act(self, authority: Authority, arguments: dict[str, Any]) -> bool:
        """Do the work, and tell whether there was any."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the arguments and act."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(**self.SPEC)
        try:
            return result | {"changed": self.act(self._authority(task_vars or {}), arguments)}
        except AuthorityError as error:
            return result | {"failed": True, "msg": str(error)}
        except OSError as error:
            wrong = (
                f"{error.filename or 'a file of the authority'} cannot be read or written: {error.strerror}"
            )
            return result | {"failed": True, "msg": f"{wrong} -> let the user of the control machine do so"}

    def _authority(self, task_vars: dict[str, Any]) -> Authority:
        """Return the authority by the options of its role, which the role of the task need not have.

        They are no arguments: a result would show the passphrase.
        """
        variables = self._loader.load_from_file(str(_DEFAULTS), trusted_as_template=True) | task_vars
        templar = self._templar.copy_with_new_env(available_variables=variables)

        def option(name: str) -> Any:
            return templar.template(variables[name])

        return Authority.of(option, dry_run=self._task.check_mode)
