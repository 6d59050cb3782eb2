"""Runs `homeserver.stack.load_images`, partly on the control machine and partly on the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.module_utils.registry.checksums import sha256

_STAGING = "~/.homeserver-images"
"""Where archives are copied to: always the same place, so the next run finds those of an interrupted one."""


class ActionModule(ActionBase):
    """Copy image archives to a host and load them there."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Copy the archives that the host has not loaded yet, and wait until they are loaded."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        files = {image["reference"]: Path(image["file"]).expanduser() for image in self._task.args["images"]}
        found = self._sideload(files, {}, task_vars)
        missing = found["missing"]
        result.update(changed=bool(missing), loaded=missing, references=list(files), waiting=found["waiting"])
        if missing and not self._task.check_mode:
            directory = self._remote_expand_user(_STAGING, sudoable=False)
            self._command(f"mkdir -p {directory}")
            arrived = {reference: self._copy(files[reference], directory) for reference in missing}
            result["waiting"] = self._sideload(files, arrived, task_vars)["waiting"]
            self._command(f"rm -r {directory}")
        return result

    def _command(self, command: str) -> None:
        done = self._low_level_execute_command(command, sudoable=False)
        if done["rc"]:
            raise AnsibleActionFail(f"{command}: {done['stderr']}")

    def _sideload(
        self, files: dict[str, Path], arrived: dict[str, str], task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Run the module sideload on the host, and return its result."""
        images = [{"reference": reference, "sha256": _sum(file)} for reference, file in files.items()]
        options = {name: self._task.args[name] for name in ("keep", "timeout") if name in self._task.args}
        arguments = {"images": images, "arrived": arrived, **options}
        done: dict[str, Any] = self._execute_module(
            "homeserver.stack.sideload", arguments, task_vars=task_vars
        )
        if done.get("failed"):
            raise AnsibleActionFail(str(done.get("msg") or done.get("exception")))
        return done

    def _copy(self, file: Path, directory: str) -> str:
        """Copy an archive without comparing it first: the module copy reads it three times."""
        destination: str = self._connection._shell.join_path(directory, f"{_sum(file)}.tar")
        self._transfer_file(str(file), destination)
        return destination


def _sum(file: Path) -> str:
    try:
        return sha256(file)
    except OSError as error:
        raise AnsibleActionFail(f"{file} cannot be read: {error.strerror}") from error
