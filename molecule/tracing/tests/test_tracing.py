"""Every request has a trace that says which pod it met, and no request suffers when tracing does."""

import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.home import Home, Kubectl, eventually
from tests.jaeger import Jaeger, Span
from tests.prometheus import Prometheus
from tests.traffic import durations, steady_traffic

CONVERGE = f"{os.environ.get('MOLECULE_SCENARIO_DIRECTORY', Path(__file__).parents[1])}/converge.yml"


@pytest.fixture(scope="module")
def hello(home: Home) -> str:
    """The URL of the app that comes with the project."""
    return f"https://hello.{home.domain}/"


@pytest.fixture(scope="module")
def request_(home: Home, hello: str) -> requests.Response:
    """An ordinary request, answered."""
    answer = requests.get(hello, headers={"Accept": "text/html"}, verify=home.ca, timeout=10)
    assert answer.status_code == 200
    return answer


@pytest.fixture(scope="module")
def spans(jaeger: Jaeger, request_: requests.Response) -> dict[str, list[Span]]:
    """The spans of that request's trace, by service."""
    found = jaeger.trace(request_.headers["X-Trace-Id"], "traefik", "hello")
    return {service: [span for span in found if span.service == service] for service in ("traefik", "hello")}


def test_a_request_is_one_trace_of_traefik_and_the_app(spans: dict[str, list[Span]]) -> None:
    (app,) = spans["hello"]

    assert app.parent in {span.id for span in spans["traefik"]}
    assert app.tags["http.response.status_code"] == 200
    assert app.tags["http.route"] == "/"


def test_a_trace_names_the_pods(spans: dict[str, list[Span]], kubectl: Kubectl) -> None:
    for service, namespace in {"traefik": "traefik", "hello": "apps"}.items():
        running = kubectl.get(f"-n {namespace} pods -l app.kubernetes.io/name={service}")["items"]
        process = spans[service][0].process
        assert process["k8s.pod.name"] in [pod["metadata"]["name"] for pod in running]
        assert process["k8s.namespace.name"] == namespace
        assert process["k8s.node.name"] in [pod["spec"]["nodeName"] for pod in running]


def test_a_trace_holds_no_query(home: Home, hello: str, jaeger: Jaeger) -> None:
    private = uuid.uuid4().hex
    answer = requests.get(f"{hello}?token={private}", verify=home.ca, timeout=10)
    found = jaeger.trace(answer.headers["X-Trace-Id"], "traefik", "hello")

    assert private not in str(found)


def test_an_app_needs_nothing_but_the_address(kubectl: Kubectl, jaeger: Jaeger) -> None:
    """Of a pod that says nothing of itself, in a namespace of nobody's, it is told which pod it was."""
    trace = uuid.uuid4().hex
    now = time.time_ns()
    span = {"traceId": trace, "name": "work", "kind": 1}
    span |= {"startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now)}
    named = {"attributes": [{"key": "service.name", "value": {"stringValue": "stranger"}}]}
    sent = {"resourceSpans": [{"resource": named, "scopeSpans": [{"spans": [span]}]}]}
    # A pod is young when Kubernetes has not told the Collector yet what its address is.
    program = (
        "import json, sys, time, urllib.request as u\n"
        "sent = json.loads(sys.argv[1])\n"
        "for number in range(1, 31):\n"
        "    sent['resourceSpans'][0]['scopeSpans'][0]['spans'][0]['spanId'] = f'{number:016x}'[::-1]\n"
        "    r = u.Request('http://collector.tracing:4318/v1/traces', json.dumps(sent).encode(),"
        " {'Content-Type': 'application/json'})\n"
        "    u.urlopen(r, timeout=10)\n"
        "    time.sleep(1)\n"
    ).replace("'", '"')
    image = kubectl.image("apps", "hello")
    container = {"name": "c", "image": image, "command": ["python", "-c", program, json.dumps(sent)]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"}, "spec": pod})
    names = ("k8s.pod.name", "k8s.namespace.name")

    def told() -> set[tuple[str | None, ...]]:
        return {tuple(span.process.get(name) for name in names) for span in jaeger.spans(trace)}

    try:
        assert eventually(lambda: ("stranger", "default") in told(), 60), told()
    finally:
        kubectl("delete pod stranger --wait=false")


def test_spans_are_measured_with_an_example(
    home: Home, hello: str, prometheus: Prometheus, request_: requests.Response
) -> None:
    labels = '{service_name="hello",span_name="GET /"}'
    assert request_.ok
    assert eventually(lambda: prometheus.value(f"traces_span_metrics_duration_seconds_count{labels}") > 0, 90)
    assert prometheus.value(f"traces_span_metrics_calls_total{labels}") > 0

    def examples() -> set[str]:
        requests.get(hello, verify=home.ca, timeout=10)
        found = prometheus.api(
            "query_exemplars",
            query=f"traces_span_metrics_duration_seconds_bucket{labels}",
            start=f"{time.time() - 300}",
            end=f"{time.time()}",
        )
        return {each["labels"].get("trace_id", "") for series in found for each in series["exemplars"]}

    assert eventually(lambda: any(re.fullmatch("[0-9a-f]{32}", each) for each in examples()), 90)


def test_the_watchers_of_traces_are_watched(prometheus: Prometheus) -> None:
    up = 'count(up{{job="pods",namespace="tracing",app="{app}"}} == 1)'

    for app in ("collector", "jaeger"):
        assert eventually(lambda app=app: prometheus.value(up.format(app=app)) == 1, 90), app  # type: ignore[misc]


def test_jaeger_asks_for_the_generated_password(home: Home, jaeger: Jaeger) -> None:
    def status(credentials: tuple[str, str] | None) -> int:
        return requests.get(jaeger.url, auth=credentials, verify=home.ca, timeout=10).status_code

    assert status(None) == 401
    assert status(("admin", "admin")) == 401
    assert status(jaeger.credentials) == 200


def test_jaeger_asks_elasticsearch_with_a_password_of_its_own(home: Home, kubectl: Kubectl) -> None:
    secret = (home.secrets / "elasticsearch_jaeger.password").read_text().strip()
    said = kubectl("-n tracing get deployment,configmap -o json")

    assert secret not in said


@contextmanager
def _stopped(kubectl: Kubectl, *deployments: str) -> Iterator[None]:
    for name in deployments:
        kubectl(f"-n tracing scale deployment/{name} --replicas=0")
        kubectl(f"-n tracing wait pods -l app.kubernetes.io/name={name} --for=delete --timeout=60s")
    try:
        yield
    finally:
        for name in deployments:
            kubectl(f"-n tracing scale deployment/{name} --replicas=1")
            kubectl(f"-n tracing rollout status deployment/{name} --timeout=180s")


@pytest.mark.parametrize("deployments", [["collector"], ["jaeger"]], ids=lambda names: names[0])
def test_without_it_no_request_is_lost_or_slowed(
    home: Home, hello: str, kubectl: Kubectl, deployments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    durations(hello, home.ca, 50)  # all is warm
    with_it = durations(hello, home.ca, 300)
    with steady_traffic(hello, home.ca) as answers, _stopped(kubectl, *deployments):
        time.sleep(10)
    with _stopped(kubectl, *deployments):
        time.sleep(5)
        without_it = durations(hello, home.ca, 300)

    medians = [1000 * seconds[len(seconds) // 2] for seconds in (with_it, without_it)]
    told = f"median with {deployments[0]}: {medians[0]:.1f} ms, without: {medians[1]:.1f} ms; {dict(answers)}"
    with capfd.disabled():
        print(f"\n{told}")  # noqa: T201
    assert set(answers) == {"200"}, answers
    assert answers["200"] > 50
    # A machine that others use too tells no less than this.
    assert medians[1] < 3 * medians[0] + 20


def test_it_goes_on_by_itself(home: Home, hello: str, jaeger: Jaeger) -> None:
    def traced() -> bool:
        trace = requests.get(hello, verify=home.ca, timeout=10).headers["X-Trace-Id"]
        return eventually(lambda: len(jaeger.spans(trace)) > 1, 15)

    assert eventually(traced, 120)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("tracing_sample_percent", 101, "tracing_sample_percent is 101. It is a number from 0 to 100."),
        ("homeserver_logging_enabled", False, "traces are kept in the Elasticsearch that logs are in"),
    ],
)
def test_a_mistake_is_told_and_nothing_changed(
    home: Home, kubectl: Kubectl, variable: str, value: object, told: str
) -> None:
    before = kubectl.get("-n tracing configmap collector")
    mistake = {"homeserver_tracing_enabled": True, variable: value}
    run = home.play(CONVERGE, "-e", json.dumps(mistake))

    assert run.returncode != 0
    assert told in " ".join(run.stdout.split()), run.stdout
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}
    assert kubectl.get("-n tracing configmap collector") == before
