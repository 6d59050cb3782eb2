"""Exports the number and delay of log lines, and the state of their senders, to Prometheus."""

import argparse
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from homeserver_logstore.client import Elasticsearch, RefusedError, UnreachableError
from homeserver_logstore.indices import STATE
from homeserver_logstore.senders import Sender, senders

INDICES = "logs-*,jaeger-*"
RECENT = "15m"
"""The period for which unparsed and rejected lines count."""
_TIMEOUT = 4.0
"""Timeout of a request in seconds; Prometheus waits for ten."""
_ALIAS = re.compile(r"(?:logs-(?P<dataset>.+?)|(?P<traces>jaeger)-.+?)(?:-\d+)?$")


class Sample(NamedTuple):
    """A value, with the name of its metric without the common prefix."""

    name: str
    value: float
    labels: Mapping[str, str] = {}


HELP = {
    "up": "Whether Elasticsearch responds.",
    "documents": "Number of stored lines; for traces, of stored spans and services.",
    "bytes": "Disk space that they use.",
    "unparsed_documents": f"Lines of the last {RECENT} that could not be parsed.",
    "invalid_documents": f"Lines of the last {RECENT} that Elasticsearch rejected.",
    "newest_timestamp_seconds": "Time of the newest line.",
    "lag_seconds": "Age of the newest line.",
    "retention_last_run_timestamp_seconds": (
        "Time of the last retention run; if there was none, start time of this exporter."
    ),
    "retention_bytes": "Disk space in use after the last retention run.",
    "retention_budget_bytes": "Disk budget of logs and traces.",
    "retention_deleted_indices": "Number of indices that the last retention run deleted.",
    "retention_failures": "Number of failures in the last retention run.",
    "filebeat_up": "Whether Filebeat's metrics are available.",
    "filebeat_events_active": "Lines that were read but not acknowledged yet.",
    "filebeat_events_read_total": "Lines that were read.",
    "filebeat_events_acked_total": "Lines that were acknowledged.",
    "filebeat_events_failed_total": "Lines that had to be sent again.",
    "filebeat_events_dropped_total": "Lines that were dropped.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--port", type=int, default=9114, help="port to listen on")
    parser.add_argument(
        "--filebeat", default="", metavar="HOST:PORT", help="address of all Filebeats' metrics"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve metrics until stopped."""
    client = Elasticsearch.from_environment(timeout=_TIMEOUT)
    with Server(client, arguments.filebeat, port=arguments.port) as server:
        server.serve_forever()
    return 0


class Server(ThreadingHTTPServer):
    """Collects the metrics on every request."""

    daemon_threads = True

    def __init__(self, client: Elasticsearch, filebeat: str, port: int = 0, host: str = "") -> None:
        """Listen; no request is answered yet.

        Args:
            client: The Elasticsearch that stores the lines.
            filebeat: Host and port of a name that resolves to all Filebeats; empty for none.
            port: The port to listen on; 0 for any free port.
            host: The address to listen on; empty for all.
        """
        super().__init__((host, port), _Handler)
        self._client = client
        self._filebeat = filebeat
        self._began = time.time()

    def page(self) -> str:
        """Return all metrics in Prometheus' format."""
        return "".join(_page([*store(self._client, self._began), *_of_senders(self._filebeat)]))


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = {"/metrics": self.server.page, "/healthz": _alive}.get(self.path)
        self.send_response(200 if content else 404)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        self.wfile.write((content() if content else "not found\n").encode())

    def log_message(self, *_: object) -> None:
        """Do not log requests: there is one every few seconds."""


def _alive() -> str:
    return "ok\n"


def store(client: Elasticsearch, began: float) -> Iterator[Sample]:
    """Yield Elasticsearch's metrics of lines and traces; only `up` = 0 if it does not respond.

    Args:
        client: The Elasticsearch that stores the lines.
        began: Start time of this exporter, in seconds since 1970.
    """
    try:
        found = [*_sizes(client), *_lines(client), *_invalid(client), *_retention(client, began)]
    except (RefusedError, UnreachableError) as error:
        sys.stderr.write(f"{error}\n")
        yield Sample("up", 0)
        return
    yield Sample("up", 1)
    yield from found


def dataset(index: str) -> str:
    """Return the source of an index: the dataset of its lines, or `traces`."""
    found = _ALIAS.match(index)
    return "traces" if not found or found["traces"] else found["dataset"]


def _sizes(client: Elasticsearch) -> Iterator[Sample]:
    documents: dict[str, int] = {}
    size: dict[str, int] = {}
    for index, stats in client.get(f"{INDICES}/_stats/docs,store")["indices"].items():
        name = dataset(index)
        documents[name] = documents.get(name, 0) + stats["primaries"]["docs"]["count"]
        size[name] = size.get(name, 0) + stats["total"]["store"]["size_in_bytes"]
    for name, number in documents.items():
        yield Sample("documents", number, {"dataset": name})
        yield Sample("bytes", size[name], {"dataset": name})


def _lines(client: Elasticsearch) -> Iterator[Sample]:
    unparsed = {"bool": {"filter": [_RECENTLY, {"terms": {"tags": ["parse_failed", "too_complex"]}}]}}
    sources = {
        "terms": {"field": "event.dataset", "size": 50},
        "aggs": {"newest": {"max": {"field": "@timestamp"}}, "unparsed": {"filter": unparsed}},
    }
    answer = client.post("logs-*/_search", {"size": 0, "aggs": {"sources": sources}})
    now = time.time()
    for source in answer.get("aggregations", {"sources": {"buckets": []}})["sources"]["buckets"]:
        labels = {"dataset": source["key"]}
        yield Sample("unparsed_documents", source["unparsed"]["doc_count"], labels)
        if source["newest"]["value"] is not None:
            newest = source["newest"]["value"] / 1000
            yield Sample("newest_timestamp_seconds", newest, labels)
            # A host's clock may be ahead.
            yield Sample("lag_seconds", max(now - newest, 0), labels)


def _invalid(client: Elasticsearch) -> Iterator[Sample]:
    yield Sample("invalid_documents", client.post("logs-invalid*/_count", {"query": _RECENTLY})["count"])


_RECENTLY: dict[str, Any] = {"range": {"@timestamp": {"gte": f"now-{RECENT}"}}}


def _retention(client: Elasticsearch, began: float) -> Iterator[Sample]:
    found = client.find(f"{STATE}/_doc/retention")
    if not found:
        yield Sample("retention_last_run_timestamp_seconds", began)
        return
    outcome = found["_source"]
    when = datetime.fromisoformat(outcome["@timestamp"])
    yield Sample("retention_last_run_timestamp_seconds", when.timestamp())
    yield Sample("retention_bytes", outcome["bytes"])
    yield Sample("retention_budget_bytes", outcome["limit_bytes"])
    yield Sample("retention_deleted_indices", len(outcome["deleted"]))
    yield Sample("retention_failures", len(outcome["failures"]))


def _of_senders(filebeat: str) -> Iterator[Sample]:
    for sender in senders(filebeat, _TIMEOUT) if filebeat else ():
        yield from _of_sender(sender)


def _of_sender(sender: Sender) -> Iterator[Sample]:
    labels = {"node": sender.node}
    yield Sample("filebeat_up", 1 if sender.events else 0, labels)
    for name, value in sender.events.items():
        kind = "" if name == "active" else "_total"
        yield Sample(f"filebeat_events_{name}{kind}", value, labels)


def _page(samples: Iterable[Sample]) -> Iterator[str]:
    ordered: dict[str, list[Sample]] = {}
    for sample in samples:
        ordered.setdefault(sample.name, []).append(sample)
    for name, each in ordered.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield f"# HELP logstore_{name} {HELP[name]}\n# TYPE logstore_{name} {kind}\n"
        for sample in each:
            labels = ",".join(f'{label}="{_escaped(value)}"' for label, value in sample.labels.items())
            yield f"logstore_{name}{{{labels}}} {float(sample.value)!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
