"""What the roles would apply: rendered quickly, or as a dry run without a cluster shows it."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.manager import VariableManager
from ansible_collections.homeserver.stack.plugins.module_utils.components import components
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.logins import with_pull_secrets
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import prepare

from harness import playbooks
from harness.rendering import Role
from harness.roles import ROOT

BUILT = {
    name: f"localhost/{name}:built"
    for name in (
        "hello",
        "homeserver-logstore",
        "homeserver-devices",
        "homeserver-disk-cleanup",
        "homeserver-welcome",
    )
}
# Jobs that a role runs after all is applied, which a dry run does not show.
RUN_AFTERWARDS = {"elk": ["arrival.job.j2"]}
INVENTORIES = ("defaults", "several", "everything_on", "everything_off")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
SCHEDULED = ("CronJob",)

# Every file that the lookup `secret` reads. The dry run finds a value of its own in each.
SECRETS = (
    *(
        f"elasticsearch_{user}.password"
        for user in (
            "exporter",
            "filebeat",
            "grafana",
            "importer",
            "jaeger",
            "logstash",
            "logstore",
            "metrics",
            "viewer",
        )
    ),
    "backup.password",
    "disk_cleanup.token",
    "elasticsearch_kibana.token",
    "elk_kibana_encryption.key",
    "grafana_admin.password",
    "grafana_encryption.key",
    "kibana_admin.password",
    "kubernetes_encryption.key",
    "node_exporter.password",
    "traefik_dashboard.password",
)

Object = dict[str, Any]


def _roles_of(stage: str) -> Iterator[str]:
    """Return the components that a stage runs, in their order."""
    for play in yaml.safe_load((ROOT / f"playbooks/stages/{stage}.yml").read_text()):
        for task in play.get("tasks", []):
            role = task.get("ansible.builtin.import_role", {}).get("name", "").rpartition(".")[2]
            if components().get(role, {}).get("stage") == stage:
                yield role


def _services() -> Iterator[str]:
    """Return the components that are run in the second half of site.yml, in their order."""
    for play in yaml.safe_load((ROOT / "playbooks/stages/services.yml").read_text()):
        stage = Path(play["ansible.builtin.import_playbook"])
        if stage.parent == Path():
            yield from _roles_of(stage.stem)


SERVICES = tuple(_services())
# Those that apply objects.
APPLIED = tuple(role for role in SERVICES if "namespace" in components()[role])


def write_secrets(directory: Path) -> None:
    """Create every secret, each with a value of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in SECRETS:
        (directory / file).write_text(f"{value(file)}\n")


def value(file: str) -> str:
    """Return what `write_secrets` writes into a file, of the form of what the lookup generates."""
    return f"Secret{hashlib.sha256(file.encode()).hexdigest()[:26]}"


def rendered(inventory: str, state: Path) -> list[Object]:
    """Return every object of a home without going through playbooks, which takes a tenth of the time."""
    write_secrets(state / "secrets/home")
    loader = DataLoader()
    hosts = InventoryManager(loader, sources=[str(ROOT / "tests/inventories" / inventory)])
    manager = VariableManager(loader, hosts)
    hostvars = {host.name: manager.get_vars(host=host) for host in hosts.get_hosts()}
    variables = hostvars["home"]
    variables |= {"homeserver_built_images": BUILT, "hostvars": hostvars}
    return [obj for name in APPLIED for obj in _objects_of(name, state, variables)]


def _objects_of(name: str, state: Path, variables: dict[str, Any]) -> list[Object]:
    """Return what the role's task applies, as the action prepares it."""
    role = Role(name, state, **variables)
    if not role.value(f"homeserver_enabled.{name}"):
        return []
    application = components()[name].get("application", name)
    once = RUN_AFTERWARDS.get(name)
    applied = role.objects() + (role.objects(once) if once else [])
    logins = role.value("homeserver_registry_logins")
    return prepare(application, with_pull_secrets(application, applied, logins))


def dry_run(inventory: str, state: Path) -> str:
    """Return all that a first dry run prints, as JSON; no cluster exists yet."""
    write_secrets(state / "secrets/home")
    run = playbooks.play(
        *("--check", "--diff", "-i", f"tests/inventories/{inventory}"),
        *("-e", f"homeserver_state_dir={state}", "tests/static/cluster.yml"),
        ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def created(printed: str) -> list[Object]:
    """Return the objects that a dry run would create."""
    results = [
        result
        for play in json.loads(printed)["plays"]
        for task in play["tasks"]
        for result in task["hosts"].values()
    ]
    applied = [
        difference for result in results if "created" in result for difference in result.get("diff", [])
    ]
    return [yaml.safe_load(difference["after"]) for difference in applied]


def name_of(obj: Object) -> str:
    """Return kind, namespace and name."""
    return f"{obj['kind']} {obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"


def of(objects: list[Object], *kinds: str) -> list[Object]:
    """Return the objects of these kinds."""
    return [obj for obj in objects if obj["kind"] in kinds]


def template_of(workload: Object) -> Object:
    """Return the pod template of a workload."""
    spec = workload["spec"]
    template: Object = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return template


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Return the pods of all workloads, those that run on a schedule included, with the workload's name."""
    for workload in of(objects, *WORKLOADS, *SCHEDULED):
        yield name_of(workload), template_of(workload)["spec"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Return the containers of all pods, each with the names of its workload and itself."""
    for name, pod in pods(objects):
        for container in pod["containers"] + pod.get("initContainers", []):
            yield f"{name} {container['name']}", container
