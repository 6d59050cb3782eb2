import socket
import time
from pathlib import Path

import pytest

from . import receiver
from .server import Server, free_port, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def test_one_id_joins_the_callers_trace_the_log_the_header_and_the_exported_span(tmp_path: Path) -> None:
    with receiver.running() as traces:
        origin = {"pod": "hello-1", "namespace": "apps", "node": "home", "revision": "abc"}
        with Server(tmp_path, tracing_endpoint=traces.endpoint, **origin) as server:
            response = server.get("/?token=secret", traceparent=f"00-{TRACE}-{PARENT}-01")
            server.get("/readyz", traceparent=f"00-{TRACE}-{PARENT}-01")
            logged = server.events(logger="homeserver_app.access")[0]
            wait_until(traces.spans, "the span arrives")

    [span] = traces.spans()
    assert response.headers["X-Trace-Id"] == logged["trace_id"] == span.trace_id.hex() == TRACE
    assert logged["span_id"] == span.span_id.hex()
    assert span.parent_span_id.hex() == PARENT
    assert span.name == "GET /"
    attributes = receiver.attributes(list(span.attributes))
    assert attributes["http.route"] == "/"
    assert attributes["http.response.status_code"] == 200
    assert "secret" not in str(attributes)
    resource = receiver.attributes(list(traces.received[0].resource.attributes))
    assert (
        resource.items()
        >= {
            "service.name": "hello",
            "service.version": "abc",
            "k8s.pod.name": "hello-1",
            "k8s.namespace.name": "apps",
            "k8s.node.name": "home",
        }.items()
    )


def test_an_unsampled_trace_is_logged_but_not_exported(tmp_path: Path) -> None:
    with receiver.running() as traces, Server(tmp_path, tracing_endpoint=traces.endpoint) as server:
        server.get("/", traceparent=f"00-{TRACE}-{PARENT}-00")
        server.get("/", traceparent=f"00-{TRACE[::-1]}-{PARENT}-01")
        wait_until(traces.spans, "the sampled span arrives")
        assert [span.trace_id.hex() for span in traces.spans()] == [TRACE[::-1]]
        assert [event["trace_id"] for event in server.events(status=200)] == [TRACE, TRACE[::-1]]


@pytest.mark.parametrize("receives", ["refuses", "hangs"])
def test_a_failing_receiver_neither_slows_nor_breaks_requests(tmp_path: Path, receives: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1] if receives == "hangs" else free_port()
        with Server(tmp_path, tracing_endpoint=f"http://127.0.0.1:{port}") as server:
            started = time.monotonic()
            statuses = {server.get("/").status_code for _ in range(50)}
            assert statuses == {200}
            assert time.monotonic() - started < 5
            wait_until(lambda: "ailed to export" in server.output(), "the failure is logged")
            server.events()  # as JSON, like all other lines
            stopping = time.monotonic()
            server.terminate()
            assert server.process.wait(15) == 0
            assert time.monotonic() - stopping < 8
