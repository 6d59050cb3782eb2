"""A marked line is found, or the hop where it was last seen is reported."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from homeserver_logstore.__main__ import main

NODE = "attic"


class Hops:
    """Elasticsearch, Filebeat and Logstash on one loopback port.

    Attributes:
        read: the number of lines that Filebeat reads between two queries.
        sent: the number of lines that it sends.
        passed: the number of lines that Logstash forwards.
        hit: the result of a search, by its search term.
        down: paths that return an error.
    """

    def __init__(self) -> None:
        self.read = self.sent = self.passed = 1
        self.hit: Callable[[str], dict[str, Any] | None] = lambda _: None
        self.down: set[str] = set()
        self.name = NODE
        self.queries = 0
        self.port = 0

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/":
            return {"name": self.name}
        if path == "/stats":
            self.queries += 1
            events = {"published": self.queries * self.read}
            acked = {"acked": self.queries * self.sent}
            return {"libbeat": {"pipeline": {"events": events}, "output": {"events": acked}}}
        if path == "/_node/stats/events":
            return {"events": {"in": 5, "out": self.queries * self.passed}}
        hit = self.hit(body["query"]["match_phrase"]["message"])
        return {"hits": {"hits": [hit] if hit else []}}


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hops]:
    """Run all of them."""
    running = Hops()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if path in running.down:
                self.send_error(500)
                return
            content = json.dumps(running.answer(path, json.loads(body or "{}"))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    running.port = server.server_port
    monkeypatch.setenv("ELASTICSEARCH_URL", f"http://127.0.0.1:{running.port}")
    monkeypatch.setenv("NODE_NAME", NODE)
    yield running
    server.shutdown()
    server.server_close()


def _arrive(hops: Hops, *, logstash: bool = False) -> int:
    words = ["arrive", "--seconds=0.2", f"--filebeat=127.0.0.1:{hops.port}"]
    return main([*words, f"--logstash=http://127.0.0.1:{hops.port}"] if logstash else words)


def test_a_line_that_arrives_is_the_logged_one(hops: Hops, capsys: pytest.CaptureFixture[str]) -> None:
    searched: list[str] = []

    def found(marker: str) -> dict[str, Any]:
        searched.append(marker)
        return {"_index": "logs-kubernetes-000001", "_source": {}}

    hops.hit = found
    assert _arrive(hops) == 0
    logged, arrived = map(json.loads, capsys.readouterr().out.splitlines())
    assert logged["message"] == f"looking whether this line arrives: {searched[0]}"
    assert (arrived["event"], arrived["index"]) == ("arrived", "logs-kubernetes-000001")


@pytest.mark.parametrize(
    ("fault", "logstash", "where"),
    [
        (
            {"name": "cellar"},
            False,
            "in the log file of its container: no Filebeat answers on the node attic",
        ),
        (
            {"down": {"/stats"}},
            False,
            "in the log file of its container: no Filebeat answers on the node attic",
        ),
        ({"read": 0}, False, "in the log file of its container: Filebeat has read nothing since"),
        (
            {"sent": 0},
            False,
            "in Filebeat, which has read it: Elasticsearch has accepted nothing from it since",
        ),
        (
            {"sent": 0},
            True,
            "in Filebeat, which has read it: Logstash has accepted nothing from it since",
        ),
        ({"down": {"/_node/stats/events"}}, True, "in Filebeat, which has sent it: Logstash does not answer"),
        (
            {"passed": 0},
            True,
            "in Logstash, which has received it: Elasticsearch has accepted nothing from it since",
        ),
        ({}, True, "on its way to Elasticsearch: Logstash has sent lines since"),
        ({}, False, "on its way to Elasticsearch: Filebeat has sent lines since"),
    ],
)
def test_the_last_hop_is_named(
    hops: Hops, capsys: pytest.CaptureFixture[str], fault: dict[str, Any], logstash: bool, where: str
) -> None:
    for name, value in fault.items():
        setattr(hops, name, value)

    assert _arrive(hops, logstash=logstash) == 1
    assert capsys.readouterr().err == (
        "A test line was logged, but it was not found in Elasticsearch within 0.2 s. "
        f"It was last seen {where}.\n"
    )


def test_an_unavailable_elasticsearch_is_reported_too(hops: Hops, capsys: pytest.CaptureFixture[str]) -> None:
    hops.sent = 0
    hops.down = {"/logs-*/_search"}

    assert _arrive(hops) == 1
    output = capsys.readouterr().err
    assert "Elasticsearch has accepted nothing from it since. POST logs-*/_search: 500" in output


def test_the_reason_of_a_rejected_line_is_reported(hops: Hops, capsys: pytest.CaptureFixture[str]) -> None:
    hops.hit = lambda _: {"_index": "logs-invalid-000001", "_source": {"error.message": "no such field"}}

    assert _arrive(hops) == 1
    assert "Elasticsearch rejected it and stored it as invalid: no such field" in capsys.readouterr().err
