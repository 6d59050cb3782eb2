"""Runs `homeserver.stack.lock_images` on the control machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.registry.downloads import Web
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_lock import (
    Lock,
    Locked,
    LockError,
    is_due,
    read_lock,
    update,
    write_lock,
)
from ansible_collections.homeserver.stack.plugins.plugin_utils.registry_action import (
    Arguments,
    RegistryAction,
)

_PATIENCE = 10.0
"""Seconds: a run goes on without an answer."""


class ActionModule(RegistryAction):
    """Run on the control machine, where the file is."""

    ARGUMENTS: ClassVar = {
        "file": {"type": "path", "required": True},
        "images": {"type": "list", "elements": "str", "required": True},
        "prefix": {"type": "str", "default": ""},
        "take_moved": {"type": "bool", "default": False},
    }

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the lock, and warn of moved tags and images that are not locked."""
        file, take = Path(arguments["file"]), arguments["take_moved"]
        if self._task.check_mode and not take:
            return {"moved": []}
        try:
            lock = read_lock(file)
            look = take or is_due(file)
            done = self._update(lock, arguments, task_vars, look=look, take=take)
            changed = done.lock != lock
            if not self._task.check_mode:
                write_lock(file, done.lock)
                if look and file.exists():
                    os.utime(file)
        except LockError as error:
            return {"failed": True, "msg": str(error)}
        except OSError as error:
            wrong = f"{error.filename or file} cannot be read or written: {error.strerror}"
            return {"failed": True, "msg": f"{wrong} -> let the user of the control machine do so"}
        return {
            "changed": changed,
            "moved": sorted(done.moved),
            "warnings": list(_warnings(done, taken=take and not self._task.check_mode)),
        }

    def _update(
        self, lock: Lock, arguments: Arguments, task_vars: dict[str, Any], *, look: bool, take: bool
    ) -> Locked:
        web = Web(self._display.vv, patience=_PATIENCE)
        registries = self.registries(web, arguments, task_vars)
        prefix = arguments["prefix"]
        return update(
            lock, arguments["images"], lambda image: registries.digest(prefix + image), look=look, take=take
        )


def _warnings(done: Locked, *, taken: bool) -> Iterator[str]:
    for image, (before, now) in sorted(done.moved.items()):
        fix = "the next run installs it" if taken else "playbooks/lock_images.yml takes it"
        yield f"the tag of {image} has moved from {before} to {now} -> {fix}"
    missing = sorted(done.unknown.keys() - done.lock)
    if missing:
        why = done.unknown[missing[0]]
        yield f"not locked to the current digests of their tags: {', '.join(missing)} ({why})"
    elif done.unknown:
        why = next(iter(done.unknown.values()))
        yield f"it is not known whether tags have moved: {', '.join(sorted(done.unknown))} ({why})"
