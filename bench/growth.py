"""What grows with a home: runs with its apps, memory with pods and series, searches with kept lines."""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench import idle, monitoring
from bench.clock import seconds
from bench.logs import Store, store, used
from bench.page import Row, row
from lab.machine import Machine

APPS = (1, 10, 50)
SERIES = (50_000, 100_000, 200_000)
LINES = (1, 10, 50)  # million
# By default an app asks for so much processor time that two cores have room for fewer.
_SMALL = {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}}
_GROUP = "Growth"
_PATIENCE = 600  # seconds
_HELLO = "{{ flask_app_hello }}"
_PER_POD = 10_000  # series
_MILLION = 1_000_000
_BULK = 10_000  # lines
_INDEX = "growth"
# Of the answers, seconds that Elasticsearch took.
_SEARCHES = {
    "the newest 50 that contain a word": {
        "query": {"match": {"message": "favicon"}},
        "size": 50,
        "sort": [{"@timestamp": "desc"}],
    },
    "all by status": {"size": 0, "aggs": {"status": {"terms": {"field": "http.response.status_code"}}}},
}
# Serves a number of series at all paths. Ansible must find no template in it.
_EXPORTER = """
import http.server, sys
page = "".join('growth{number="%d"} %d\\n' % (n, n) for n in range(int(sys.argv[1]))).encode()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(page)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""

Play = Callable[..., None]


def rows(machine: Machine, play: Play) -> Iterator[Row]:
    """Let a home grow in each way, one after the other.

    Args:
        machine: The home, which site.yml has set up.
        play: Runs a playbook on it, with variables.
    """
    yield from _lines(machine)
    yield from _series(machine, play)
    yield from _apps(machine, play)


def _apps(machine: Machine, play: Play) -> Iterator[Row]:
    """Run more and more apps of one pod each."""
    for count in APPS:
        apps = [_HELLO, *map(_another, range(1, count))]
        play("site.yml", apps=apps)
        took = seconds(lambda: play("site.yml", apps=apps))  # noqa: B023
        yield row(_GROUP, f"`site.yml`, second run, at {count} apps", took, "s")
        memory = sum(idle.memory(machine).values())
        yield row(_GROUP, f"memory of the whole machine, at {count} apps", memory, "MiB")


def _another(number: int) -> dict[str, Any]:
    return {
        "name": f"app-{number}",
        "image": "ghcr.io/mccutchen/go-httpbin:2.26.0",
        "port": 8080,
        "liveness_path": "/status/200",
        "readiness_path": "/status/200",
        "replicas": 1,
        "resources": _SMALL,
    }


def _series(machine: Machine, play: Play) -> Iterator[Row]:
    """Scrape more and more series from an app, and see what Prometheus takes."""
    for count in SERIES:
        play("playbooks/stages/run_apps.yml", apps=[_HELLO, _exporter(count)])
        play("playbooks/stages/monitoring.yml", prometheus_samples_per_app=2 * _PER_POD)
        _wait_for_series(machine, count)
        for what, figure in monitoring.figures(machine):
            if what != "series":
                yield row(_GROUP, f"Prometheus: {what}, at {count} more series", *figure)


def _exporter(series: int) -> dict[str, Any]:
    return {
        "name": "growth",
        "source": "{{ flask_app_hello.source }}",
        "command": ["python3", "-c", _EXPORTER, str(_PER_POD)],
        "port": 0,
        "probe": "none",
        "routes": [],
        "metrics_port": 8000,
        "replicas": series // _PER_POD,
        "resources": _SMALL,
    }


def _wait_for_series(machine: Machine, count: int) -> None:
    """Wait until two more scrapes found all, so that memory shows it.

    Raises:
        TimeoutError: Prometheus has fewer.
    """
    found = 0.0
    deadline = time.monotonic() + _PATIENCE
    while found < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Prometheus has {found:.0f} of {count} series")
        time.sleep(1)
        found = monitoring.value(machine, "count(growth)")
    time.sleep(60)


def _lines(machine: Machine) -> Iterator[Row]:
    """Keep more and more lines like Traefik's, and search them.

    The first million is written. Its copies share the disk, but have to be searched all the same.
    """
    with store(machine) as logs:
        newest = {"size": 1, "sort": [{"@timestamp": "desc"}], "query": {"exists": {"field": "url.path"}}}
        (like,) = logs.post("logs-traefik/_search", newest)["hits"]["hits"]
        _write(logs, like["_source"])
        million = used(logs, _INDEX) / 2**20
        copies = 1
        for millions in LINES:
            for number in range(copies, millions):
                logs.post(f"{_INDEX}/_clone/{_INDEX}-{number}?wait_for_active_shards=1")
            copies = millions
            yield row(_GROUP, f"disk, at {millions} million lines", millions * million, "MiB")
            for what, question in _SEARCHES.items():
                took = _seconds(logs, question)
                yield row(_GROUP, f"search for {what}, at {millions} million lines", took, "s")
        logs.delete(",".join([_INDEX, *(f"{_INDEX}-{number}" for number in range(1, copies))]))


def _write(logs: Store, like: Mapping[str, Any]) -> None:
    """Write lines that differ as Traefik's do: in time, ids, path and duration."""
    mappings = max(logs.get("logs-traefik/_mapping").items())[1]["mappings"]
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "codec": "best_compression"}
    logs.put(_INDEX, {"settings": settings, "mappings": mappings})
    for begin in range(0, _MILLION, _BULK):
        lines = [_line(like, number) for number in range(begin, begin + _BULK)]
        body = "".join(f'{{"create":{{}}}}\n{json.dumps(line)}\n' for line in lines)
        if logs.bulk(_INDEX, body)["errors"]:
            raise RuntimeError("Elasticsearch refused lines")
    logs.post(f"{_INDEX}/_forcemerge?max_num_segments=5")
    logs.put(f"{_INDEX}/_settings", {"index.blocks.write": True})


def _line(like: Mapping[str, Any], number: int) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - number / 10))
    path = ("/", "/orders", "/favicon.ico", f"/orders/{number}")[number % 4]
    return {
        **like,
        "@timestamp": f"{at}.{number % 1000:03}Z",
        "message": f"GET {path} 200",
        "url": {**like["url"], "path": path},
        "event": {**like["event"], "duration": number * 40503 % _MILLION},
        "trace": {"id": uuid.uuid4().hex},
        "span": {"id": uuid.uuid4().hex[:16]},
    }


def _seconds(logs: Store, question: Mapping[str, Any]) -> float:
    """Return how long a search takes whose answer is not remembered."""
    return float(logs.post(f"{_INDEX}*/_search?request_cache=false", question)["took"]) / 1000
