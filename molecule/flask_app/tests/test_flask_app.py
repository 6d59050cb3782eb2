"""The apps answer through Traefik, can be watched, and are never away."""

import re
import uuid

import pytest
import requests
from kubernetes import client, config

from tests.home import Home, Kubectl, eventually
from tests.traffic import steady_traffic


@pytest.fixture(scope="module")
def hello(home: Home) -> str:
    """The URL of the app that comes with the project."""
    return f"https://hello.{home.domain}/"


def test_greets_people_with_a_page(home: Home, hello: str) -> None:
    answer = requests.get(hello, headers={"Accept": "text/html"}, verify=home.ca, timeout=10)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Hello from the home server!" in answer.text


def test_greets_programs_with_json(home: Home, hello: str) -> None:
    answer = requests.get(hello, headers={"Accept": "application/json"}, verify=home.ca, timeout=10)

    assert answer.json() == {"message": "Hello from the home server!"}


def test_an_error_is_a_problem_document(home: Home, hello: str) -> None:
    answer = requests.get(f"{hello}nowhere", verify=home.ca, timeout=10)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_an_owners_own_app_runs_by_the_same_role(home: Home) -> None:
    answer = requests.get(
        f"https://second.{home.domain}/", headers={"Accept": "application/json"}, verify=home.ca, timeout=10
    )

    assert answer.json() == {"message": "Hello from the second app!"}


def test_an_app_that_gets_busy_gets_more_pods(home: Home, kubectl: Kubectl) -> None:
    def pods() -> int:
        return int(kubectl.get("-n apps deployment second")["status"].get("readyReplicas", 0))

    assert eventually(lambda: pods() == 1, seconds=400)  # it takes five minutes to shrink again
    with steady_traffic(f"https://second.{home.domain}/", home.ca):
        assert eventually(lambda: pods() == 2, seconds=180)


def test_one_request_is_found_in_both_logs_by_its_ids(home: Home, kubectl: Kubectl, hello: str) -> None:
    mark = uuid.uuid4().hex
    answer = requests.get(hello, headers={"User-Agent": f"verify/{mark}"}, verify=home.ca, timeout=10)

    (at_app,) = kubectl.logged("apps", "hello", mark)
    (at_traefik,) = kubectl.logged("traefik", "traefik", mark)

    assert at_app["request_id"] == answer.headers["X-Request-Id"]
    assert at_app["trace_id"] == at_traefik["trace_id"]
    assert at_app["user_agent"] == f"verify/{mark}"
    assert at_app["client_address"] == at_traefik["ClientHost"]
    assert (at_app["status"], at_app["route"]) == (200, "/")
    assert at_app["pod"].startswith("hello-")


def test_metrics_are_for_the_cluster_alone(home: Home, kubectl: Kubectl, hello: str) -> None:
    counter = ("apps", "hello", 9000, "http_requests_total")
    before = kubectl.counted(*counter)
    assert requests.get(f"{hello}metrics", verify=home.ca, timeout=10).status_code == 404

    assert kubectl.counted(*counter) >= before + 1


def test_evicting_every_pod_at_once_is_refused(home: Home, kubectl: Kubectl, hello: str) -> None:
    config.load_kube_config(str(home.kubeconfig))
    core = client.CoreV1Api()
    pods = core.list_namespaced_pod("apps", label_selector="app.kubernetes.io/name=hello").items
    names = [pod.metadata.name for pod in pods if re.match("hello-", pod.metadata.name)]
    assert len(names) > 1

    with steady_traffic(hello, home.ca) as answers:
        refusals = [status for status in (_evict(core, name) for name in names) if status != 201]
        kubectl("-n apps rollout status deployment/hello --timeout=120s")

    assert refusals == [429] * (len(names) - 1)
    assert set(answers) == {"200"}, answers


def _evict(core: client.CoreV1Api, pod: str) -> int:
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod, namespace="apps"))
    try:
        core.create_namespaced_pod_eviction(pod, "apps", eviction)
    except client.ApiException as refusal:
        return int(refusal.status)
    return 201


def test_a_rollout_loses_no_request(home: Home, kubectl: Kubectl, hello: str) -> None:
    kubectl("-n apps rollout status deployment/hello --timeout=120s")
    with steady_traffic(hello, home.ca) as answers:
        kubectl("-n apps rollout restart deployment/hello")
        kubectl("-n apps rollout status deployment/hello --timeout=180s")

    assert set(answers) == {"200"}, answers
    assert answers["200"] > 50


def test_a_pod_reaches_nothing_it_has_no_business_with(kubectl: Kubectl) -> None:
    connect = 'import socket; socket.create_connection(("%s", %d), 3)'
    kubernetes = kubectl.get("service kubernetes")["spec"]["clusterIP"]

    with pytest.raises(AssertionError, match="timed out"):
        kubectl(f"-n apps exec deploy/hello -- python -c '{connect % (kubernetes, 443)}'")
