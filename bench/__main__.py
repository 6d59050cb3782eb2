"""Measure installation time, response time and memory of a home server.

Prints a table and writes it to docs/benchmark.md. Needs root, and an hour with an empty cache; a part of it
alone, of which only the rows are replaced there, some ten minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import baseline, logs, machines, memory, monitoring, recovery, traces
from bench.clock import seconds
from bench.page import Row, faults_of, page, replaced, rows_of
from bench.remote import wait_for_port
from lab import lifecycle
from lab.build import build
from lab.machine import Machine

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "benchmark.md"
LOAD_SECONDS = 20


def main() -> None:
    """Run all measurements one after another."""
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--cached", action="store_true", help="skip the build with an empty cache")
    options.add_argument("--only", choices=sorted(_PARTS), help="measure this part alone")
    chosen = options.parse_args()
    if chosen.only:
        measured = [_shown(row) for row in _PARTS[chosen.only]()]
        measured = replaced(rows_of(PAGE.read_text()), measured)
    else:
        measured = [_shown(row) for row in (_stages() if chosen.cached else _stages_from_scratch())]
    PAGE.write_text(page(measured, faults_of(PAGE.read_text())))
    print(PAGE.read_text())


def _shown(row: Row) -> Row:
    """Print each row as soon as it is measured, so that a later failure cannot lose it."""
    _report(": ".join(row))
    return row


def _stages_from_scratch() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="homeserver-bench-") as cache:
        os.environ["HOMESERVER_LAB_CACHE"] = cache
        yield "everything built, nothing cached", f"{seconds(lambda: build(_report)):.1f} s"
        yield from _stages()


def _stages() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as kept:
        with _machine("bench") as (machine, boot):
            yield "machine created and booted, everything cached", f"{boot:.1f} s"
            first = seconds(lambda: _play(machine, "site.yml"))
            yield "`site.yml`, first run", f"{first:.1f} s"
            yield "`site.yml`, second run", f"{seconds(lambda: _play(machine, 'site.yml')):.1f} s"
            yield from _load_directly()
            yield from memory.rows(machine)
            yield from traces.cost(machine, _play, partial(_load_through_traefik, machine))
            yield from traces.rows(machine)
            yield from monitoring.rows(machine)
            yield from logs.rows(machine)
            recipe = baseline.recipe(machine, Path(kept))
            yield from monitoring.fault_to_message(machine, partial(_play, machine))
            yield from _machines(machine, recipe)
        yield from _recovery()
        with _machine("baseline") as (machine, _):
            parts = baseline.measure(machine, build(_report).bundle, recipe)
    for what, took in parts.items():
        yield f"by hand: {what}", f"{took:.1f} s"
    yield "`site.yml`, first run, compared with by hand", f"{first / sum(parts.values()):.2f} times"


def _runs_and_requests() -> Iterator[Row]:
    with _machine("bench") as (machine, _):
        for run in ("first", "second"):
            yield f"`site.yml`, {run} run", f"{seconds(lambda: _play(machine, 'site.yml')):.1f} s"
        yield from traces.cost(machine, _play, partial(_load_through_traefik, machine))


def _second_machine() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as kept, _machine("bench") as (machine, _):
        _play(machine, "site.yml")
        yield from _machines(machine, baseline.recipe(machine, Path(kept)))


def _recovery() -> Iterator[Row]:
    with _machine("bench") as (machine, _):
        _play(machine, "site.yml")
        yield from recovery.rows(machine, _play, _report)


# What can be measured alone, by its name on the command line.
_PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "machines": _second_machine,
    "recovery": _recovery,
    "requests": _runs_and_requests,
}


def _machines(machine: Machine, recipe: baseline.Recipe) -> Iterator[Row]:
    bundle = build(_report).bundle
    return machines.rows(
        machine,
        lambda worker: baseline.join(machine, worker, bundle, recipe),
        partial(_play, machine),
        partial(_load_through_traefik, machine),
        _report,
    )


@contextmanager
def _machine(name: str) -> Iterator[tuple[Machine, float]]:
    """Create a new machine, yield it with the seconds that took, and remove it."""
    lifecycle.down(name)
    started = time.monotonic()
    yield lifecycle.up(name, None, _report), time.monotonic() - started
    lifecycle.down(name)


def _play(machine: Machine, playbook: str, **variables: object) -> None:
    # All load comes from one client.
    given = {"traefik_rate_limit_per_second": 0, **variables}
    _run("ansible-playbook", "-i", str(machine.inventory), playbook, "-e", json.dumps(given))


def _load_directly() -> Iterator[Row]:
    """Measure the app under gunicorn on this host, with and without access logs."""
    for level, which in (("info", "with access logs"), ("error", "without access logs")):
        environment = os.environ | {"PYTHONPATH": "src", "HOMESERVER_APP_LOG_LEVEL": level}
        server = subprocess.Popen(["gunicorn"], cwd=ROOT / "app", env=environment, stdout=subprocess.DEVNULL)
        try:
            wait_for_port(8000)
            result = _load("http://127.0.0.1:8000")
        finally:
            server.terminate()
            server.wait()
        yield (
            f"the app through gunicorn {which}: requests, p50, p99",
            f"{result['rate']}, {result['p50']}, {result['p99']}",
        )


def _load_through_traefik(machine: Machine, address: str = "") -> dict[str, str]:
    ca = machine.directory / "secrets" / machine.name / "ca.crt"
    return _load("https://hello.home.arpa", "--ca", str(ca), "--address", address or machine.address)


def _load(url: str, *arguments: str) -> dict[str, str]:
    """Return the results of a load test by name."""
    command = [sys.executable, "-m", "loadtest", url, "--seconds", str(LOAD_SECONDS), *arguments]
    done = subprocess.run(command, cwd=ROOT / "app", stdout=subprocess.PIPE, text=True, check=True)
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line)


def _run(*command: str, **environment: str) -> None:
    subprocess.run(command, cwd=ROOT, env=os.environ | environment, stdout=sys.stderr, check=True)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
