"""The workloads of a cluster, from the control plane on this host."""

from __future__ import annotations

import json
import time
from typing import Any

from .kubernetes.rollout import is_ready, unfinished
from .nodes import membership

_KINDS = "deployments.apps,statefulsets.apps,daemonsets.apps"
_INTERVAL = 2
_API = "Kubernetes' API"


def unready() -> dict[str, str]:
    """Return why workloads do not run, by their names; an empty text for those that do.

    While the API does not answer, it is the only entry.
    """
    told = membership.kubectl("get", f"{_KINDS},nodes", "--all-namespaces", "--output=json")
    if told is None:
        return {_API: "it does not answer"}
    objects = json.loads(told)["items"]
    nodes = [entry for entry in objects if entry["kind"] == "Node"]
    away = sum(not is_ready(node) for node in nodes)
    return {_name(entry): unfinished(entry, away) for entry in objects if entry not in nodes}


def _name(workload: dict[str, Any]) -> str:
    metadata = workload["metadata"]
    return f"{workload['kind']} {metadata['namespace']}/{metadata['name']}"


def wait(names: list[str], timeout: float) -> dict[str, str]:
    """Wait until workloads run; return why some do not, `timeout` seconds after the last one started to run.

    Workloads that no longer exist are not awaited.
    """
    fewest, deadline = len(names) + 1, time.monotonic()
    while lacking := {name: why for name, why in unready().items() if why and name in [*names, _API]}:
        # While the API is unavailable, the number of running workloads is unknown.
        count = len(names) if _API in lacking else len(lacking)
        if count < fewest:
            fewest, deadline = count, time.monotonic() + timeout
        if time.monotonic() > deadline:
            break
        time.sleep(_INTERVAL)
    return lacking
