"""The module microk8s_join."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_join
short_description: Makes a host a worker of a cluster
description:
  - Does the same as C(microk8s join --worker). That command would show the token to all users of the host,
    and leave it in the log of C(sudo), which MicroK8s calls. This module passes it to the program as input.
options:
  url:
    type: str
    required: true
    description: Address, port, token and fingerprint, as C(microk8s add-node) on the founder returns them.
  timeout:
    type: int
    default: 600
    description: Maximum seconds to wait.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It does nothing and reports a change.
"""

EXAMPLES = """
- homeserver.stack.microk8s_join:
    url: "{{ token.urls | first }}"
  no_log: true
"""

RETURN = """
"""

import os
import re
import signal
import subprocess

from ansible.module_utils.basic import AnsibleModule

# Like the command itself, in the environment of its snap, but with arguments that no other user can see.
_SCRIPT = """
set -e
source "$SNAP/actions/common/utils.sh"
use_snap_env
exec python3 -c '
import os, runpy, sys
script = sys.argv[1]
sys.path[0] = os.path.dirname(script)
sys.argv = [script, sys.stdin.readline().strip(), "--worker"]
runpy.run_path(script, run_name="__main__")
' "$SNAP/scripts/wrappers/join.py"
"""
_COMMAND = ["snap", "run", "--shell", "microk8s.join", "-c", _SCRIPT]
_TOKEN = re.compile(r"\b[0-9a-f]{12,}\b")
_LINES = 6
_CAUSES = {
    1: "does the founder's port 25000 answer from here?",
    4: "another machine answers at the founder's address, or its certificate is new: run this again",
    6: "the token was used or withdrawn meanwhile: run this again",
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {"url": {"required": True, "no_log": True}, "timeout": {"type": "int", "default": 600}},
        supports_check_mode=True,
    )
    if not module.check_mode and (failure := _join(module.params["url"], module.params["timeout"])):
        module.fail_json(msg=failure)
    module.exit_json(changed=True)


def _join(url: str, timeout: int) -> str:
    """Join; return why it failed, or an empty text."""
    with subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as running:
        try:
            said, _ = running.communicate(f"{url}\n", timeout)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            return f"joining takes more than {timeout} s (microk8s_join_timeout_seconds) -> run this again"
    if running.returncode == 0:
        return ""
    code = running.returncode
    ended = f"failed with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
    cause = _CAUSES.get(code, "run this again; if it fails again: sudo microk8s inspect")
    return f"joining {ended}: {without_tokens(said)} -> {cause}"


def without_tokens(text: str) -> str:
    """Return the last lines of a program's output without tokens, fingerprints and the lines of a trace."""
    lines = [line for line in _TOKEN.sub("(hidden)", text).splitlines() if line[:1].strip()]
    return " ".join(lines[-_LINES:])


if __name__ == "__main__":
    main()
