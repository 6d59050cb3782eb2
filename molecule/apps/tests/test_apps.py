"""The apps respond through Traefik, have metrics, and are always available."""

import json
import re
import socket
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
import requests
from kubernetes import client, config

from harness.home import Home, Kubectl, eventually
from harness.http2 import break_rules, hang_up, waits
from harness.traffic import steady_traffic


@pytest.fixture(scope="module")
def hello(home: Home) -> str:
    """The URL of the project's own app."""
    return f"https://hello.{home.domain}/"


def test_people_get_an_html_greeting(home: Home, hello: str) -> None:
    answer = requests.get(hello, headers={"Accept": "text/html"}, verify=home.ca, timeout=10)

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "Hello from the home server!" in answer.text


def test_programs_get_a_json_greeting(home: Home, hello: str) -> None:
    answer = requests.get(hello, headers={"Accept": "application/json"}, verify=home.ca, timeout=10)

    assert answer.json() == {"message": "Hello from the home server!"}


def test_an_error_is_a_problem_document(home: Home, hello: str) -> None:
    answer = requests.get(f"{hello}nowhere", verify=home.ca, timeout=10)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_an_owners_own_app_runs_with_the_same_role(home: Home) -> None:
    answer = requests.get(
        f"https://second.{home.domain}/", headers={"Accept": "application/json"}, verify=home.ca, timeout=10
    )

    assert answer.json() == {"message": "Hello from the second app!"}


def test_a_second_host_has_the_paths_that_are_given(home: Home) -> None:
    there, elsewhere = (
        requests.get(f"https://other.{home.domain}/{path}", verify=home.ca, timeout=10)
        for path in ("healthz", "hello")
    )

    assert there.status_code == 200
    assert (elsewhere.status_code, elsewhere.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


def test_a_tcp_port_leads_to_the_app(home: Home) -> None:
    answer = requests.get(f"http://{home.address}:5555/", headers={"Accept": "application/json"}, timeout=10)

    assert answer.json() == {"message": "Hello from the second app!"}


def test_a_udp_port_leads_to_the_app(home: Home, kubectl: Kubectl) -> None:
    program = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind((str(), 5556)); s.settimeout(60); "
        "text, sender = s.recvfrom(99); s.sendto(text.upper(), sender)"
    )

    def answered() -> bool:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.sendto(b"hello", (home.address, 5556))
            try:
                return client.recv(99) == b"HELLO"
            except TimeoutError:
                return False

    with ThreadPoolExecutor() as background:
        background.submit(kubectl, f"-n apps exec deploy/second -- python -c '{program}'")
        assert eventually(answered, seconds=60)


def test_the_app_in_the_readme_runs(home: Home) -> None:
    answer = requests.get(
        "https://httpbin.home.arpa/get", params={"who": "owner"}, verify=home.ca, timeout=10
    )

    assert answer.json()["args"] == {"who": ["owner"]}


def test_a_client_that_misbehaves_keeps_nobody_waiting(home: Home, kubectl: Kubectl, hello: str) -> None:
    """Neither for answers, nor does it make Kubernetes restart pods."""
    host = f"hello.{home.domain}"

    def failed_probes() -> int:
        events = kubectl.get("-n apps events --field-selector=reason=Unhealthy")["items"]
        ours = (event for event in events if event["involvedObject"]["name"].startswith("hello-"))
        return sum(event.get("count") or 1 for event in ours)

    def ask() -> None:
        answer = requests.get(f"{hello}healthz", verify=home.ca, timeout=30)
        # Both have one address, so this client may be over the limit of requests in flight, too.
        if answer.status_code != 429:
            answer.raise_for_status()

    kubectl("-n apps rollout status deployment/hello --timeout=120s")
    before = kubectl.containers(), failed_probes()
    with waits(ask) as seconds:
        for _ in range(3):
            hang_up((home.address, 443), host)
            time.sleep(2)
        report = break_rules(host, 443, hosts=f"{home.address} {host}\n")
        time.sleep(10)  # as long as it takes until each pod is probed again
    after = kubectl.containers(), failed_probes()

    assert re.search(r"145 tests, 1[34]\d passed", report), report
    assert max(seconds) < 5, sorted(seconds)[-10:]  # it was half a minute
    assert after[1] == before[1]
    lasting = before[0].keys() & after[0].keys()
    assert {uid: after[0][uid] for uid in lasting} == {uid: before[0][uid] for uid in lasting}


@pytest.fixture(scope="module")
def busy(home: Home, kubectl: Kubectl) -> Iterator[Future[bool]]:
    """Load on an app, until it has a second pod; other tests run meanwhile."""

    def pods() -> int:
        return int(kubectl.get("-n apps deployment second")["status"].get("readyReplicas", 0))

    def grows() -> bool:
        with steady_traffic(f"https://second.{home.domain}/", home.ca):
            return eventually(lambda: pods() == 2, seconds=180)

    assert eventually(lambda: pods() == 1, seconds=400)  # scaling down takes another five minutes
    with ThreadPoolExecutor(1) as background:
        yield background.submit(grows)


@pytest.mark.usefixtures("busy")
def test_a_failed_request_is_found_in_both_logs_by_its_ids(home: Home, kubectl: Kubectl, hello: str) -> None:
    mark = uuid.uuid4().hex
    agent = {"User-Agent": f"verify/{mark}"}
    answer = requests.get(f"{hello}nowhere", headers=agent, verify=home.ca, timeout=10)

    (at_app,) = kubectl.logged("apps", "hello", mark)
    (at_traefik,) = kubectl.logged("traefik", "traefik", mark)

    assert at_app["request_id"] == answer.headers["X-Request-Id"]
    assert at_app["trace_id"] == at_traefik["trace_id"]
    assert at_app["user_agent"] == f"verify/{mark}"
    assert at_app["client_address"] == at_traefik["ClientHost"]
    assert (at_app["status"], at_app["route"]) == (404, "unmatched")
    assert at_app["pod"].startswith("hello-")


def test_metrics_are_only_available_in_the_cluster(home: Home, kubectl: Kubectl, hello: str) -> None:
    counter = ("apps", "hello", 9000, "http_requests_total")
    before = kubectl.counted(*counter)
    assert requests.get(f"{hello}metrics", verify=home.ca, timeout=10).status_code == 404

    assert kubectl.counted(*counter) >= before + 1


def test_evicting_every_pod_at_once_is_rejected(home: Home, kubectl: Kubectl, hello: str) -> None:
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


def _connect(kubectl: Kubectl, app: str, host: str, port: int) -> None:
    """Connect from a pod of an app."""
    program = f'import socket; socket.create_connection(("{host}", {port}), 3)'
    kubectl(f"-n apps exec deploy/{app} -- python -c '{program}'")


def test_a_pod_cannot_reach_other_services(kubectl: Kubectl) -> None:
    kubernetes = kubectl.get("service kubernetes")["spec"]["clusterIP"]

    with pytest.raises(AssertionError, match="timed out"):
        _connect(kubectl, "hello", kubernetes, 443)


def test_only_who_needs_the_database_reaches_it(kubectl: Kubectl) -> None:
    _connect(kubectl, "second", "db", 5432)
    with pytest.raises(AssertionError, match="timed out"):
        _connect(kubectl, "hello", "db", 5432)


def _sql(kubectl: Kubectl, statement: str) -> str:
    login = "psql --host=/var/run/postgresql --tuples-only --no-align"
    return kubectl(f'-n apps exec deploy/db -- {login} --command="{statement}"').strip()


def test_a_database_keeps_its_rows_over_a_restart(kubectl: Kubectl) -> None:
    _sql(kubectl, "DROP TABLE IF EXISTS kept; CREATE TABLE kept (mark int); INSERT INTO kept VALUES (42)")
    (before,) = kubectl.get("-n apps pods -l app.kubernetes.io/name=db")["items"]
    kubectl("-n apps rollout restart deployment/db")
    kubectl("-n apps rollout status deployment/db --timeout=180s")
    (after,) = kubectl.get("-n apps pods -l app.kubernetes.io/name=db")["items"]

    assert before["metadata"]["uid"] != after["metadata"]["uid"]
    assert _sql(kubectl, "SELECT mark FROM kept") == "42"


def test_a_schedule_works_on_the_apps_volumes(kubectl: Kubectl) -> None:
    job = f"backup-{uuid.uuid4().hex[:6]}"
    try:
        kubectl(f"-n apps create job --from=cronjob/db-backup {job}")
        kubectl(f"-n apps wait --for=condition=Complete job/{job} --timeout=120s")
    finally:
        kubectl(f"-n apps delete job {job}")

    assert "PostgreSQL database cluster dump" in kubectl("-n apps exec deploy/db -- head /backup/all.sql")


def test_a_wrong_app_is_refused_before_anything_changes(home: Home) -> None:
    """Also where the list is applied alone."""
    taken = {"name": "mine", "image": "localhost/mine:1", "host": f"grafana.{home.domain}"}
    apps = json.dumps({"apps": ["{{ flask_app_hello }}", taken]})
    run = home.play("playbooks/apps.yml", "-e", apps)

    assert run.returncode == 2
    assert "1 problem, nothing was changed." in run.stdout
    assert f"grafana.{home.domain}" in run.stdout
    assert "Run the apps" not in run.stdout


def test_volumes_of_a_removed_app_are_kept_unless_that_is_confirmed(home: Home) -> None:
    """A dry run names what would be deleted."""
    without = json.dumps({"apps": ["{{ flask_app_hello }}"]})
    confirmed = ("-e", f"apps_confirm_removal={home.name}")

    def dry_run(more: tuple[str, ...]) -> str:
        return home.play("playbooks/apps.yml", "--check", "--diff", "-e", without, *more).stdout

    with ThreadPoolExecutor(2) as pool:
        kept, deleted = pool.map(dry_run, ((), confirmed))

    volume = "PersistentVolumeClaim apps/db-data"
    assert "Deployment apps/db" in kept
    assert volume not in kept
    assert volume in deleted


def test_a_busy_app_gets_more_pods(busy: Future[bool]) -> None:
    """The load began before other tests of this module."""
    assert busy.result()
