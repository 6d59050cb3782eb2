"""What a fault costs a home, measured from outside while clients use it."""

import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from harness.database import ask
from harness.home import Home, Kubectl, eventually
from harness.logs import Logs
from harness.machines import Machines
from harness.prometheus import Prometheus
from harness.recorder import Recorder
from harness.repeatedly import repeatedly
from harness.traffic import steady_traffic
from plugins.module_utils import http_probe

PAGES = ("hello", "second", "whoami", "prometheus", "alertmanager", "jaeger", "traefik")
PATIENCE = 600  # seconds, for an alert
RECOVERY = 300  # seconds, for a home to be healthy again
SCRAPES = 20  # seconds from one to the next, with some to spare


@dataclass(frozen=True)
class Victim:
    """A home to which faults happen."""

    home: Home
    machines: Machines
    kubectl: Kubectl
    logs: Logs
    prometheus: Prometheus
    recorder: Recorder

    def run(self, command: str) -> str:
        """Run a command on its machine, which has to succeed."""
        return str(self.machines.host(self.home.name).check_output(command))


@dataclass(frozen=True)
class Fault:
    """Something that happens to a home.

    Attributes:
        name: As in the table.
        begin: Lets it happen.
        end: Ends it, once its alert has arrived; without, it is over by itself.
        alert: The alert that it causes; empty for one that is over before an alert is due.
        boots: Whether its end is to switch on the machine, and so is over as soon as that begins.
        by_hand: Does what the owner has to do in the end, and tells what that is.
        loses: What cannot but be lost.
        loses_lines: Whether lines of answered requests are of that.
        long: Whether it takes minutes until its alert has arrived or all is healthy again.
        often: Whether it happens in each run of `make test`.
    """

    name: str
    begin: Callable[[Victim], object]
    end: Callable[[Victim], object] | None = None
    alert: str = ""
    boots: bool = False
    by_hand: Callable[[Victim], str] | None = None
    loses: str = ""
    loses_lines: bool = False
    long: bool = False
    often: bool = False

    @property
    def page(self) -> str:
        """What the owner reads about it, below docs/."""
        return f"runbooks/{self.alert}.md" if self.alert else "power.md"


@dataclass(frozen=True)
class Cost:
    """What a fault cost.

    Attributes:
        alert: Seconds until the message about it.
        pages: Seconds from its end until all pages answered.
        healthy: Seconds from its end until nothing was wrong any more.
        failed: Requests without a good answer, of all.
        asked: Requests.
        lines: Answered requests whose log line is lost.
        gap: Seconds without metrics.
        lost: What else was confirmed before and is lost.
        by_hand: What the owner had to do.
    """

    alert: float
    pages: float
    healthy: float
    failed: int
    asked: int
    lines: int
    gap: float
    lost: tuple[str, ...]
    by_hand: str


@dataclass
class Pages:
    """All pages of a home.

    Attributes:
        flaws: What was wrong with each, the last time that it was asked.
        failed: When one last failed, in seconds since the epoch.
        last: What was wrong then.
    """

    home: Home
    flaws: dict[str, str] = field(default_factory=dict)
    failed: float = 0
    last: dict[str, str] = field(default_factory=dict)

    def look(self) -> bool:
        """Ask all, and return whether all answer."""
        for name in PAGES:
            url = f"https://{name}.{self.home.domain}/"
            self.flaws[name] = http_probe.flaw(url, self.home.address, self.home.ca)
            if self.flaws[name]:
                self.failed = time.time()
        found = {name: flaw for name, flaw in self.flaws.items() if flaw}
        self.last = found or self.last
        return not found


def cost(victim: Victim, fault: Fault) -> Cost:
    """Let a fault happen while clients use the home, and measure until all is well again."""
    home, mark = victim.home, uuid.uuid4().hex
    pages = Pages(home)
    # A fault before this one may have kept Prometheus from scraping.
    assert eventually(lambda: pages.look() and _age(victim.prometheus) < SCRAPES, PATIENCE), pages.flaws
    ask(victim.kubectl, "CREATE TABLE IF NOT EXISTS marks (mark uuid)")
    row = ask(victim.kubectl, "INSERT INTO marks VALUES (gen_random_uuid()) RETURNING mark")
    with (
        steady_traffic(f"https://hello.{home.domain}/", home.ca, mark, clients=2) as answers,
        repeatedly(pages.look, 0.5),
    ):
        assert eventually(lambda: answers["200"] > 0, PATIENCE), answers
        began = time.time()
        fault.begin(victim)
        told = _told(victim, fault.alert, began) if fault.alert else 0
        over = began
        if fault.end:
            ends = time.time()
            fault.end(victim)
            over = ends if fault.boots else time.time()
        by_hand = fault.by_hand(victim) if fault.by_hand else ""
        # First the pages: after a power cut the cluster still takes its pods for ready.
        assert eventually(pages.look, RECOVERY), pages.flaws
        _settle(victim)
        healthy = time.time() - over
    sys.stdout.write(f"the last to fail: {pages.last}\n")
    rows = ask(victim.kubectl, "SELECT mark FROM marks").splitlines()
    last, gap = _metrics(victim.prometheus, began)
    lost = [] if row in rows else ["a row"]
    lost += [] if last <= SCRAPES else [f"metrics of {last:.0f} s"]
    return Cost(
        alert=told,
        pages=max(0, pages.failed - over),
        healthy=healthy,
        failed=answers.total() - answers["200"],
        asked=answers.total(),
        lines=_lines_lost(victim.logs, mark, answers),
        gap=gap,
        lost=tuple(lost),
        by_hand=by_hand,
    )


def _told(victim: Victim, alert: str, since: float) -> float:
    """Wait for the message about an alert, and return after how many seconds it came."""
    came: list[float] = []

    def arrived() -> bool:
        came[:] = [
            message.at
            for message in victim.recorder.of("/alerts")
            if message.at > since
            and message.content["status"] == "firing"
            and message.content["groupLabels"]["alertname"] == alert
        ]
        return bool(came)

    victim.recorder.wait(arrived, PATIENCE)
    return came[0] - since


def _settle(victim: Victim) -> None:
    """Wait until the home is healthy."""
    said: list[str] = []

    def healthy() -> bool:
        run = victim.home.play("playbooks/status.yml")
        said[:] = [run.stdout, run.stderr]
        return run.returncode == 0

    assert eventually(healthy, RECOVERY), "\n".join(said)


def _age(prometheus: Prometheus) -> float:
    """Return the age of the newest sample, in seconds."""
    age, _ = _metrics(prometheus, time.time())
    return age


def _metrics(prometheus: Prometheus, since: float) -> tuple[float, float]:
    """Return the age of the newest sample when it began, and the longest time without one, in seconds."""
    series = prometheus.api("query", query='up{job="prometheus"}[30m]', time=str(time.time()))["result"]
    times = sorted({float(at) for each in series for at, _ in each["values"]})
    before = max((at for at in times if at <= since), default=0.0)
    after = [at for at in times if at >= before]
    gaps = [second - first for first, second in zip(after, [*after[1:], time.time()], strict=True)]
    return since - before, max(gaps, default=0.0)


def _lines_lost(logs: Logs, mark: str, answers: Counter[str]) -> int:
    found = [0]

    def complete() -> bool:
        query = {"query": {"query_string": {"query": f'user_agent.original:"{mark}"'}}}
        with suppress(AssertionError):  # it may not answer yet
            found[0] = int(logs.ask("logs-traefik/_count", query)["count"])
        return found[0] >= answers["200"]

    eventually(complete, 180)
    return max(0, answers["200"] - found[0])
