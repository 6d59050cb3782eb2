"""Runs `ansible-playbook` without loading Ansible each time, which takes a second of a processor.

What runs is Ansible's own command, in a new process each time: a copy of one that has only loaded it.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from harness import ROOT


def play(*arguments: str, directory: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `ansible-playbook`, and return its output and exit code.

    Args:
        arguments: Its arguments.
        directory: Its working directory.
        environment: Variables besides those of this process.
    """
    variables = dict(os.environ) | {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "2000"} | environment
    # Ansible reads its own variables while it is loaded.
    server = _server(tuple(sorted(item for item in variables.items() if item[0].startswith("ANSIBLE_"))))
    with tempfile.TemporaryDirectory() as place:
        output, errors = Path(place) / "output", Path(place) / "errors"
        request = [arguments, str(directory), variables, str(output), str(errors)]
        assert server.stdin
        assert server.stdout
        server.stdin.write(f"{json.dumps(request)}\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, status, output.read_text(), errors.read_text())


@cache
def _server(settings: tuple[tuple[str, str], ...]) -> subprocess.Popen[str]:
    """Start a process that has loaded Ansible with these variables; it ends with this one."""
    # This Ansible knows the collection already.
    warning = "ignore:AnsibleCollectionFinder has already been configured"
    return subprocess.Popen(
        [sys.executable, "-W", warning, "-m", "harness.playbook_server"],
        cwd=ROOT,
        env=os.environ | dict(settings),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
