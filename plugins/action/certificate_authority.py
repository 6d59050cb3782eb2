"""Runs `homeserver.stack.certificate_authority` on the control machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.authority import Authority
from ansible_collections.homeserver.stack.plugins.plugin_utils.authority_action import AuthorityAction

_STATES = {"present": Authority.create, "absent": Authority.remove}
_STEPS = {
    "begin": Authority.begin,
    "switch": Authority.switch,
    "drop": Authority.drop,
    "end": Authority.end,
}


class ActionModule(AuthorityAction):
    """Create, remove or replace the authority."""

    SPEC: ClassVar = {
        "argument_spec": {
            "state": {"type": "str", "choices": [*_STATES]},
            "step": {"type": "str", "choices": [*_STEPS]},
        },
        "mutually_exclusive": [["state", "step"]],
        "required_one_of": [["state", "step"]],
    }

    def act(self, authority: Authority, arguments: dict[str, Any]) -> bool:
        """Apply the option `state` or `step`."""
        return (_STATES | _STEPS)[arguments["state"] or arguments["step"]](authority)
