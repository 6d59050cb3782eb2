"""Runs `homeserver.stack.certificate` on the control machine."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.authority import Authority
from ansible_collections.homeserver.stack.plugins.plugin_utils.authority_action import AuthorityAction


class ActionModule(AuthorityAction):
    """Issue a certificate."""

    SPEC: ClassVar = {
        "argument_spec": {
            "dns_names": {"type": "list", "elements": "str", "required": True},
            "for_clients": {"type": "bool", "default": False},
            "name": {"type": "str", "required": True},
        }
    }

    def act(self, authority: Authority, arguments: dict[str, Any]) -> bool:
        """Issue the certificate, unless the existing one can stay."""
        return authority.issue(
            arguments["name"], arguments["dns_names"], for_clients=arguments["for_clients"]
        )
