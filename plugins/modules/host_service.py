"""The module host_service."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: host_service
short_description: Installs a systemd service with its files, or removes it
description:
  - Writes directories, files and the unit, enables the service and runs it.
    It is restarted if a file or the unit changed.
  - This is one call for what would otherwise be one for each file and one for the service.
  - What it writes belongs to root. What is removed is the service, its files and its directories.
options:
  name:
    description: Name of the unit, such as C(homeserver-firewall.service).
    type: str
    required: true
  unit:
    description: Content of the unit. Required if O(state=present).
    type: str
  directories:
    description: Modes of directories, as in C("0755"), by their paths.
    type: dict
    default: {}
  files:
    description: Files besides the unit.
    type: list
    elements: dict
    default: []
    options:
      path:
        description: Where it is.
        type: path
        required: true
      content:
        description: What is in it. No secret, for differences are shown. Required if O(state=present).
        type: str
      mode:
        description: Its mode.
        type: str
        default: "0644"
      check:
        description: Command that fails if the content, which is in a file C(%s), must not be written.
        type: list
        elements: str
        default: []
  proof:
    description: Command that fails if the service has to be restarted although systemd takes it for active.
    type: list
    elements: str
    default: []
  state:
    description: Whether the service is there.
    type: str
    choices: [present, absent]
    default: present
author: The homeserver.stack maintainers
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
"""

EXAMPLES = """
- homeserver.stack.host_service:
    name: blinker.service
    unit: |
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

_UNITS = Path("/etc/systemd/system")


class ServiceError(Exception):
    """Something cannot be done; the message says what and why."""


@dataclass
class Change:
    """What was changed, or would be in a dry run.

    Attributes:
        check: Whether this is a dry run.
        paths: The directories and files.
        diff: The contents before and after.
        done: What was done with the service.
    """

    check: bool
    paths: list[Path] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


def present(params: dict[str, Any], change: Change) -> None:
    """Write what is not there yet, and run the service.

    Raises:
        ServiceError: a file is wrong, or systemd cannot run the service.
    """
    for path, mode in params["directories"].items():
        _directory(Path(path), int(mode, 8), change)
    unit = _UNITS / params["name"]
    for each in params["files"]:
        _file(Path(each["path"]), each["content"], each, change)
    before = len(change.paths)
    _file(unit, params["unit"], {"mode": "0644", "check": []}, change)
    if len(change.paths) > before:
        _act(change, "daemon-reload")
    if change.check and not unit.exists():
        return
    state = _state(params["name"])
    if state["UnitFileState"] != "enabled":
        _act(change, "enable", params["name"])
    if state["ActiveState"] not in ("active", "activating"):
        _act(change, "start", params["name"])
    elif _is_file_in(change.paths, params) or not _succeeds(params["proof"]):
        _act(change, "restart", params["name"])


def absent(params: dict[str, Any], change: Change) -> None:
    """Stop the service, and remove it with all that is its own.

    Raises:
        ServiceError: systemd cannot stop it.
    """
    unit = _UNITS / params["name"]
    is_there = unit.exists()
    if is_there:
        _act(change, "disable", params["name"])
        _act(change, "stop", params["name"])
    for path in (unit, *(Path(each["path"]) for each in params["files"]), *map(Path, params["directories"])):
        if path.exists():
            change.paths.append(path)
            if not change.check:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    if is_there:
        _act(change, "daemon-reload")


def _is_file_in(paths: list[Path], params: dict[str, Any]) -> bool:
    """Return whether a file or the unit is among the paths; a directory is no reason to restart."""
    return bool(set(paths) - set(map(Path, params["directories"])))


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
        written = _checked(content, options["check"])
        change.paths.append(path)
        change.diff.append(
            {"before": before, "after": content, "before_header": str(path), "after_header": str(path)}
        )
        if not change.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, written, mode)
    if path.is_file():
        _own(path, mode, change)


def _checked(content: str, command: list[str]) -> str:
    """Return a content that a command finds right.

    Raises:
        ServiceError: it does not.
    """
    if command:
        with tempfile.NamedTemporaryFile("w", suffix=".new") as file:
            file.write(content)
            file.flush()
            _run([part.replace("%s", file.name) for part in command])
    return content


def _write(path: Path, content: str, mode: int) -> None:
    """Write a file whole or not at all."""
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
    """Run a command and return what it writes.

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
    module = AnsibleModule(
        {
            "name": {"type": "str", "required": True},
            "unit": {"type": "str"},
            "directories": {"type": "dict", "default": {}},
            "files": {"type": "list", "elements": "dict", "options": file, "default": []},
            "proof": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("unit",))],
        supports_check_mode=True,
        no_log=True,  # the whole content of files would go to the host's log
    )
    change = Change(module.check_mode)
    try:
        (present if module.params["state"] == "present" else absent)(module.params, change)
    except ServiceError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(change.paths or change.done), diff=change.diff)


if __name__ == "__main__":
    main()
