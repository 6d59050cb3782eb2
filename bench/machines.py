"""A second machine: how soon it serves, compared with by hand, and how soon others replace it."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import baseline, remote
from bench.clock import seconds
from bench.remote import KUBECTL
from lab import lifecycle
from lab.build import Report
from lab.machine import Machine, machines_of
from plugins.module_utils import http_probe

_PATIENCE = 300  # seconds
_APP = "-n apps -l app.kubernetes.io/name=hello"


def rows(
    founder: Machine,
    bundle: Path,
    made_by: baseline.Recipe,
    play: Callable[..., None],
    report: Report,
) -> Iterator[tuple[str, str]]:
    """Let a machine join by site.yml, cut its power, and let another of its name join by hand.

    Args:
        founder: The home's first machine, which site.yml has set up.
        bundle: What to install from by hand.
        made_by: The objects on the founder.
        play: Runs a playbook on the home, with variables.
        report: Receives the progress.
    """
    worker = _another(founder, report)
    joined = _seconds_until_serving(founder, worker, lambda: play("site.yml"))
    yield "a second machine, from `site.yml`'s start until it serves", f"{joined:.1f} s"
    yield (
        "from a power cut until an app's pods run elsewhere",
        f"{_seconds_until_elsewhere(founder, worker):.1f} s",
    )
    lifecycle.down(worker.name)
    play("playbooks/forget.yml", node=worker.name)
    worker = _another(founder, report)
    by_hand = seconds(lambda: baseline.join(founder, worker, bundle, made_by))
    by_hand += seconds(lambda: _wait_until_serving(founder, worker))
    yield "a second machine by hand: snap, images, join, until it serves", f"{by_hand:.1f} s"
    yield "a second machine, compared with by hand", f"{joined / by_hand:.2f} times"


def _another(founder: Machine, report: Report) -> Machine:
    lifecycle.up(founder.name, None, report, nodes=2)
    (worker,) = (machine for machine in machines_of(founder.name) if machine != founder)
    return worker


def _seconds_until_serving(founder: Machine, worker: Machine, site: Callable[[], None]) -> float:
    """Run site.yml, and return the seconds until the worker answered, which is before its end."""
    with ThreadPoolExecutor() as pool:
        started = time.monotonic()
        run = pool.submit(site)
        _wait_until_serving(founder, worker)
        waited = time.monotonic() - started
        run.result()
    return waited


def _wait_until_serving(founder: Machine, worker: Machine) -> None:
    ca = founder.directory / "secrets" / founder.name / "ca.crt"
    _wait(lambda: not http_probe.flaw("https://hello.home.arpa/", worker.address, str(ca)), "an answer")


def _seconds_until_elsewhere(founder: Machine, worker: Machine) -> float:
    """Cut the worker's power, and return the seconds until the founder has as many pods as both had."""
    wanted = len(_places(founder))
    remote.run(founder, f"{KUBECTL} -n apps rollout restart deployment/hello")  # so that one is on the worker
    remote.run(founder, f"{KUBECTL} -n apps rollout status deployment/hello --timeout={_PATIENCE}s")
    _wait(lambda: worker.name in _places(founder), "a pod on the worker")
    lifecycle.cut(worker.name)
    return seconds(lambda: _wait(lambda: _places(founder).count(founder.name) >= wanted, "pods elsewhere"))


def _places(founder: Machine) -> list[str]:
    """Return the node of each ready pod of the app."""
    pods = json.loads(remote.run(founder, f"{KUBECTL} get pods {_APP} -o json"))["items"]
    return [
        pod["spec"]["nodeName"]
        for pod in pods
        for condition in pod["status"].get("conditions", [])
        if (condition["type"], condition["status"]) == ("Ready", "True")
    ]


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {what} within {_PATIENCE} s")
        time.sleep(0.5)
