"""The inventory of a home, as an owner would write it: one server, and others that work for it."""

from collections.abc import Sequence

import yaml

from lab.machine import Machine


def write(home: Sequence[Machine], variables: str) -> None:
    """Write the inventory of these machines, the first one first, with their backend's variables (YAML)."""
    group_vars = home[0].inventory / "group_vars/all"
    group_vars.mkdir(parents=True, exist_ok=True)
    (group_vars / "lab.yml").write_text(f"---\n{variables}")
    write_hosts(home)


def write_hosts(home: Sequence[Machine]) -> None:
    """Write which machines there are, and how to log in to them, into an inventory that exists."""
    founder, *workers = home
    groups = {
        "control_plane": {"hosts": {founder.name: _login(founder)}},
        "workers": {"hosts": {worker.name: _login(worker) for worker in workers}},
    }
    hosts = {"all": {"children": {"home_servers": {"children": groups}}}}
    (founder.inventory / "hosts.yml").write_text(f"---\n{yaml.safe_dump(hosts, sort_keys=False)}")


def _login(machine: Machine) -> dict[str, object]:
    return {
        "ansible_host": machine.address,
        "ansible_port": machine.port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(machine.key),
        "ansible_ssh_common_args": " ".join(machine.ssh_options()),
    }


def domain(machine: Machine) -> str:
    """Return the domain of the home from its written inventory."""
    variables = yaml.safe_load((machine.inventory / "group_vars/all/lab.yml").read_text())
    return str(variables["homeserver_domain"])
