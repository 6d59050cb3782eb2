"""Runs a module on another host than that of the task."""

from __future__ import annotations

from typing import Any

from ansible.executor.task_executor import TaskExecutor
from ansible.playbook.task import Task
from ansible.plugins.action import ActionBase


def run_on(
    action: ActionBase,
    host: str,
    module: str,
    arguments: dict[str, Any],
    task_vars: dict[str, Any],
    *,
    dry: bool = False,
) -> dict[str, Any]:
    """Run a module as root, as a task that is delegated to a host would; return its result.

    Args:
        action: the action of the task.
        host: a host of the inventory.
        module: the name of the module.
        arguments: its arguments.
        task_vars: the variables of the task.
        dry: run it in check mode.
    """
    own, variables = action._task, action._task.get_variable_manager()
    data = {module: arguments, "delegate_to": host, "become": True, "check_mode": dry, "diff": False}
    task = Task.load(data, block=own._parent, variable_manager=variables, loader=action._loader)
    executor = TaskExecutor(
        variables._inventory.get_host(task_vars["inventory_hostname"]),
        task,
        dict(task_vars),
        action._play_context,
        action._loader,
        action._shared_loader_obj,
        None,  # the queue of results, which only a loop needs
        variables,
    )
    result: dict[str, Any] = executor.run()
    return result
