"""The Collector's configuration, run by the real Collector on loopback."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from harness.programs import collector, free_port
from harness.recorder import Message, Recorder, recording
from harness.tracing_role import Role
from harness.waiting import wait_for_port

SERVER, CLIENT = 2, 3
UNSET, ERROR = 0, 2

Span = dict[str, Any]


def test_the_collector_accepts_it(tmp_path: Path) -> None:
    file = tmp_path / "collector.yaml"
    file.write_text(yaml.safe_dump(Role(tmp_path).configuration("collector")))

    subprocess.run([collector(), "validate", f"--config={file}"], check=True)


def _on_loopback(configuration: dict[str, Any], to: Recorder, port: int) -> dict[str, Any]:
    """Return the configuration without Kubernetes; traces and metrics go to the test."""
    health, metrics = free_port(), free_port()
    service = configuration["service"]
    configuration["extensions"]["health_check"]["endpoint"] = f"127.0.0.1:{health}"
    configuration["receivers"]["otlp"]["protocols"] = {"http": {"endpoint": f"127.0.0.1:{port}"}}
    service["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"] = {
        "host": "127.0.0.1",
        "port": metrics,
    }
    # Instead of Kubernetes, which knows of the pod and, like this, leaves what is there.
    del configuration["processors"]["k8s_attributes"]
    known = [{"key": "app", "value": "hello", "action": "insert"}]
    configuration["processors"]["resource/k8s_attributes"] = {"attributes": known}
    for pipeline in service["pipelines"].values():
        pipeline["processors"] = [
            each.replace("k8s_attributes", "resource/k8s_attributes") for each in pipeline["processors"]
        ]
    test = {"endpoint": f"http://127.0.0.1:{to.port}", "encoding": "json", "compression": "none"}
    configuration["exporters"] = {"otlp_http/test": test}
    for pipeline in ("traces/kept", "metrics"):
        service["pipelines"][pipeline]["exporters"] = ["otlp_http/test"]
    configuration["connectors"]["span_metrics"]["metrics_flush_interval"] = "1s"
    return configuration


@contextmanager
def _running(directory: Path, **variables: Any) -> Iterator[tuple[str, Recorder]]:
    """Run it, and yield the URL for spans and the recorder of its output."""
    with recording() as recorder:
        port = free_port()
        file = directory / "collector.yaml"
        configuration = Role(directory, **variables).configuration("collector")
        file.write_text(yaml.safe_dump(_on_loopback(configuration, recorder, port)))
        with (
            (directory / "log").open("w") as log,
            subprocess.Popen([collector(), f"--config={file}"], stdout=log, stderr=log) as process,
        ):
            try:
                wait_for_port(port, process, (directory / "log").read_text)
                yield f"http://127.0.0.1:{port}/v1/traces", recorder
            finally:
                process.kill()


def _span(trace: str, kind: int = SERVER, status: int = UNSET, milliseconds: int = 5) -> Span:
    now = time.time_ns()
    return {
        "traceId": trace * 32,
        "spanId": trace * 16,
        "name": f"span {trace}",
        "kind": kind,
        "status": {"code": status},
        "startTimeUnixNano": str(now - milliseconds * 1_000_000),
        "endTimeUnixNano": str(now),
    }


def _send(url: str, *spans: Span, **resource: str) -> None:
    named = {"service.name": "hello", "k8s.pod.name": "hello-1"} | resource
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in named.items()]
    sent = {"resource": {"attributes": attributes}, "scopeSpans": [{"spans": spans}]}
    assert requests.post(url, json={"resourceSpans": [sent]}, timeout=60).status_code == 200


def _kept(recorder: Recorder) -> list[str]:
    """Return the first digit of each kept trace."""
    return sorted(
        span["traceId"][0]
        for message in recorder.of("/v1/traces")
        for resource in message.content["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    )


def _calls(*messages: Message) -> list[tuple[dict[str, str], int]]:
    """The labels of each counter of spans, and its value."""
    return [
        (
            {each["key"]: next(iter(each["value"].values())) for each in point["attributes"]},
            int(point["asInt"]),
        )
        for message in messages
        for resource in message.content["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
        if metric["name"] == "traces.span.metrics.calls"
        for point in metric["sum"]["dataPoints"]
    ]


def _counts(recorder: Recorder) -> dict[str, int]:
    """Return the number of counted spans by name."""
    calls = _calls(*recorder.of("/v1/metrics"))
    assert not any("collector.instance.id" in labels for labels, _ in calls)
    return {labels["span.name"]: number for labels, number in calls}


def test_at_0_percent_only_failed_and_slow_requests_are_kept(tmp_path: Path) -> None:
    with _running(tmp_path, tracing_sample_percent=0, tracing_slow_request_milliseconds=200) as (
        url,
        recorder,
    ):
        _send(
            url,
            _span("a"),
            _span("b", status=ERROR),
            _span("c", milliseconds=300),
            _span("d", kind=CLIENT, status=ERROR),  # for example a 404, which is an error for the client
        )
        recorder.wait(lambda: _kept(recorder) == ["b", "c"])
        recorder.wait(lambda: _counts(recorder) == {f"span {trace}": 1 for trace in "abcd"})
        # Late spans of a trace get the same decision.
        _send(url, _span("b") | {"spanId": "e" * 16}, _span("a") | {"spanId": "e" * 16})
        recorder.wait(lambda: _kept(recorder) == ["b", "b", "c"])


def test_by_default_all_traces_are_kept_up_to_the_rate_limit(tmp_path: Path) -> None:
    with _running(tmp_path, tracing_max_spans_per_second=2) as (url, recorder):
        _send(url, *(_span(trace) for trace in "123456789a"), _span("f", status=ERROR))
        recorder.wait(lambda: "f" in _kept(recorder))
        # Once a later one is decided on, all of them are.
        _send(url, _span("e", status=ERROR))
        recorder.wait(lambda: "e" in _kept(recorder))

        assert 3 <= len(_kept(recorder)) < 7
        recorder.wait(lambda: sum(_counts(recorder).values()) == 12)


@pytest.mark.parametrize("pods", [1, 3])
def test_new_pods_make_no_new_series(tmp_path: Path, pods: int) -> None:
    with _running(tmp_path) as (url, recorder):
        for pod in range(pods):
            _send(url, _span("abc"[pod]))
        recorder.wait(lambda: len(_counts(recorder)) == pods)
        message = recorder.of("/v1/metrics")[-1]

    for resource in message.content["resourceMetrics"]:
        assert resource["resource"]["attributes"] == [
            {"key": "service.name", "value": {"stringValue": "hello"}}
        ]


def test_an_app_cannot_make_as_many_series_as_it_likes(tmp_path: Path) -> None:
    with _running(tmp_path) as (url, recorder):
        for number in range(600):
            _send(url, _span("a"), **{"service.name": f"service {number}", "app": f"app {number}"})
        recorder.wait(lambda: sum(number for _, number in _calls(*recorder.of("/v1/metrics")[-1:])) == 600)
        (last,) = recorder.of("/v1/metrics")[-1:]

    assert len(last.content["resourceMetrics"]) == 1
    assert len(_calls(last)) <= 501


def test_names_in_metrics_are_short(tmp_path: Path) -> None:
    with _running(tmp_path) as (url, recorder):
        _send(url, _span("a") | {"name": "ü" * 5000}, **{"service.name": "s\n" * 5000})
        recorder.wait(lambda: bool(recorder.of("/v1/metrics")))
        ((labels, _),) = _calls(*recorder.of("/v1/metrics")[:1])

    assert (labels["span.name"], labels["service.name"]) == ("ü" * 100, "s\n" * 50)
