"""The module host_service."""

from __future__ import annotations

DOCUMENTATION = """
module: host_service
short_description: Installs systemd units with their files, or removes them
description:
  - Writes directories, files and units, and enables and starts units.
    They are restarted if a file or one of the units changed.
  - One call replaces a separate call for each file and each unit.
  - Root owns everything that it writes. When absent, units, files and directories are removed.
options:
  units:
    description: The units, in the order of their dependencies.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name, such as C(blinker.service), or C(ssh.service.d/blinker.conf) for a drop-in.
        type: str
        required: true
      content:
        description: Its content. Required if O(state=present).
        type: str
      run:
        description: Whether it is enabled and runs. False for the service of a timer, and for a drop-in.
        type: bool
        default: true
  directories:
    description: Modes of directories, such as C("0755"), by path.
    type: dict
    default: {}
  files:
    description: Files in addition to the units.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Its path.
        type: path
        required: true
      content:
        description: Its content, without secrets because differences are shown. Required if O(state=present).
        type: str
      mode:
        description: Its mode.
        type: str
        default: "0644"
      check:
        description: Command that validates the content in a file C(%s). If it fails, nothing is written.
        type: list
        elements: str
        default: []
  proof:
    description: Command that fails if a unit must be restarted although systemd considers it active.
    type: list
    elements: str
    default: []
  state:
    description: Whether units, directories and files exist.
    type: str
    choices: [present, absent]
    default: present
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It writes, starts and stops nothing, and reports whether it would.
  diff_mode:
    support: full
    description: It shows what changes in files and units.
"""

EXAMPLES = """
- homeserver.stack.host_service:
    units:
      - name: blinker.service
        content: |
          [Service]
          ExecStart=/usr/local/bin/blinker
          [Install]
          WantedBy=multi-user.target
    files:
      - path: /usr/local/bin/blinker
        content: "{{ lookup('ansible.builtin.file', 'blinker') }}"
        mode: "0755"
"""

RETURN = """
"""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_UNITS = Path("/etc/systemd/system")


class ServiceError(Exception):
    """Something cannot be done; the message says what and why."""


@dataclass
class Change:
    """The changes of a run, or of a dry run.

    Attributes:
        check: Whether this is a dry run.
        paths: The directories and files.
        diff: The contents before and after.
        done: The actions of systemd.
    """

    check: bool
    paths: list[Path] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def present(params: dict[str, Any], change: Change) -> None:
    """Write missing or different files, and start the units.

    Raises:
        ServiceError: a file is wrong, or systemd cannot run a unit.
    """
    for path, mode in params["directories"].items():
        _directory(Path(path), int(mode, 8), change)
    directories = len(change.paths)
    for each in params["files"]:
        _file(Path(each["path"]), each["content"], each, change)
    files = len(change.paths)
    for unit in params["units"]:
        _file(_UNITS / unit["name"], unit["content"], {"mode": "0644", "check": []}, change)
    if len(change.paths) > files:
        _act(change, "daemon-reload")
    # A changed directory does not require a restart.
    outdated = len(change.paths) > directories or not _succeeds(params["proof"])
    for unit in params["units"]:
        if unit["run"] and not (change.check and not (_UNITS / unit["name"]).exists()):
            _run_unit(unit["name"], change, outdated=outdated)


def _run_unit(name: str, change: Change, *, outdated: bool) -> None:
    state = _state(name)
    if state["UnitFileState"] != "enabled":
        _act(change, "enable", name)
    if state["ActiveState"] not in ("active", "activating"):
        _act(change, "start", name)
    elif outdated:
        _act(change, "restart", name)


def absent(params: dict[str, Any], change: Change) -> None:
    """Stop the units, and remove them with their files and directories.

    Raises:
        ServiceError: systemd cannot stop them.
    """
    there = [unit for unit in params["units"] if (_UNITS / unit["name"]).exists()]
    # Stop a timer before the service that it would start.
    for unit in sorted(there, key=lambda unit: not unit["run"]):
        if unit["run"]:
            _act(change, "disable", unit["name"])
        if not unit["name"].endswith(".conf"):  # a drop-in cannot be stopped
            _act(change, "stop", unit["name"])
    units = [_UNITS / unit["name"] for unit in there]
    files = [Path(each["path"]) for each in params["files"]]
    for path in (*units, *files, *map(Path, params["directories"])):
        if path.exists():
            change.paths.append(path)
            if not change.check:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    if there:
        _act(change, "daemon-reload")


def _directory(path: Path, mode: int, change: Change) -> None:
    if not path.is_dir():
        change.paths.append(path)
        if not change.check:
            path.mkdir(parents=True)
    if path.is_dir():
        _own(path, mode, change)


def _file(path: Path, content: str, options: dict[str, Any], change: Change) -> None:
    before = path.read_text() if path.is_file() else ""
    mode = int(options["mode"], 8)
    if content != before:
        if options["check"]:
            _check(content, options["check"])
        change.paths.append(path)
        change.diff.append(
            {"before": before, "after": content, "before_header": str(path), "after_header": str(path)}
        )
        if not change.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, content, mode)
    if path.is_file():
        _own(path, mode, change)


def _check(content: str, command: list[str]) -> None:
    """Let a command validate a content.

    Raises:
        ServiceError: the content is invalid.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".new") as file:
        file.write(content)
        file.flush()
        _run([part.replace("%s", file.name) for part in command])


def _write(path: Path, content: str, mode: int) -> None:
    """Write a file atomically."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(mode)
    Path(file.name).replace(path)


def _own(path: Path, mode: int, change: Change) -> None:
    """Give a path to root, with its mode."""
    found = path.stat()
    if (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, 0, mode):
        return
    if path not in change.paths:
        change.paths.append(path)
    if not change.check:
        os.chown(path, 0, 0)
        path.chmod(mode)


def _state(name: str) -> dict[str, str]:
    shown = _run(["systemctl", "show", "--property=ActiveState,UnitFileState", name])
    return dict(line.split("=", 1) for line in shown.splitlines())


def _act(change: Change, verb: str, *names: str) -> None:
    change.done.append(verb)
    if not change.check:
        _run(["systemctl", verb, *names])


def _succeeds(command: list[str]) -> bool:
    return not command or subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> str:
    """Run a command and return its output.

    Raises:
        ServiceError: it failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ServiceError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise ServiceError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def main() -> None:
    """Run the module."""
    file = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "mode": {"type": "str", "default": "0644"},
        "check": {"type": "list", "elements": "str", "default": []},
    }
    unit = {
        "name": {"type": "str", "required": True},
        "content": {"type": "str"},
        "run": {"type": "bool", "default": True},
    }
    module = AnsibleModule(
        {
            "units": {"type": "list", "elements": "dict", "options": unit, "required": True},
            "directories": {"type": "dict", "default": {}},
            "files": {"type": "list", "elements": "dict", "options": file, "default": []},
            "proof": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
        no_log=True,  # otherwise the whole content of files would go to the host's log
    )
    change = Change(module.check_mode)
    try:
        (present if module.params["state"] == "present" else absent)(module.params, change)
    except ServiceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(change.paths or change.done), diff=change.diff)


if __name__ == "__main__":
    main()
