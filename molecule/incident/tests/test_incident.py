"""A release breaks one route for Safari: it is reported, found and fixed, while other browsers are served.

The tests are the steps of one incident and depend on each other. docs/incident.md describes it for the owner.
They print the duration of each step in seconds. test_incident_over.py checks the message about the end.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from harness.home import ROOT, Home, Kubectl, eventually
from harness.incident import ALERT, Story, reported
from harness.jaeger import Jaeger
from harness.logs import Logs
from harness.logs import field as field_of
from harness.prometheus import Prometheus
from harness.recorder import Recorder
from harness.traffic import steady_traffic

FAULT = "safari:/"
AGENTS = {
    "safari": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Safari/605.1.15",
    "chrome": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "firefox": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
}
SETTING = "HOMESERVER_APP_FAULT"
FAULTY = f"{{{{ flask_app_hello | combine({{'env': {{'{SETTING}': '{FAULT}'}}}}, recursive=true) }}}}"


@pytest.fixture(scope="module")
def story(known: Story, home: Home, kubectl: Kubectl, prometheus: Prometheus) -> Iterator[Story]:
    """Load from three browsers during all tests, without a fault before and after."""
    assert eventually(lambda: prometheus.query(f'ALERTS{{alertname="{ALERT}"}}') == [], 420)
    try:
        with ExitStack() as load:
            for browser, agent in AGENTS.items():
                url = f"https://hello.{home.domain}/"
                known.answers[browser] = load.enter_context(steady_traffic(url, home.ca, agent, clients=1))
            yield known
    finally:
        if _fault(kubectl):
            _release(home)


@pytest.fixture
def step(request: pytest.FixtureRequest, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Print the duration of a step."""
    began = time.monotonic()
    yield
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    with capfd.disabled():
        print(f"\n{time.monotonic() - began:5.0f} s  {name}")  # noqa: T201


# All tests use the story, even without needing its value: otherwise pytest would run the others last.
pytestmark = pytest.mark.usefixtures("story", "step")


def _release(home: Home, **variables: object) -> None:
    run = home.play("playbooks/apps.yml", "-e", json.dumps(variables))
    assert run.returncode == 0, run.stdout + run.stderr


def _fault(kubectl: Kubectl) -> str:
    (container,) = kubectl.get("-n apps deployment hello")["spec"]["template"]["spec"]["containers"]
    return next((each["value"] for each in container["env"] if each["name"] == SETTING), "")


def _regression(home: Home) -> set[str]:
    """Run the app's browser tests against the running release; return the browsers that fail."""
    environment = os.environ | {
        "APP_URL": f"https://hello.{home.domain}/",
        "APP_CA": home.ca,
        "APP_ADDRESS": home.address,
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_every_browser.py"]
    done = subprocess.run(
        command, cwd=ROOT / "app", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: some tests failed
    return set(re.findall(r"^FAILED .*\[(\w+)\]", done.stdout, re.MULTILINE))


def _queries() -> list[str]:
    """Return the queries in the alert's runbook."""
    page = (ROOT / f"docs/runbooks/{ALERT}.md").read_text()
    return re.findall(r"^```text\n(.*?)\n```", page, re.MULTILINE | re.DOTALL)


def _filled(query: str, **values: str) -> str:
    for name, value in values.items():
        query = query.replace(f"<{name}>", value)
    assert "<" not in query, query
    return query


def test_all_browsers_are_served(story: Story, home: Home) -> None:
    time.sleep(10)

    assert {browser: set(answers) for browser, answers in story.answers.items()} == {
        browser: {"200"} for browser in AGENTS
    }
    assert _regression(home) == set()


def test_a_release_that_fails_for_safari_is_rolled_out(story: Story, home: Home, kubectl: Kubectl) -> None:
    _release(home, apps=[FAULTY])
    story.released = time.time()
    before = story.counted()
    assert _fault(kubectl) == FAULT
    assert eventually(lambda: story.since(before, "safari")["500"] > 5, 30)

    # The rollout itself lost no request.
    assert set(story.answers["safari"]) == {"200", "500"}, story.answers
    assert {browser: set(story.answers[browser]) for browser in ("chrome", "firefox")} == {
        "chrome": {"200"},
        "firefox": {"200"},
    }


def test_the_owner_is_notified_of_the_app_and_the_browser(story: Story, recorder: Recorder) -> None:
    recorder.wait(lambda: bool(reported(recorder, "firing", story.released)), 420)

    (alert,) = reported(recorder, "firing", story.released)[0].content["alerts"]
    story.alert = alert["labels"]
    assert (story.alert["app"], story.alert["namespace"]) == ("hello", "apps")
    assert story.alert["browser"] == "safari"
    assert alert["annotations"]["runbook"].endswith(f"docs/runbooks/{ALERT}.md")


def test_the_runbooks_query_finds_the_lines(story: Story, logs: Logs) -> None:
    (by_browser, _) = _queries()
    labels = {name: story.alert[name] for name in ("app", "namespace", "browser")}
    lines = logs.wait(_filled(by_browser, **labels))

    assert {field_of(line, "http.response.status_code") for line in lines} == {500}
    assert {field_of(line, "labels.browser") for line in lines} == {"safari"}
    assert all("Safari/" in field_of(line, "user_agent.original") for line in lines)
    story.trace = field_of(lines[-1], "trace.id")
    assert re.fullmatch("[0-9a-f]{32}", story.trace)


def test_the_lines_of_one_request_explain_the_error(story: Story, logs: Logs) -> None:
    (_, by_trace) = _queries()

    def lines() -> list[object]:
        return [field_of(line, "event.dataset") for line in logs.found(_filled(by_trace, trace=story.trace))]

    assert eventually(lambda: {"app", "traefik"} <= set(lines()), 60), lines()
    found = logs.found(_filled(by_trace, trace=story.trace))
    stacks = [stack for line in found if (stack := field_of(line, "error.stack_trace"))]
    assert len(stacks) == 1
    assert "DrillError: / fails for safari" in stacks[0]


def test_the_trace_contains_the_pod(story: Story, jaeger: Jaeger, logs: Logs, kubectl: Kubectl) -> None:
    spans = jaeger.trace(story.trace, "traefik", "hello")
    (failed,) = [span for span in spans if span.service == "hello"]
    pods = kubectl.get("-n apps pods -l app.kubernetes.io/name=hello")["items"]

    assert failed.tags["http.response.status_code"] == 500
    assert failed.process["k8s.pod.name"] in [pod["metadata"]["name"] for pod in pods]
    lines = logs.found(f"trace.id:{story.trace} AND event.dataset:app")
    assert {field_of(line, "kubernetes.pod.name") for line in lines} == {failed.process["k8s.pod.name"]}


def test_the_regression_test_fails_for_that_browser_only(home: Home) -> None:
    assert _regression(home) == {"safari"}


def test_the_fix_is_rolled_out_and_loses_no_request(story: Story, home: Home, kubectl: Kubectl) -> None:
    _release(home)
    story.fixed = time.time()
    time.sleep(2)  # requests in flight are finished
    before = story.counted()
    assert not _fault(kubectl)
    time.sleep(10)

    assert {browser: set(story.since(before, browser)) for browser in AGENTS} == {
        browser: {"200"} for browser in AGENTS
    }
    assert set(story.answers["safari"]) == {"200", "500"}, story.answers
    assert set(story.answers["chrome"]) == set(story.answers["firefox"]) == {"200"}, story.answers


def test_the_regression_test_passes(home: Home) -> None:
    assert _regression(home) == set()
