"""`microk8s status`, in its three formats."""

import argparse
import re
import sys
from collections.abc import Collection
from typing import NamedTuple

from . import addons, console, kubernetes, paths

NOT_RUNNING = "microk8s is not running. Use microk8s inspect for a deeper inspection."
ROLES = ("voter", "standby", "spare")


class Member(NamedTuple):
    """A member of the datastore."""

    address: str
    role: str


def members(cluster: str) -> list[Member]:
    """Return the members that the datastore's cluster.yaml lists."""
    found = re.findall(r"Address: (\S+)\n.*\n\s+Role: (\d)", cluster)
    return [Member(address, ROLES[int(role)]) for address, role in found]


def split(shown: Collection[addons.Addon], running: Collection[str]) -> list[tuple[addons.Addon, str]]:
    """Return the addons with their states, enabled ones first."""
    states = [(addon, "enabled" if addon.name in running else "disabled") for addon in shown]
    return sorted(states, key=lambda entry: entry[1] == "disabled")


def pretty(nodes: list[Member], states: list[tuple[addons.Addon, str]]) -> list[str]:
    """Return the lines of the default format."""
    voters = [node.address for node in nodes if node.role == "voter"]
    standby = [node.address for node in nodes if node.role == "standby"]
    lines = [
        "microk8s is running",
        f"high-availability: {'yes' if len(voters) > 2 else 'no'}",
        f"  datastore master nodes: {' '.join(voters) or 'none'}",
        f"  datastore standby nodes: {' '.join(standby) or 'none'}",
        "addons:",
    ]
    for state in ("enabled", "disabled"):
        chosen = [addon for addon, its_state in states if its_state == state]
        lines += [f"  {state}:"] if chosen else []
        lines += [f"    {addon.name:<20} # ({addons.REPOSITORY}) {addon.description}" for addon in chosen]
    return lines


def short(states: list[tuple[addons.Addon, str]]) -> list[str]:
    """Return the lines of `--format short`."""
    return [
        "microk8s is running",
        "addons:",
        *(f"{addons.REPOSITORY}/{addon.name}: {state}" for addon, state in states),
    ]


def yaml(running: bool, nodes: list[Member], states: list[tuple[addons.Addon, str]]) -> list[str]:
    """Return the lines of `--format yaml`."""
    lines = ["microk8s:", f"  running: {running}", "high-availability:", "  enabled: True", "  nodes:"]
    for node in nodes:
        lines += [f"    - address: {node.address}", f"      role: {node.role}"]
    if not running:
        return [*lines, f"  message: {NOT_RUNNING}"]
    lines.append("addons:")
    for addon, state in states:
        lines += [
            f"  - name: {addon.name}",
            f"    repository: {addons.REPOSITORY}",
            f"    description: {addon.description}",
            f"    version: {addon.version}",
            f"    status: {state}",
        ]
    return lines


def main(words: list[str]) -> None:
    """Print the state of the cluster and its addons.

    Raises:
        SystemExit: With 1 when the cluster is not ready.
    """
    parser = argparse.ArgumentParser("microk8s status", description="Microk8s cluster status check.")
    parser.add_argument("--format", default="pretty", choices=("pretty", "yaml", "short"))
    parser.add_argument("-w", "--wait-ready", action="store_true", help="wait until the cluster is ready")
    parser.add_argument("-t", "--timeout", type=int, default=0, help="seconds to wait at most, 0 for ever")
    parser.add_argument("-a", "--addon", help="print the state of one addon")
    options = parser.parse_args(words)

    ready = kubernetes.wait_until_ready(options.timeout) if options.wait_ready else kubernetes.is_ready()
    shown = addons.named(options.addon) if options.addon else addons.available()
    states = split(shown, addons.enabled(kubernetes.listing()) if ready else set())
    nodes = members((paths.data() / "var/kubernetes/backend/cluster.yaml").read_text())
    for line in _lines(options, ready, nodes, states):
        console.say(line)
    if not ready:
        sys.exit(1)


def _lines(
    options: argparse.Namespace, ready: bool, nodes: list[Member], states: list[tuple[addons.Addon, str]]
) -> list[str]:
    if options.addon:
        return ["enabled" if [state for _, state in states] == ["enabled"] else "disabled"]
    if options.format == "yaml":
        return yaml(ready, nodes, states)
    if not ready:
        return [NOT_RUNNING]
    return short(states) if options.format == "short" else pretty(nodes, states)
