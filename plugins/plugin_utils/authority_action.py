"""The base of the action plugins that use the home's certificate authority."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.homeserver.stack.plugins.module_utils.authority import Authority, AuthorityError

from .role_defaults import role_defaults


class AuthorityAction(ActionBase):
    """An action that runs on the control machine only, where the authority is.

    So its tasks need no delegation.
    """

    SPEC: ClassVar[dict[str, Any]]
    """The options of the action, as the keyword arguments of `validate_argument_spec`."""

    _supports_check_mode = True
    _requires_connection = False

    @abstractmethod
    def act(self, authority: Authority, arguments: dict[str, Any]) -> bool:
        """Do the work, and return whether something changed."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the arguments and act."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(**self.SPEC)
        try:
            authority = authority_of(self._templar, task_vars or {}, dry_run=self._task.check_mode)
            return result | {"changed": self.act(authority, arguments)}
        except (AuthorityError, OSError) as error:
            return result | {"failed": True, "msg": told(error)}


def told(error: AuthorityError | OSError) -> str:
    """Return the message of an error of the authority or of its files."""
    if isinstance(error, AuthorityError):
        return str(error)
    file = error.filename or "a file of the authority"
    return f"{file} cannot be read or written: {error.strerror} -> let the user of the control machine do so"


def authority_of(templar: Templar, task_vars: Mapping[str, Any], *, dry_run: bool) -> Authority:
    """Return the home's authority, from the options of its role, which need not be part of the play.

    They are not arguments of the action, because a result would show the passphrase.
    """
    variables = role_defaults("certificate_authority") | dict(task_vars)
    known = templar.copy_with_new_env(available_variables=variables)
    return Authority.of(lambda name: known.template(variables[name]), dry_run=dry_run)
