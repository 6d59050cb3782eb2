"""A home of one machine loses its power, and is back by itself, with all that was confirmed before."""

import time
import uuid
from dataclasses import dataclass

import pytest
import requests

from plugins.module_utils import http_probe
from tests.support.database import ask
from tests.support.home import Home, Kubectl, eventually
from tests.support.logs import Logs
from tests.support.machines import Machines
from tests.support.prometheus import Prometheus

PAGES = ("hello", "second", "whoami", "prometheus", "alertmanager", "jaeger", "traefik")
SCRAPES = 20  # seconds from one to the next, with some to spare


@dataclass(frozen=True)
class Cut:
    """What was before a power cut.

    Attributes:
        at: When it was, in seconds since the epoch.
        started: When the machine was switched on again.
        mark: What a request and its log line have in common.
        row: A row of a database.
        jaeger: How often Jaeger had been restarted.
    """

    at: float
    started: float
    mark: str
    row: str
    jaeger: int


@pytest.fixture(scope="module")
def cut(home: Home, kubectl: Kubectl, machines: Machines, logs: Logs) -> Cut:
    """Use the home, cut its power, and switch it on again."""
    mark = uuid.uuid4().hex
    answer = requests.get(
        f"https://hello.{home.domain}/", headers={"User-Agent": mark}, verify=home.ca, timeout=10
    )
    assert answer.status_code == 200
    logs.wait(f'user_agent.original:"{mark}"', "logs-traefik")
    ask(kubectl, "CREATE TABLE IF NOT EXISTS marks (mark uuid)")
    row = ask(kubectl, "INSERT INTO marks VALUES (gen_random_uuid()) RETURNING mark")
    before = _restarts_of_jaeger(kubectl)
    at = time.time()
    machines.cut(home.name)
    started = time.time()
    machines.start(home.name)
    return Cut(at, started, mark, row, before)


def test_all_pages_are_back(home: Home, cut: Cut, capfd: pytest.CaptureFixture[str]) -> None:
    wrong: dict[str, str] = {}

    def serve() -> bool:
        wrong.update(
            {name: http_probe.flaw(f"https://{name}.{home.domain}/", home.address, home.ca) for name in PAGES}
        )
        return not any(wrong.values())

    assert eventually(serve, 300), wrong
    with capfd.disabled():
        print(f"\nall pages answer {time.time() - cut.started:.0f} s after the start")  # noqa: T201


def test_everything_runs_again_by_itself(home: Home, cut: Cut, capfd: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def healthy() -> bool:
        run = home.play("playbooks/status.yml")
        said[:] = [run.stdout]
        return run.returncode == 0

    assert eventually(healthy, 300), said
    with capfd.disabled():
        print(f"\neverything runs {time.time() - cut.started:.0f} s after the start")  # noqa: T201


def test_jaeger_waited_for_elasticsearch(kubectl: Kubectl, cut: Cut) -> None:
    assert _restarts_of_jaeger(kubectl) <= cut.jaeger + 1


def test_a_row_is_kept(kubectl: Kubectl, cut: Cut) -> None:
    assert cut.row in ask(kubectl, "SELECT mark FROM marks").splitlines()


def test_a_line_is_kept(logs: Logs, cut: Cut) -> None:
    assert logs.wait(f'user_agent.original:"{cut.mark}"', "logs-traefik")


def test_metrics_are_kept_until_the_cut(prometheus: Prometheus, cut: Cut) -> None:
    series = prometheus.api("query", query='up{job="prometheus"}[5m]', time=str(cut.at))["result"]
    last = max(float(at) for each in series for at, _ in each["values"])

    assert cut.at - last <= SCRAPES


def test_requests_are_logged_again(home: Home, logs: Logs, cut: Cut) -> None:
    mark = f"after-{cut.mark}"
    requests.get(f"https://hello.{home.domain}/", headers={"User-Agent": mark}, verify=home.ca, timeout=10)

    assert logs.wait(f'user_agent.original:"{mark}"', "logs-traefik", seconds=120)


def _restarts_of_jaeger(kubectl: Kubectl) -> int:
    (pod,) = kubectl.get("-n tracing pods -l app.kubernetes.io/name=jaeger")["items"]
    return int(pod["status"]["containerStatuses"][0]["restartCount"])
