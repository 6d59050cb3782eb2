"""The inventory of a machine: what an owner would write, with one server in it."""

from pathlib import Path

import yaml

from lab.machine import Machine

_VERSIONS = Path(__file__).parents[1] / "inventory/group_vars/all/versions.yml"


def write(machine: Machine, variables: str) -> None:
    """Write the machine's inventory: the project's own versions, and the variables (YAML) of its backend."""
    group_vars = machine.inventory / "group_vars/all"
    group_vars.mkdir(parents=True, exist_ok=True)
    versions = group_vars / "versions.yml"
    versions.unlink(missing_ok=True)
    versions.symlink_to(_VERSIONS)
    (group_vars / "lab.yml").write_text(f"---\n{variables}")
    (machine.inventory / "hosts.yml").write_text(f"---\n{yaml.safe_dump(_hosts(machine), sort_keys=False)}")


def _hosts(machine: Machine) -> dict[str, object]:
    server = {
        "ansible_host": machine.address,
        "ansible_port": machine.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(machine.key),
        "ansible_ssh_common_args": " ".join(machine.ssh_options()),
    }
    groups = {"control_plane": {"hosts": {machine.name: server}}, "workers": {"hosts": {}}}
    return {"all": {"children": {"home_servers": {"children": groups}}}}


def domain(machine: Machine) -> str:
    """The domain of the home, once its inventory is written."""
    variables = yaml.safe_load((machine.inventory / "group_vars/all/lab.yml").read_text())
    return str(variables["homeserver_domain"])
