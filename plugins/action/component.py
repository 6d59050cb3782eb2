"""Runs `homeserver.stack.component` on the control machine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.homeserver.stack.plugins.module_utils.apps import directory_nodes
from ansible_collections.homeserver.stack.plugins.module_utils.authority import AuthorityError
from ansible_collections.homeserver.stack.plugins.module_utils.components import (
    Value,
    components,
    runs,
    secret_files,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.checks import (
    Check,
    check_unless_live,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import Object
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.services import wait_for_answer
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.upgrade import Copier
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError
from ansible_collections.homeserver.stack.plugins.module_utils.namespaces import namespaces
from ansible_collections.homeserver.stack.plugins.module_utils.network_policies import network_policies
from ansible_collections.homeserver.stack.plugins.plugin_utils.apply_action import ApplyAction, Wanted
from ansible_collections.homeserver.stack.plugins.plugin_utils.authority_action import authority_of, told
from ansible_collections.homeserver.stack.plugins.plugin_utils.cluster_action import Arguments
from ansible_collections.homeserver.stack.plugins.plugin_utils.declarations import evaluator
from ansible_collections.homeserver.stack.plugins.plugin_utils.other_host import run_on

_COPIES = "homeserver.stack.volume_copies"
_STATES = {"check": "present", "copy": "present", "restore": "restored", "remove": "absent"}
"""The state of volume_copies for each action of a Copier."""
_WITHOUT = "-e homeserver_upgrade_copies=false"
_TIMEOUT = 300
"""Seconds for the rollout of a component without an option for it."""


def rollout_timeout(role: str, value: Value) -> int:
    """Return the seconds that the rollout of a component may take."""
    return int(value(f"{{{{ {role}_rollout_timeout_seconds | default({_TIMEOUT}) }}}}"))


class ActionModule(ApplyAction):
    """Run the component of the calling role, or remove it."""

    ARGUMENTS: ClassVar = {"early": {"type": "list", "elements": "str", "default": []}}

    def act(self, arguments: Arguments, task_vars: dict[str, Any]) -> dict[str, Any]:
        """Follow the role's declaration."""
        role = str(task_vars["ansible_role_name"]).rpartition(".")[2]
        declared, evaluate = components()[role], evaluator(self._templar, task_vars)
        wanted = Wanted(
            declared.get("application", role),
            "present" if runs(declared, evaluate) else "absent",
            rollout_timeout(role, evaluate),
            evaluate(declared.get("volumes")),
        )
        kubeconfig = arguments["kubeconfig"]
        if "images" in declared:  # which a new version of the collection upgrades
            wanted = wanted._replace(copier=self._copier(kubeconfig, evaluate, task_vars))
        if wanted.state == "absent":
            result = self.apply(wanted, [], kubeconfig, task_vars)
            return result | {"changed": self._remove_secrets(role, task_vars) or result["changed"]}
        try:
            issued = self._issue(evaluate(declared.get("secrets", {})), task_vars)
        except (AuthorityError, OSError) as error:
            return {"failed": True, "msg": told(error)}
        generated = [*namespaces(role, evaluate), *network_policies(role, evaluate)]
        if early := arguments["early"]:
            objects = [*generated, *self._rendered(early, task_vars)]
            result = self.apply(wanted._replace(partial=True), objects, kubeconfig, task_vars)
            return result | {"changed": issued or result["changed"]}
        manifests = [obj for name in evaluate(declared.get("manifests", [])) for obj in self.read_file(name)]
        templates = sorted(path.name for path in Path(task_vars["role_path"]).glob("templates/*.yaml.j2"))
        objects = [*manifests, *generated, *self._rendered(templates, task_vars)]
        works = not self._task.check_mode
        if works and (check := evaluate(declared.get("check"))):
            self._check(wanted, check, kubeconfig, task_vars)
        if answer := evaluate(declared.get("answer")):
            wanted = wanted._replace(prove=partial(self._wait, answer, kubeconfig))
        result = self.apply(wanted, objects, kubeconfig, task_vars)
        return result | {"changed": issued or result["changed"]}

    def _issue(self, secrets: dict[str, Any], task_vars: dict[str, Any]) -> bool:
        """Issue its certificates, and return whether any was issued."""
        wanted = {
            name.removesuffix("_certificate"): secret
            for name, secret in secrets.items()
            if secret["kind"] == "certificate" and secret["for"]
        }
        if not wanted:
            return False
        authority = authority_of(self._templar, task_vars, dry_run=self._task.check_mode)
        return True in [
            authority.issue(
                name,
                secret["for"],
                for_clients=secret.get("for_clients", False),
                by_next=secret.get("by_next", False),
            )
            for name, secret in wanted.items()
        ]

    def _rendered(self, templates: list[str], task_vars: dict[str, Any]) -> list[Object]:
        return [obj for name in templates for obj in self.render(name, task_vars)]

    def _check(
        self, wanted: Wanted, check: Mapping[str, Any], kubeconfig: str, task_vars: dict[str, Any]
    ) -> None:
        """Let a program check a configuration that is not in the cluster yet."""
        asked = {name: check[name] for name in ("image", "command", "files")}
        check_unless_live(
            self.connect(kubeconfig),
            Check(wanted.application, **asked, logins=self.logins(task_vars)),
            check["live"],
            initially=bool(check["initially"]),
            timeout=wanted.timeout,
            say=self._display.display,
        )

    def _wait(self, answer: Mapping[str, Any], kubeconfig: str, changed: bool) -> None:
        """Wait until the component runs with the applied configuration."""
        cluster = self.connect(kubeconfig)
        if changed and "remount" in answer:
            cluster.touch_pod(*answer["remount"].split("/"))
        service, path, contains = (answer[name] for name in ("service", "path", "contains"))
        wait_for_answer(cluster, service, path, contains, int(answer["timeout"]))

    def _copier(self, kubeconfig: str, value: Value, task_vars: dict[str, Any]) -> Copier:
        """Return what acts on the directories of volumes, on the machines that have them."""

        def act(node: str, action: str, directories: list[str]) -> None:
            hosts = {name: [name] for name in task_vars["groups"]["home_servers"]}
            nodes = directory_nodes(hosts, self.connect(kubeconfig).nodes(), task_vars["hostvars"])
            host = next((name for name, its in nodes.items() if its == node), "") if node else founder
            if not host:
                raise ApplicationError(
                    f"its data are on {node}, which is no host of the inventory -> add it to workers,"
                    f" or upgrade without a copy: {_WITHOUT}"
                )
            arguments = {"volumes": directories, "state": _STATES[action]}
            done = run_on(self, host, _COPIES, arguments, task_vars, dry=action == "check")
            if done.get("failed") or done.get("unreachable"):
                hint = f", or upgrade without a copy: {_WITHOUT}" if action == "check" else ""
                raise ApplicationError(f"{host}: {done.get('msg')}{hint}")

        founder = str(value("{{ homeserver_control_plane }}"))
        return Copier(act, enabled=bool(value("{{ homeserver_upgrade_copies }}")))

    def _remove_secrets(self, role: str, task_vars: dict[str, Any]) -> bool:
        """Remove its generated files on the control machine, and return whether there were any."""
        directory = Path(self._templar.template(task_vars["homeserver_secrets_dir"])).expanduser()
        there = [file for name in secret_files(role) if (file := directory / name).exists()]
        if not self._task.check_mode:
            for file in there:
                file.unlink()
        return bool(there)
