"""Runs kubectl."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

SECONDS = 120


class KubectlError(Exception):
    """kubectl failed; the message has its first arguments, which are no secrets, and its error."""


def kubectl(command: Sequence[str], *arguments: str, seconds: int = SECONDS) -> str:
    """Run kubectl, and return its output.

    Args:
        command: kubectl itself, such as `microk8s kubectl`.
        arguments: its arguments.
        seconds: how long it may take.

    Raises:
        KubectlError: it cannot be run, fails or takes too long.
    """
    try:
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise KubectlError(f"kubectl {' '.join(arguments[:4])} takes longer than {seconds} s") from None
    except OSError as error:
        raise KubectlError(f"kubectl cannot be run: {error}") from None
    if done.returncode:
        said = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise KubectlError(f"kubectl {' '.join(arguments[:4])}: {said}")
    return done.stdout


# The hosts that run this do not have the collection, so this repeats its volume_hosts.
def node_of(volume: Mapping[str, Any]) -> str:
    """Return the node of a PersistentVolume, from its specification; empty if it is on no certain one."""
    terms = volume.get("nodeAffinity", {}).get("required", {}).get("nodeSelectorTerms", [])
    rules = [rule for term in terms for rule in term.get("matchExpressions", [])]
    return next((rule["values"][0] for rule in rules if rule["key"] == "kubernetes.io/hostname"), "")
