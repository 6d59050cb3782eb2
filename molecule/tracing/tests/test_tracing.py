"""Every request has a trace with its pods, and problems of tracing do not affect requests."""

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import requests

from harness.home import Home, Kubectl, eventually
from harness.jaeger import Jaeger, Span
from harness.prometheus import Prometheus
from harness.traffic import durations, steady_traffic


@pytest.fixture(scope="module")
def hello(home: Home) -> str:
    """The URL of the project's own app."""
    return f"https://hello.{home.domain}/"


def _kept(home: Home, jaeger: Jaeger, url: str) -> list[Span]:
    """Send a request until the trace of one is kept, and return its spans. A busy home keeps only a share."""
    found: list[Span] = []

    def kept() -> bool:
        answer = requests.get(url, headers={"Accept": "text/html"}, verify=home.ca, timeout=10)
        answer.raise_for_status()

        def whole() -> bool:
            found[:] = jaeger.spans(answer.headers["X-Trace-Id"])
            return {span.service for span in found} >= {"traefik", "hello"}

        return eventually(whole, 15)

    assert eventually(kept, 120), f"of the last request there is {found}"
    return found


@pytest.fixture(scope="module")
def spans(home: Home, hello: str, jaeger: Jaeger) -> dict[str, list[Span]]:
    """The spans of a normal, successful request, by service."""
    found = _kept(home, jaeger, hello)
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


def test_a_trace_contains_no_query(home: Home, hello: str, jaeger: Jaeger) -> None:
    private = uuid.uuid4().hex

    assert private not in str(_kept(home, jaeger, f"{hello}?token={private}"))


def test_an_app_only_needs_the_address(kubectl: Kubectl, jaeger: Jaeger) -> None:
    """The spans of an unconfigured pod, in a namespace that may send, get the pod's attributes."""
    trace = uuid.uuid4().hex
    now = time.time_ns()
    span = {"traceId": trace, "name": "work", "kind": 1}
    span |= {"startTimeUnixNano": str(now - 1_000_000), "endTimeUnixNano": str(now)}
    named = {"attributes": [{"key": "service.name", "value": {"stringValue": "stranger"}}]}
    sent = {"resourceSpans": [{"resource": named, "scopeSpans": [{"spans": [span]}]}]}
    # For a new pod, Kubernetes may not have sent the Collector its address yet.
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

    def pods() -> set[tuple[str | None, ...]]:
        return {tuple(span.process.get(name) for name in names) for span in jaeger.spans(trace)}

    try:
        assert eventually(lambda: ("stranger", "default") in pods(), 60), pods()
    finally:
        kubectl("delete pod stranger --wait=false")


def test_only_apps_may_send(kubectl: Kubectl) -> None:
    """The namespace `default` is one that variables.yml adds."""
    services = {"kubernetes": ("default", 443), "collector": ("tracing", 4318)}
    addresses = {
        name: (kubectl.get(f"-n {namespace} service {name}")["spec"]["clusterIP"], port)
        for name, (namespace, port) in services.items()
    }

    assert kubectl.reached(addresses) == {"kubernetes": True, "collector": True}
    assert kubectl.reached(addresses, "kube-public") == {"kubernetes": True, "collector": False}


def test_span_metrics_have_exemplars(
    home: Home, hello: str, prometheus: Prometheus, spans: dict[str, list[Span]]
) -> None:
    # The job is the app by Kubernetes' word, the service by its own.
    labels = '{job="hello",service_name="hello",span_name="GET /"}'
    assert spans
    names = [f"traces_span_metrics_{metric}{labels}" for metric in ("duration_seconds_count", "calls_total")]
    # The Collector may send the two in requests of their own.
    assert eventually(lambda: all(prometheus.value(name) > 0 for name in names), 90)

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


def test_the_tracing_services_are_monitored(prometheus: Prometheus) -> None:
    up = 'count(up{{job="pods",namespace="tracing",app="{app}"}} == 1)'

    for app in ("collector", "jaeger"):
        assert eventually(lambda app=app: prometheus.value(up.format(app=app)) == 1, 90), app  # type: ignore[misc]


def test_jaeger_requires_the_generated_password(home: Home, jaeger: Jaeger) -> None:
    def status(credentials: tuple[str, str] | None) -> int:
        return requests.get(jaeger.url, auth=credentials, verify=home.ca, timeout=10).status_code

    assert status(None) == 401
    assert status(("admin", "admin")) == 401
    assert status(jaeger.credentials) == 200


def test_jaeger_has_a_separate_elasticsearch_password(home: Home, kubectl: Kubectl) -> None:
    generated = {path.name: path.read_text().strip() for path in home.secrets.glob("*.password")}
    secret = generated.pop("elasticsearch_jaeger.password")
    held = kubectl.get("-n tracing secret jaeger")["data"]["password"]

    assert base64.b64decode(held).decode() == secret
    assert secret not in generated.values()
    assert secret not in kubectl("-n tracing get deployment,configmap -o json")


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
def test_without_it_no_request_is_lost_or_slow(
    home: Home, hello: str, kubectl: Kubectl, deployments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    durations(hello, home.ca, 50)  # warmed up
    with_it = durations(hello, home.ca, 300)
    with ExitStack() as outage:
        with steady_traffic(hello, home.ca) as while_it_stops:
            outage.enter_context(_stopped(kubectl, *deployments))
            time.sleep(10)
        without_it = durations(hello, home.ca, 300)
        with steady_traffic(hello, home.ca) as while_it_starts:
            outage.close()
    answers = while_it_stops + while_it_starts

    medians = [1000 * seconds[len(seconds) // 2] for seconds in (with_it, without_it)]
    text = f"median with {deployments[0]}: {medians[0]:.1f} ms, without: {medians[1]:.1f} ms; {dict(answers)}"
    with capfd.disabled():
        print(f"\n{text}")  # noqa: T201
    assert set(answers) == {"200"}, answers
    assert answers["200"] > 50
    # A shared machine cannot measure smaller differences than this.
    assert medians[1] < 3 * medians[0] + 20


def test_it_recovers_by_itself(home: Home, hello: str, jaeger: Jaeger) -> None:
    assert _kept(home, jaeger, hello)
