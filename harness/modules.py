"""Runs modules in this process, as Ansible does on a host."""

import json
from types import ModuleType
from typing import Any
from unittest import mock

from ansible.module_utils import basic


class Failed(Exception):  # noqa: N818 # it is what a module says, not an error of a test
    """A module failed with this message."""


class _Done(Exception):  # noqa: N818
    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result


def run(module: ModuleType, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run a module with these arguments, and return its result.

    Raises:
        Failed: the module failed.
    """
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check}})
    with (
        mock.patch.object(basic, "_ANSIBLE_ARGS", given.encode()),
        mock.patch.object(basic, "_ANSIBLE_PROFILE", "legacy"),
        mock.patch.object(basic.AnsibleModule, "exit_json", _exit),
        mock.patch.object(basic.AnsibleModule, "fail_json", _fail),
    ):
        try:
            module.main()
        except _Done as done:
            return done.result
    raise AssertionError(f"{module.__name__} did not end")


def _exit(_module: basic.AnsibleModule, **result: Any) -> None:
    raise _Done(result)


def _fail(_module: basic.AnsibleModule, msg: str, **_result: Any) -> None:
    raise Failed(msg)
