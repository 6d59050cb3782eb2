"""A second machine: how soon it serves, compared with by hand, and how soon others replace it."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from bench import load, remote
from bench.clock import seconds
from bench.load import Answers
from bench.page import Row, row
from bench.remote import KUBECTL
from lab import lifecycle
from lab.build import Report
from lab.machine import Machine, machines_of
from plugins.module_utils import http_probe
from plugins.module_utils.kubernetes import rollout

_GROUP = "Machines"
_PATIENCE = 600  # seconds
_APP = "-n apps -l app.kubernetes.io/name=hello"


def rows(
    founder: Machine,
    join: Callable[[Machine], None],
    play: Callable[..., None],
    report: Report,
) -> Iterator[Row]:
    """Let a machine join by site.yml, cut its power, and let another of its name join by hand.

    Args:
        founder: The home's first machine, which site.yml has set up.
        join: Makes a fresh machine a worker by hand.
        play: Runs a playbook on the home, with variables.
        report: Receives the progress.
    """
    load.prepare(founder, report)
    load.through_traefik(founder)  # programs are faster after a warm-up
    yield _rate("the app at one machine", [load.through_traefik(founder)])
    worker = _another(founder, report)
    joined = _seconds_until_serving(founder, worker, lambda: play("site.yml"))
    yield row(_GROUP, "a second machine, from the start of `site.yml` until it serves", joined, "s")
    wanted = _spread(founder, worker)
    with ThreadPoolExecutor() as pool:
        addresses = (founder.address, worker.address)
        results = list(pool.map(lambda address: load.through_traefik(founder, address=address), addresses))
    yield _rate("the app at two machines at once", results)
    moved = _seconds_until_elsewhere(founder, worker, wanted)
    yield row(_GROUP, "from a power cut until an app's pods run elsewhere", moved, "s")
    lifecycle.down(worker.name)
    play("playbooks/remove_node.yml", node=worker.name)
    before, worker = worker, _another(founder, report)
    if worker.address != before.address:  # Traefik and the firewall would have to be told
        raise RuntimeError(f"{worker.name} has the address {worker.address} and not {before.address}")
    by_hand = seconds(lambda: join(worker))
    by_hand += seconds(lambda: _wait(lambda: _serves(founder, worker), "an answer of it"))
    yield row(_GROUP, "a second machine by hand: snap, images, join, until it serves", by_hand, "s")
    yield row(_GROUP, "a second machine, compared with by hand", joined / by_hand, "times")


def _rate(what: str, results: Sequence[Answers]) -> Row:
    """Return the requests per second of all."""
    together = sum(result.rate for result in results)
    return row(_GROUP, f"{what}: requests", together, "per second", more_is_better=True)


def _another(founder: Machine, report: Report) -> Machine:
    lifecycle.up(founder.name, None, report, nodes=2)
    (worker,) = (machine for machine in machines_of(founder.name) if machine.name != founder.name)
    return worker


def _seconds_until_serving(founder: Machine, worker: Machine, site: Callable[[], None]) -> float:
    """Run site.yml, and return the seconds until the worker answered, which is before its end."""
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        run = pool.submit(site)
        _wait(lambda: _failed(run) or _serves(founder, worker), "an answer of the new machine")
        waited = time.monotonic() - started
        run.result()
    return waited


def _failed(run: Future[None]) -> bool:
    return run.done() and run.exception() is not None


def _serves(founder: Machine, worker: Machine) -> bool:
    ca = founder.directory / "secrets" / founder.name / "ca.crt"
    return not http_probe.flaw("https://hello.home.arpa/", worker.address, str(ca))


def _spread(founder: Machine, worker: Machine) -> int:
    """Let the app's pods start anew, so that one is on the worker; return how many there are."""
    wanted = len(_places(founder))
    remote.run(founder, f"{KUBECTL} -n apps rollout restart deployment/hello")
    remote.run(founder, f"{KUBECTL} -n apps rollout status deployment/hello --timeout={_PATIENCE}s")
    _wait(lambda: worker.name in _places(founder), "pod on the worker")
    return wanted


def _seconds_until_elsewhere(founder: Machine, worker: Machine, wanted: int) -> float:
    """Cut the worker's power, and return the seconds until the founder has as many pods as both had."""
    started = time.monotonic()
    lifecycle.cut(worker.name)
    _wait(lambda: _places(founder).count(founder.name) >= wanted, f"{wanted} pods elsewhere")
    return time.monotonic() - started


def _places(founder: Machine) -> list[str]:
    """Return the node of each ready pod of the app."""
    pods = json.loads(remote.run(founder, f"{KUBECTL} get pods {_APP} -o json"))["items"]
    return [pod["spec"]["nodeName"] for pod in pods if rollout.is_ready(pod)]


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {_PATIENCE} s")
        time.sleep(0.5)
