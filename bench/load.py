"""Load by vegeta, which takes little of the cores that it shares with what it measures.

It runs on the home's machine, because Services are reached from there, too.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from bench import remote
from bench.page import Row, row
from bench.remote import KUBECTL
from lab import inventory
from lab.build import Report, cache_root, obtain
from lab.cache import Cache
from lab.catalogue.programs import VEGETA_PROGRAMS
from lab.machine import Machine

USUAL = 100  # requests per second
_SECONDS = 20
_CLIENTS = 20
_PROGRAM = "/root/vegeta"
_AUTHORITY = "/root/ca.crt"


@dataclass(frozen=True)
class Answers:
    """How a target answered: requests per second, and milliseconds that half and 99 of 100 took at most."""

    rate: float
    p50: float
    p99: float


def prepare(machine: Machine, report: Report) -> None:
    """Put the program and the home's certificate authority on the machine."""
    (programs,) = obtain(Cache(cache_root()), [VEGETA_PROGRAMS], report)
    remote.send(machine, programs / "vegeta", _PROGRAM)
    remote.run(machine, f"chmod +x {_PROGRAM}")
    remote.send(machine, machine.directory / "secrets" / machine.name / "ca.crt", _AUTHORITY)


def through_traefik(machine: Machine, rate: int = 0, address: str = "") -> Answers:
    """Load the app through Traefik, at that of an address."""
    host = f"hello.{inventory.domain(machine)}"
    connect = f"-connect-to={host}:443:{address or machine.address}:443 -root-certs={_AUTHORITY}"
    return _answers(machine, f"https://{host}/", rate, connect)


def at_service(machine: Machine, rate: int = 0) -> Answers:
    """Load the app through its Service."""
    where = "jsonpath='{.spec.clusterIP}:{.spec.ports[0].port}'"
    service = remote.run(machine, f"{KUBECTL} -n apps get service hello -o {where}")
    return _answers(machine, f"http://{service}/", rate)


def full_speed(what: str, answers: Answers) -> Row:
    """Return the row about an app that was loaded at full speed."""
    return row("Requests", f"{what}: at full speed", answers.rate, "per second", more_is_better=True)


def usual(what: str, answers: Answers) -> Iterator[Row]:
    """Yield the rows about an app that was asked at a fixed rate."""
    for centile, milliseconds in (("p50", answers.p50), ("p99", answers.p99)):
        yield row("Requests", f"{what}: {centile} at {USUAL} per second", milliseconds, "ms")


def _answers(machine: Machine, url: str, rate: int, options: str = "") -> Answers:
    """Ask at a rate per second; 0 is as fast as it answers.

    Raises:
        RuntimeError: An answer was not the page.
    """
    attack = f"{_PROGRAM} attack -rate={rate} -max-workers={_CLIENTS} -duration={_SECONDS}s {options}"
    report = remote.run(machine, f"echo GET {url} | {attack} | {_PROGRAM} report -type=json")
    found = json.loads(report)
    if found["success"] < 1:
        raise RuntimeError(f"{url} failed in {1 - found['success']:.2%} of all cases: {found['errors']}")
    of_time = found["latencies"]
    return Answers(found["throughput"], of_time["50th"] / 1e6, of_time["99th"] / 1e6)
