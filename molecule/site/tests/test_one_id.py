"""One id finds everything about a request: two log lines, a trace, an exemplar, a header, an error page."""

import re
import time

import pytest
import requests

from harness.home import Home, eventually
from harness.jaeger import Jaeger, Span
from harness.logs import Logs, field
from harness.prometheus import Prometheus

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
}


@pytest.fixture(scope="module")
def answer(home: Home) -> requests.Response:
    """The response to a browser that requests a page that does not exist."""
    return requests.get(f"https://hello.{home.domain}/nowhere", headers=BROWSER, verify=home.ca, timeout=10)


@pytest.fixture(scope="module")
def trace(answer: requests.Response) -> str:
    """The trace id in the response's header."""
    return answer.headers["X-Trace-Id"]


@pytest.fixture(scope="module")
def spans(jaeger: Jaeger, trace: str) -> list[Span]:
    """The spans of that trace."""
    return jaeger.trace(trace, "traefik", "hello")


def test_a_user_can_quote_it(answer: requests.Response, trace: str) -> None:
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert re.findall(r"<code>([0-9a-f]{32})</code>", answer.text) == [trace]


@pytest.mark.parametrize("dataset", ["traefik", "app"])
def test_it_finds_the_line_of(dataset: str, logs: Logs, trace: str) -> None:
    lines = logs.wait(f"trace.id:{trace}", f"logs-{dataset}")

    assert {field(line, "http.response.status_code") for line in lines} == {404}
    assert {field(line, "user_agent.original") for line in lines} == {BROWSER["User-Agent"]}
    assert {field(line, "url.path") for line in lines} == {"/nowhere"}


def test_it_finds_the_spans_of_traefik_and_the_app(spans: list[Span]) -> None:
    (app,) = [span for span in spans if span.service == "hello"]

    assert app.parent in {span.id for span in spans if span.service == "traefik"}


def test_the_trace_and_the_line_name_the_same_pod(spans: list[Span], logs: Logs, trace: str) -> None:
    (line,) = logs.wait(f"trace.id:{trace}", "logs-app")

    assert {span.process["k8s.pod.name"] for span in spans if span.service == "hello"} == {
        field(line, "kubernetes.pod.name")
    }


def test_it_is_an_exemplar(home: Home, prometheus: Prometheus) -> None:
    """Each bucket keeps its latest exemplar, so this checks several recent requests."""
    sent: set[str] = set()

    def found() -> bool:
        answer = requests.get(f"https://hello.{home.domain}/", headers=BROWSER, verify=home.ca, timeout=10)
        sent.add(answer.headers["X-Trace-Id"])
        series = prometheus.api(
            "query_exemplars",
            query='http_request_duration_seconds_bucket{app="hello"}',
            start=f"{time.time() - 300}",
            end=f"{time.time()}",
        )
        examples = {each["labels"]["trace_id"] for one in series for each in one["exemplars"]}
        return bool(sent & examples)

    assert eventually(found, 60)


def test_a_trace_of_the_caller_is_continued(home: Home, jaeger: Jaeger) -> None:
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = BROWSER | {"traceparent": f"00-{trace}-{parent}-01"}
    answer = requests.get(f"https://hello.{home.domain}/", headers=headers, verify=home.ca, timeout=10)

    assert answer.headers["X-Trace-Id"] == trace
    spans = jaeger.trace(trace, "traefik", "hello")
    assert parent in {span.parent for span in spans if span.service == "traefik"}
