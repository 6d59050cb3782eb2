"""Costs of tracing: the delay until a trace is found, and the overhead of a request."""

import json
import ssl
import time
from collections.abc import Callable, Iterator
from statistics import quantiles
from typing import Any

import requests
import urllib3

from bench import load, remote
from bench.page import Row, row
from lab import inventory
from lab.machine import Machine

_REQUESTS = 60
_PAUSE = 0.2  # seconds between requests
_PATIENCE = 120  # seconds
_SERVICES = {"traefik", "hello"}
# Sampling rates and their variables; the last is the machine's initial state.
_AMOUNTS: dict[str, dict[str, object]] = {
    "without traces": {"homeserver_tracing_endpoint": ""},
    "with one in ten traced": {"traefik_tracing_sample_percent": 10},
    "with every request traced, and logged by the app, too": {"flask_app_access_log": "all"},
    "with every request traced": {},
}
_COMPARED = "the app through Traefik, compared with its Service"
# Each applies the changed variables.
_PLAYBOOKS = ("playbooks/stages/traefik.yml", "playbooks/stages/run_apps.yml")


def rows(machine: Machine) -> Iterator[Row]:
    """Send requests through Traefik, and search for the trace of each until both services are in it."""
    with remote.service(machine, "tracing", "jaeger", 16686) as port:
        centiles = quantiles(_waits(machine, f"http://127.0.0.1:{port}/api/traces"), n=100)
    for centile in (50, 99):
        what = f"from a request to its trace in Jaeger: p{centile}"
        yield row("Traces", what, centiles[centile - 1], "s")


def cost(machine: Machine, play: Callable[..., None]) -> Iterator[Row]:
    """Load the app with more and fewer traces, under otherwise equal conditions.

    Args:
        machine: The machine, which has tracing before and after.
        play: Runs a playbook on it with variables.
    """
    load.through_traefik(machine)  # Java and Go programs are faster after a warm-up
    for which, variables in _AMOUNTS.items():
        for playbook in _PLAYBOOKS:
            play(playbook, **variables)
        what = f"the app through Traefik {which}"
        fastest = load.through_traefik(machine)
        yield load.full_speed(what, fastest)
        yield from load.usual(what, load.through_traefik(machine, load.USUAL))
    what = "the app through its Service"
    directly = load.at_service(machine)
    yield load.full_speed(what, directly)
    yield from load.usual(what, load.at_service(machine, load.USUAL))
    yield row("Requests", _COMPARED, fastest.rate / directly.rate, "times", more_is_better=True)


def _waits(machine: Machine, traces: str) -> list[float]:
    """Return the delay between each request and its trace."""
    send = _sender(machine)
    sent: dict[str, float] = {}
    waited: list[float] = []
    deadline = time.monotonic() + _PATIENCE
    with requests.Session() as session:
        while len(waited) < _REQUESTS:
            if len(waited) + len(sent) < _REQUESTS:
                started = time.monotonic()
                sent[send()] = started
            found = [trace for trace in sent if _services(session, f"{traces}/{trace}") >= _SERVICES]
            waited.extend(time.monotonic() - sent.pop(trace) for trace in found)
            if time.monotonic() > deadline:
                raise TimeoutError(f"of {_REQUESTS} requests, {len(sent)} have no trace: {', '.join(sent)}")
            time.sleep(_PAUSE)
    return waited


def _sender(machine: Machine) -> Callable[[], str]:
    """Return a function that sends a request to the app and returns the trace id of the response."""
    ca = str(machine.directory / "secrets" / machine.name / "ca.crt")
    host = f"hello.{inventory.domain(machine)}"
    pool = urllib3.HTTPSConnectionPool(
        machine.address,
        443,
        ssl_context=ssl.create_default_context(cafile=ca),
        server_hostname=host,
        assert_hostname=host,
    )

    def send() -> str:
        answer = pool.request("GET", "/", headers={"Host": host})
        if answer.status != requests.codes.ok:
            raise RuntimeError(f"{host} answered {answer.status}: {answer.data!r}")
        return answer.headers["X-Trace-Id"]

    return send


def _services(session: requests.Session, url: str) -> set[str]:
    answer = session.get(url, timeout=30)
    if answer.status_code != requests.codes.ok:
        return set()
    found: Any = json.loads(answer.content)["data"]
    return {process["serviceName"] for trace in found for process in trace["processes"].values()}
