"""Costs of logs: lines per second, the delay until a line is found, and the disk space per line."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

import requests

from bench import remote
from bench.page import Row, row
from bench.remote import KUBECTL
from lab.machine import Machine

_NAMESPACE = "apps"
_PATIENCE = 300  # seconds
_POLL = 0.2  # seconds
# Lines per second, and seconds: a normal day of one home, and the target.
_QUIET = (4, 60)
_BUSY = (2000, 60)
_AT_ONCE = 100_000  # lines

# Logs a number of lines at a rate, each like one of the app's.
_WRITER = """
import json, sys, time
count, rate = int(sys.argv[1]), float(sys.argv[2])
began = time.time()
for number in range(count):
    early = began + number / rate - time.time()
    if early > 0:
        time.sleep(early)
    print(json.dumps({
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "level": "info", "logger": "access",
        "message": "GET / 200", "trace_id": "%032x" % (number + 1), "span_id": "%016x" % (number + 1),
        "method": "GET", "route": "/", "path": "/", "status": 200, "duration_ms": 1.5, "browser": "firefox",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "client_address": "192.0.2.7", "number": number,
    }), flush=True)
"""


@dataclass(frozen=True)
class Store:
    """A connection to Elasticsearch from this host."""

    url: str
    session: requests.Session

    def get(self, path: str) -> Any:
        """Return what it answers."""
        return self._ask("GET", path)

    def post(self, path: str, body: object = None) -> Any:
        """Return what it answers to a body."""
        return self._ask("POST", path, json=body)

    def put(self, path: str, body: object) -> None:
        """Change a setting."""
        self._ask("PUT", path, json=body)

    def delete(self, path: str) -> None:
        """Delete an index."""
        self._ask("DELETE", path)

    def bulk(self, index: str, lines: str) -> Any:
        """Return what it answers to operations on an index, each in one or two lines of JSON."""
        return self._ask(
            "POST", f"{index}/_bulk", data=lines, headers={"Content-Type": "application/x-ndjson"}
        )

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        answer = self.session.request(method, f"{self.url}/{path}", timeout=600, **body)
        if not answer.ok:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()


@dataclass(frozen=True)
class Run:
    """The lines of one pod: when the first was written, and how many were found at which times."""

    began: float
    found: Sequence[tuple[float, int]]

    def waited(self, rate: float) -> list[float]:
        """Return the seconds until each line was found, if they were written at this rate per second."""
        seconds: list[float] = []
        for moment, count in self.found:
            seconds += [max(0, moment - self.began - number / rate) for number in range(len(seconds), count)]
        return seconds

    @property
    def rate(self) -> float:
        """Lines per second, from the first line written to the last line found."""
        ended, count = self.found[-1]
        return count / (ended - self.began)


def rows(machine: Machine) -> Iterator[Row]:
    """Let pods log, and search for their lines as a reader would."""
    with store(machine) as connection:
        for (rate, seconds), when in ((_QUIET, "while idle"), (_BUSY, f"at {_BUSY[0]} lines per second")):
            waited = _logged(machine, connection, f"bench-{rate}", rate * seconds, rate).waited(rate)
            centiles = quantiles(waited, n=100)
            for centile in (50, 99):
                what = f"from a line to its search result, {when}: p{centile}"
                yield row("Logs", what, centiles[centile - 1], "s")
        fastest = _logged(machine, connection, "bench-at-once", _AT_ONCE, _AT_ONCE * 1000).rate
        what = f"lines stored and searchable, of {_AT_ONCE} written at once"
        yield row("Logs", what, fastest, "per second", more_is_better=True)
        bytes_per_line = used(connection, "logs-*") / connection.get("logs-*/_count")["count"]
        yield row("Logs", "disk for each stored line", bytes_per_line, "bytes")


@contextmanager
def store(machine: Machine) -> Iterator[Store]:
    """Connect to the Elasticsearch of a machine."""
    secrets = machine.directory / "secrets" / machine.name
    with (
        remote.service(machine, "logging", "elasticsearch", 9200) as port,
        requests.Session() as session,
    ):
        session.auth = ("admin", (secrets / "kibana_admin.password").read_text().strip())
        session.trust_env = False  # the environment may name other authorities
        session.verify = str(secrets / "ca.crt")
        yield Store(f"https://localhost:{port}", session)


def used(store: Store, indices: str) -> int:
    """Return the bytes on the disk that indices take; what their statistics say may be 10 seconds old."""
    store.post(f"{indices}/_flush")
    found = store.post(f"{indices}/_disk_usage?run_expensive_tasks=true")
    return sum(index["store_size_in_bytes"] for name, index in found.items() if name != "_shards")


def _logged(machine: Machine, store: Store, pod: str, count: int, rate: float) -> Run:
    """Let a pod log, and wait until Elasticsearch finds all of its lines.

    Raises:
        TimeoutError: Some are missing, or there are too many.
    """
    remote.run(machine, f"{KUBECTL} apply -f -", json.dumps(_pod(machine, pod, count, rate)))
    try:
        return _found(store, pod, count)
    finally:
        remote.run(machine, f"{KUBECTL} -n {_NAMESPACE} delete pod {pod} --wait=false")


def _found(store: Store, pod: str, count: int) -> Run:
    question = {
        "query": {"term": {"kubernetes.pod.name": pod}},
        "size": 0,
        "track_total_hits": True,
        "aggs": {"began": {"min": {"field": "@timestamp"}}},
    }
    found = [(time.time(), 0)]
    deadline = time.monotonic() + _PATIENCE
    while found[-1][1] != count:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"of {count} lines of {pod}, {found[-1][1]} were found within {_PATIENCE} seconds"
            )
        time.sleep(_POLL)
        answer = store.post("logs-*/_search", question)
        found.append((time.time(), answer["hits"]["total"]["value"]))
    return Run(answer["aggregations"]["began"]["value"] / 1000, found)


def _pod(machine: Machine, name: str, count: int, rate: float) -> dict[str, Any]:
    of_hello = "get deployment hello -o jsonpath='{.spec.template.spec.containers[0].image}'"
    image = remote.run(machine, f"{KUBECTL} -n {_NAMESPACE} {of_hello}")
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": _NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65534,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "writer",
                    "image": image,
                    "command": ["python3", "-c", _WRITER, str(count), str(rate)],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
