"""The action plugin host_probe: the module's result, also for a host on which no module can run."""

from __future__ import annotations

import time
from typing import Any

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

_CAUSES = (
    ("password is required", "needs a password for sudo -> add --ask-become-pass to the command"),
    (
        "incorrect sudo password",
        "refuses the password given for sudo -> type the right one at --ask-become-pass",
    ),
    ("not in the sudoers", "does not let {user} become root -> add the user to the group sudo there"),
    ("interpreter", "has no Python 3 -> on the host: apt install python3"),
)


class ActionModule(ActionBase):
    """Look at a host, whatever state it is in."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; a host it cannot run on is a result too."""
        super().run(tmp, task_vars)
        user = (task_vars or {}).get("ansible_user", "the user")
        before = time.time()
        try:
            result: dict[str, Any] = self._execute_module("homeserver.stack.host_probe", task_vars=task_vars)
        except AnsibleAuthenticationFailure as error:
            return {
                "unfit": f"refuses the login -> give {user} an ssh key there (ssh-copy-id): {_short(error)}"
            }
        except AnsibleConnectionFailure as error:
            return {"unfit": f"cannot be reached -> is it on, is ansible_host its address?: {_short(error)}"}
        if "host" in result:
            return {"unfit": "", "host": result["host"] | {"clock_skew": _skew(result["host"], before)}}
        return {"unfit": _cause(result).format(user=user)}


def _skew(host: dict[str, Any], before: float) -> float:
    """How many seconds a host's clock is ahead of this machine's, beyond what the question took."""
    theirs = float(host["time"])
    return max(theirs - time.time(), 0) + min(theirs - before, 0)


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def _cause(result: dict[str, Any]) -> str:
    said = " ".join(str(result.get(key, "")) for key in ("module_stderr", "module_stdout", "msg")).strip()
    known = (cause for sign, cause in _CAUSES if sign in said.lower())
    return next(known, f"cannot be looked at: {said}")
