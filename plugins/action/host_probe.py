"""Runs `homeserver.stack.host_probe`, and returns a result for hosts on which no module can run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

_SUDO_GROUP = "on the host: adduser {user} sudo"
_CAUSES = (
    ("missing sudo password", "wants a password for sudo", "add --ask-become-pass to the command"),
    ("password is required", "wants a password for sudo", "add --ask-become-pass to the command"),
    ("incorrect sudo password", "refuses the password for sudo", "enter the right one at --ask-become-pass"),
    ("not in the sudoers", "does not let {user} become root", _SUDO_GROUP),
    ("not allowed to execute", "does not let {user} become root", _SUDO_GROUP),
    ("become is off", "lets {user} in, but not as root", "remove ansible_become: false from the inventory"),
    ("permission denied (", "refuses the login of {user}", "give {user} an ssh key there: ssh-copy-id"),
    ("identification has changed", "has a different ssh key than before", "if you know why: ssh-keygen -R"),
    ("host key verification failed", "is not known to ssh here yet", "log in to it once by hand"),
    ("interpreter", "has no Python 3", "on the host: apt install python3"),
    ("connect to", "cannot be reached", "is it on, is ansible_host its address?"),
)


class ActionModule(ActionBase):
    """Probe a host in any state."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; if it cannot run, return that as the result."""
        super().run(tmp, task_vars)
        user = str((task_vars or {}).get("ansible_user", "the user"))
        try:
            result: dict[str, Any] = self._execute_module("homeserver.stack.host_probe", task_vars=task_vars)
        except AnsibleError as error:
            return {"unfit": why_unfit(str(error), user)}
        if "host" in result:
            host = result["host"] | {"clock_skew": self._clock_skew()}
            return {"unfit": {}, "host": host, "ansible_facts": _facts(host)}
        said = (str(result.get(key, "")) for key in ("module_stderr", "module_stdout", "msg"))
        return {"unfit": why_unfit("\n".join(said), user)}

    def _clock_skew(self) -> float:
        """Ask a host only for its time, which is fast."""
        before = time.time()
        told = self._low_level_execute_command("date +%s.%N", sudoable=False)["stdout"]
        return skew(float(told.strip()), before, time.time())


def _facts(host: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that roles would otherwise get from the module setup, with its names."""
    return {"architecture": host["machine"], "default_ipv4": {"gateway": host["gateway"]}}


def why_unfit(said: str, user: str) -> dict[str, str]:
    """Return the problem (`wrong`) with a host on which no module runs, and the `fix`, from its output."""
    last = said.strip().splitlines()[-1] if said.strip() else "no answer"
    for sign, wrong, fix in _CAUSES:
        if sign in said.lower():
            return {"wrong": f"{wrong.format(user=user)}: {last}", "fix": fix.format(user=user)}
    return {"wrong": f"it cannot be examined: {said.strip()}", "fix": "try: ansible all -m ping"}


def skew(theirs: float, before: float, after: float) -> float:
    """Return the minimum deviation of a clock in seconds. Ours was read before and after it."""
    return max(theirs - after, 0) + min(theirs - before, 0)
