"""The module snap."""

from __future__ import annotations

DOCUMENTATION = """
module: snap
short_description: Runs snap without showing keys
description:
  - Runs C(snap) and waits for it. If a hook of a snap fails, snapd prints its trace, which may contain keys.
    The message does not include them.
options:
  arguments:
    type: list
    elements: str
    required: true
    description: The arguments of C(snap).
  timeout:
    type: int
    default: 900
    description: Maximum seconds to wait.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It does nothing and reports a change.
"""

EXAMPLES = """
- homeserver.stack.snap:
    arguments: [install, microk8s, --classic]
"""

RETURN = """
"""

import re
import subprocess

from ansible.module_utils.basic import AnsibleModule

_PEM = re.compile(r"-----BEGIN [^-]*KEY-----.*?(-----END [^-]*KEY-----|\Z)", re.DOTALL)
# Base64 as in a key, or hexadecimal digits as in a token. A long path has no capital letter.
_KEY = re.compile(r"(?=[a-z0-9+/]*[A-Z])[A-Za-z0-9+/]{40,}=*|\b[0-9a-f]{32,}\b")
_HIDDEN = "(hidden)"
_LINES = 20


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "arguments": {"type": "list", "elements": "str", "required": True},
            "timeout": {"type": "int", "default": 900},
        },
        supports_check_mode=True,
    )
    if not module.check_mode and (failure := _run(module.params["arguments"], module.params["timeout"])):
        module.fail_json(msg=failure)
    module.exit_json(changed=True)


def _run(arguments: list[str], timeout: int) -> str:
    """Run snap; return why it failed, or an empty text."""
    command = ["snap", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} takes more than {timeout} s -> on the host: snap changes"
    return (
        f"{' '.join(command)} failed:\n{without_keys(done.stderr or done.stdout)}" if done.returncode else ""
    )


def without_keys(text: str) -> str:
    """Return the last lines of a program's output without possible keys and tokens."""
    lines = _KEY.sub(_HIDDEN, _PEM.sub(_HIDDEN, text)).strip().splitlines()
    return "\n".join(lines[-_LINES:])


if __name__ == "__main__":
    main()
