"""The metrics of all workers, served on one port."""

import os
import platform
from bisect import bisect_left
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from homeserver_app import exemplars

# prometheus_client's own variable: the directory through which the processes share their metrics.
DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))


@dataclass(frozen=True)
class Answer:
    """The labels of a response."""

    method: str
    route: str
    status: int
    browser: str


class Metrics:
    """The app's metrics.

    Attributes:
        in_progress: Requests being handled.
        greetings: Greetings served, by format.
    """

    def __init__(self, registry: CollectorRegistry, revision: str) -> None:
        """Register the metrics; `revision` is a label of the build information."""
        self.in_progress = Gauge(
            "http_requests_in_progress",
            "Requests being handled.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.greetings = Counter(
            "homeserver_app_greetings", "Greetings served.", ["format"], registry=registry
        )
        self._requests = Counter(
            "http_requests", "Requests answered.", ["method", "route", "status", "browser"], registry=registry
        )
        self._duration = Histogram(
            "http_request_duration_seconds",
            "Time to answer a request.",
            ["method", "route"],
            buckets=BUCKETS,
            registry=registry,
        )
        build = Gauge(
            "homeserver_app_build_info",
            "What is running; always 1.",
            ["revision", "python"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        build.labels(revision=revision, python=platform.python_version()).set(1)
        directory = os.environ.get(DIRECTORY_VARIABLE)
        self._exemplars = exemplars.ExemplarFile(Path(directory)) if directory else None

    def observe(self, answer: Answer, seconds: float, trace_id: str | None) -> None:
        """Count a response, with its trace as the exemplar of its duration."""
        labels = {"method": answer.method if answer.method in METHODS else "other", "route": answer.route}
        self._requests.labels(**labels, status=str(answer.status), browser=answer.browser).inc()
        self._duration.labels(**labels).observe(seconds)
        if self._exemplars and trace_id:
            bucket = floatToGoString(BUCKETS[bisect_left(BUCKETS, seconds)])  # type: ignore[no-untyped-call]
            self._exemplars.put(labels | {"le": bucket}, seconds, trace_id)


class MergedMetrics(Collector):
    """The metrics of all processes that share a directory, with their exemplars."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._merged = MultiProcessCollector(None, str(directory))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        """Merge the current metrics of all processes."""
        found = exemplars.read(self._directory)
        for metric in self._merged.collect():  # type: ignore[no-untyped-call]
            metric.samples = [
                sample._replace(exemplar=found.get(frozenset(sample.labels.items())))
                for sample in metric.samples
            ]
            yield metric


def serve(host: str, port: int, directory: Path) -> None:
    """Serve the merged metrics from a thread of this process.

    Raises:
        OSError: Cannot listen on the port.
    """
    registry = CollectorRegistry()
    registry.register(MergedMetrics(directory))
    start_http_server(port, host, registry)


def clear(directory: Path) -> None:
    """Create the directory and delete all metrics in it; those of an earlier run would be counted again.

    Raises:
        OSError: Cannot create the directory or write to it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for pattern in ("*.db", exemplars.FILES):
        for file in directory.glob(pattern):
            file.unlink()


def remove(directory: Path) -> None:
    """Delete all metrics, and the directory unless it is a volume."""
    clear(directory)
    with suppress(OSError):
        directory.rmdir()


def forget(directory: Path, pid: int) -> None:
    """Delete the gauges of a process that exited; its counters stay."""
    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
    exemplars.file_of(directory, pid).unlink(missing_ok=True)
