"""The page with all measurements: a table for each group of rows, and a part about faults."""

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

FILE = Path(__file__).parents[1] / "docs/benchmark.md"
FAULTS = "\n## Faults\n"
ENOUGH = 3  # measurements, for a spread that tells something

# Each with what a reader has to know about its rows.
GROUPS = {
    "Build": "All that a machine of the lab runs, compiled from its sources: Kubernetes, Calico,\n"
    "Prometheus, Jaeger, the Collector and more. The compilers use both cores from start to end. Half of\n"
    "the time is for Kubernetes, its addons, Prometheus and the Collector, which share a module, so that\n"
    "each of their packages is compiled once. Calico and Jaeger need other versions of these packages,\n"
    "and take a fifth each.",
    "Runs": "By hand means: the same snap, images and manifests, installed with snap, ctr and\n"
    "`kubectl apply --server-side`, which is the least it can take. Half of what `site.yml` takes longer is\n"
    "what a second run takes, too: it checks host, inventory and every object in the cluster. It starts 69\n"
    "tasks, of which 32 are skipped. Half of its time is the processor time of Ansible: two fifths of that\n"
    "to evaluate expressions and templates, which each task compiles in a process of its own, a tenth to\n"
    "pack modules, a tenth to decide what is skipped. The rest is the work on the host, the requests to the\n"
    "cluster, and 4 s until a test line has arrived in Elasticsearch.",
    "Requests": "From 20 clients of vegeta, which share the cores with the home: at full speed, processor\n"
    "time is the limit. Through Traefik, a request takes 1.5 ms of it in the app, 0.8 in Traefik, 0.8 in\n"
    "Filebeat and Elasticsearch for its log line, and 0.4 in Kubernetes; through the Service, it takes 1.0\n"
    "in the app. So Traefik alone, without any log, would leave 0.57 times the rate of the Service.",
    "Logs": "Lines of a pod, until a search in Elasticsearch finds them.",
    "Traces": "Until Jaeger shows the spans of Traefik and of the app.",
    "Metrics and alerts": "What Prometheus reports about itself, and the alert about an app that fails.",
    "Idle": "A home that nobody uses. Memory that several programs share is divided among them. Kubernetes\n"
    "takes 1.1 GiB of it and half of the processor time; Elasticsearch takes another 1.1 GiB, of which\n"
    "768 MiB are its heap, and a quarter of the time.",
    "Idle, without logs and traces": "The same with `homeserver_logging_enabled: false`. What is left is\n"
    "Kubernetes, Prometheus with its exporters, Traefik and the app.",
    "Machines": "All machines of the lab share the cores.",
    "Compose files": "Two collections that many people use, getumbrel/umbrel-apps and\n"
    "IceWhaleTech/CasaOS-AppStore, with the variables and files that their systems provide. A file with\n"
    "remarks runs, with differences that the import names; most only ask which user an image has, because\n"
    "no registry could be reached here. A file counts once for each of its reasons. Privileged containers,\n"
    "disks, Docker's socket and the server's own files are refused. A file is accepted if a real API server\n"
    "takes all objects and pods of its apps, with the Pod Security of their namespaces.",
    "Upgrades": "Measured by `make test-upgrade`.",
    "Growth": "One home, which gets more of each, in the order of the table: its apps are counted after all\n"
    "the rest. Millions of lines are copies of the first, and share the disk.\n\n"
    "![Curves of the table below](pictures/growth.svg)\n\n"
    "What one machine holds, on paper: a GiB of disk keeps seven million lines of Traefik's, and fifty\n"
    "million are still searched within half a second. With its 1024 MiB, Prometheus holds 200,000 series\n"
    "more than a new home's 7,000; beyond them, give it more, or keep them outside. A small app takes\n"
    "10 MiB with its pod, and a run 0.2 s longer; Kubernetes runs 110 pods on a machine. So what ends first\n"
    "is the memory of the apps themselves: then a second machine is due. Three Elasticsearch are due when\n"
    "logs must outlive a machine, before their number asks for it.",
    "Backups": "To a directory on the same disk, of data that cannot be compressed.",
}
_AIMS = {
    "everything built, nothing cached": "15 min",
    "`site.yml`, second run": "15 s",
    "`site.yml`, first run, compared with by hand": "1.25 times",
    "the app through Traefik, compared with its Service": "0.70 times",
    "the app through Traefik with every request traced: p50 at 100 per second": "3 ms",
    "the app through Traefik with every request traced: p99 at 100 per second": "20 ms",
    "lines stored and searchable, of 100000 written at once": "5000 per second",
    "disk for each stored line": "150 bytes",
    "from an app's failure to the notification, without the rule's wait": "30 s",
    "memory of the whole machine": "3072 MiB",
    "processor": "0.15 cores",
    "memory of the whole machine, without logs and traces": "1638 MiB",
    "a second machine, compared with by hand": "1.3 times",
}
_HEADER = "| what | measured | spread | before | aim |\n| --- | --- | --- | --- | --- |\n"
_WORSE = ", **now worse**"
_NUMBER = re.compile(r"-?[0-9.]+")


@dataclass(frozen=True)
class Row:
    """What was measured, once or several times.

    Attributes:
        group: One of GROUPS.
        what: As in its table.
        values: Each measurement.
        unit: Of the values.
        more_is_better: Whether a greater value is the better one.
        before: What the page said before, as in its table.
    """

    group: str
    what: str
    values: tuple[float, ...]
    unit: str
    more_is_better: bool = False
    before: str = ""

    @property
    def measured(self) -> str:
        """The median, with its unit."""
        return f"{_plain(median(self.values))} {self.unit}".rstrip()

    @property
    def spread(self) -> str:
        """The least and the greatest value; empty for a single one."""
        low, high = min(self.values), max(self.values)
        return f"{_plain(low)} to {_plain(high)}" if len(self.values) > 1 else ""

    def is_worse_than(self, other: "Row") -> bool:
        """Whether it got worse by more than its own spread."""
        if len(self.values) < ENOUGH:
            return False
        more = median(self.values) - median(other.values)
        return (-more if self.more_is_better else more) > max(self.values) - min(self.values)

    def compared_with(self, other: "Row") -> "Row":
        """Return it with what the other says as before."""
        return replace(self, before=other.measured + (_WORSE if self.is_worse_than(other) else ""))


def row(group: str, what: str, value: float, unit: str, *, more_is_better: bool = False) -> Row:
    """Return a row of one measurement."""
    return Row(group, what, (value,), unit, more_is_better)


def merged(rows: Iterable[Row]) -> list[Row]:
    """Return one row for each thing that was measured, with all of its values."""
    found: dict[str, Row] = {}
    for each in rows:
        values = found[each.what].values if each.what in found else ()
        found[each.what] = replace(each, values=values + each.values)
    return list(found.values())


def worse(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that got worse."""
    return [each for each in rows if each.before.endswith(_WORSE)]


def rows_of(text: str) -> list[Row]:
    """Return the rows of a page that `page` made; of many values, the least, the median and the greatest."""
    measured, _, _ = text.partition(FAULTS)
    found: list[Row] = []
    group = ""
    for line in measured.splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        elif line.startswith("| ") and f"{line}\n" not in _HEADER:
            what, value, spread, before, _ = line[2:].rsplit(" |", 5)[:5]
            number, _, unit = value.strip().partition(" ")
            low, *high = map(float, _NUMBER.findall(spread) or [number])
            values = (low, float(number), *high) if high else (low,)
            found.append(Row(group, what, values, unit, before=before.strip()))
    return found


def replaced(rows: Iterable[Row], anew: Iterable[Row]) -> list[Row]:
    """Return the rows with those that were measured anew, each compared with what it was."""
    known = {each.what: each for each in rows}
    for each in anew:
        known[each.what] = each.compared_with(known[each.what]) if each.what in known else each
    return list(known.values())


def without_stale(rows: Iterable[Row], measured: Iterable[Row]) -> list[Row]:
    """Return the rows without those that nobody measures any more, as the groups that were measured show."""
    groups = {each.what: each.group for each in measured}
    return [each for each in rows if each.what in groups or each.group not in groups.values()]


def faults_of(text: str) -> str:
    """Return the last part of such a page, which `make chaos` writes."""
    _, title, faults = text.partition(FAULTS)
    return title + faults


def page(rows: Iterable[Row], faults: str) -> str:
    """Return the page of all rows, and the part about faults."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    machine = f"{os.cpu_count()} cores and {memory_gib:.0f} GiB, {system}, Python {platform.python_version()}"
    by_group: dict[str, list[Row]] = {group: [] for group in GROUPS}
    for each in rows:
        by_group[each.group].append(each)
    return (
        "# Benchmark\n\n"
        f"Measured by `make bench` in the lab, on {machine}.\n"
        "Of several measurements, the page shows the median, and the spread from the least to the greatest.\n"
        "**now worse** marks what got worse by more than its spread. Compare rows of one run: on another\n"
        f"day, the same machine may be slower.\n{_tables(by_group)}{faults}"
    )


def _tables(by_group: Mapping[str, list[Row]]) -> str:
    return "".join(
        f"\n## {group}\n\n{GROUPS[group]}\n\n{_HEADER}{''.join(map(_line, rows))}"
        for group, rows in by_group.items()
        if rows
    )


def _line(each: Row) -> str:
    cells = (each.what, each.measured, each.spread, each.before, _AIMS.get(each.what, ""))
    return f"| {' | '.join(cells)} |\n"


def _plain(number: float) -> str:
    """Return a number with three digits that tell something."""
    if not number:
        return "0"
    size = abs(number)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    return f"{number:.{digits}f}"
