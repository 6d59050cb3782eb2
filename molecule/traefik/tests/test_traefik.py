"""Traefik serves every name over TLS, protects private pages, and loses no request."""

import json
import secrets
import socket
import ssl
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from harness import lan
from harness.home import Home, Kubectl, eventually
from harness.traffic import steady_traffic

GUEST = ("guest", "not-a-secret")


@pytest.fixture(scope="module")
def whoami(home: Home) -> str:
    """The URL of the service that returns the request it received, to those with a password."""
    return f"https://whoami.{home.domain}/"


@pytest.fixture(scope="module")
def nas(home: Home) -> str:
    """The URL of a server on the LAN, which is open to all on it."""
    return f"https://nas.{home.domain}/"


@pytest.fixture(scope="module")
def dashboard(home: Home) -> str:
    """The URL of Traefik's own dashboard."""
    return f"https://traefik.{home.domain}/dashboard/"


def _handshake(home: Home, newest: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=home.ca)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that the server is the one that rejects it
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    with (
        socket.create_connection((home.address, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=f"whoami.{home.domain}") as connection,
    ):
        return connection.version()


def test_responds_over_tls_with_a_certificate_of_the_homes_ca(home: Home, nas: str) -> None:
    assert requests.get(nas, verify=home.ca, timeout=10).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(nas, timeout=10)


def test_plain_http_is_redirected_to_https(whoami: str) -> None:
    answer = requests.get(whoami.replace("https:", "http:") + "a?b=c", allow_redirects=False, timeout=10)

    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == f"{whoami}a?b=c"


def test_the_dashboard_requires_the_generated_password(home: Home, dashboard: str) -> None:
    password = (home.secrets / "traefik_dashboard.password").read_text().strip()

    def status(credentials: tuple[str, str] | None) -> int:
        return requests.get(dashboard, auth=credentials, verify=home.ca, timeout=10).status_code

    assert status(None) == 401
    assert status(("admin", "admin")) == 401
    assert status(("admin", password)) == 200


def test_the_root_redirects_to_the_dashboard(home: Home, dashboard: str) -> None:
    password = (home.secrets / "traefik_dashboard.password").read_text().strip()
    root = dashboard.removesuffix("dashboard/")
    answer = requests.get(root, auth=("admin", password), verify=home.ca, timeout=10)

    assert answer.url == dashboard
    assert answer.status_code == 200


def test_old_tls_is_rejected(home: Home) -> None:
    assert _handshake(home, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        _handshake(home, ssl.TLSVersion.TLSv1_1)


def test_an_unknown_name_is_not_found(home: Home) -> None:
    answer = requests.get(f"https://nobody.{home.domain}/", verify=home.ca, timeout=10)

    assert answer.status_code == 404


def test_browsers_get_security_headers(home: Home, nas: str) -> None:
    headers = requests.get(nas, verify=home.ca, timeout=10).headers

    assert "max-age=" in headers["Strict-Transport-Security"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_services_get_the_clients_address(home: Home, whoami: str) -> None:
    with socket.create_connection((home.address, 443)) as connection:
        (own, _) = connection.getsockname()

    claim = {"X-Forwarded-For": "192.0.2.1"}
    seen = requests.get(whoami, auth=GUEST, verify=home.ca, timeout=10, headers=claim).json()

    assert seen["headers"]["X-Forwarded-For"] == [own]


def test_a_request_is_logged_as_json_without_private_data(home: Home, kubectl: Kubectl, nas: str) -> None:
    (mark, private) = (uuid.uuid4().hex, uuid.uuid4().hex)
    headers = {
        "User-Agent": f"verify/{mark}",
        "Authorization": f"Bearer {private}",
        "Cookie": f"session={private}",
    }
    requests.get(f"{nas}?token={private}", headers=headers, verify=home.ca, timeout=10)

    (line,) = kubectl.logged("traefik", "traefik", mark)

    assert private not in json.dumps(line)
    assert line["request_User-Agent"] == f"verify/{mark}"
    assert line["DownstreamStatus"] == 200
    assert line["RequestHost"] == f"nas.{home.domain}"
    assert line["ClientHost"]
    assert line["RouterName"]
    assert line["ServiceName"]
    assert line["Duration"] > 0
    assert len(line["trace_id"]) == 32


def test_request_metrics_are_only_available_in_the_cluster(home: Home, kubectl: Kubectl, nas: str) -> None:
    counter = ("traefik", "traefik", 9100, "traefik_entrypoint_requests_total")
    before = kubectl.counted(*counter)
    requests.get(nas, verify=home.ca, timeout=10)

    assert kubectl.counted(*counter) >= before + 1
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((home.address, 9100), timeout=3)
    assert "traefik_" not in requests.get(f"{nas}metrics", verify=home.ca, timeout=10).text


def test_a_rolling_restart_loses_no_request(home: Home, kubectl: Kubectl, nas: str) -> None:
    with steady_traffic(nas, home.ca) as answers:
        kubectl("-n traefik rollout restart daemonset/traefik")
        kubectl("-n traefik rollout status daemonset/traefik --timeout=120s")

    assert set(answers) == {"200"}, answers
    assert answers["200"] > 50


def test_a_route_leads_to_a_server_on_the_lan(home: Home) -> None:
    answer = requests.get(f"https://nas.{home.domain}/", verify=home.ca, timeout=10)

    assert answer.text == f"{lan.SAYS}: /"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_path_of_the_host_requires_a_password(home: Home) -> None:
    admin = (home.secrets / "traefik_dashboard.password").read_text().strip()

    def answer(credentials: tuple[str, str] | None) -> requests.Response:
        url = f"https://nas.{home.domain}/files/a"
        return requests.get(url, auth=credentials, verify=home.ca, timeout=10)

    assert answer(None).status_code == 401
    assert answer(("guest", "wrong")).status_code == 401
    assert answer(GUEST).text == f"{lan.SAYS}: /files/a"
    assert answer(("admin", admin)).text == f"{lan.SAYS}: /files/a"


def test_whoever_tries_passwords_is_slowed_down(home: Home) -> None:
    def status(number: int) -> int:
        url = f"https://nas.{home.domain}/files/a"
        # Most have none: a busy machine compares fewer passwords than it lets pass.
        guess = None if number % 10 else ("guest", f"guess-{number}")
        return requests.get(url, auth=guess, verify=home.ca, timeout=30).status_code

    with ThreadPoolExecutor(20) as pool:
        answers = Counter(pool.map(status, range(300)))

    assert answers.keys() == {401, 429}, answers
    # The default burst, and some more for each second that it took.
    assert answers[401] >= 100


@pytest.fixture(scope="module")
def configure(home: Home) -> Iterator[Callable[..., None]]:
    """Give Traefik other options, instead of those given before; in the end it has the home's own again."""

    def _configure(**options: object) -> None:
        run = home.play("playbooks/stages/traefik.yml", "-e", json.dumps(options))
        assert run.returncode == 0, run.stdout[-3000:]

    yield _configure
    _configure()
    # The tests of other roles come next. Traefik applies its middlewares seconds later, those of HTTP last.
    urls = (f"https://whoami.{home.domain}/", f"http://{home.address}/trust")

    def is_admitted(url: str) -> bool:
        answer = requests.get(url, verify=home.ca, allow_redirects=False, timeout=10)
        return answer.status_code != 403

    assert eventually(lambda: all(map(is_admitted, urls)), seconds=60)


def test_a_client_from_outside_the_home_is_rejected(
    home: Home, nas: str, whoami: str, dashboard: str, configure: Callable[..., None]
) -> None:
    configure(traefik_lan_networks=["192.0.2.0/24"])  # where the tests do not ask from

    def rejected() -> bool:
        answers = {
            requests.get(url, verify=home.ca, timeout=10).status_code for url in (nas, whoami, dashboard)
        }
        return answers == {403}

    assert eventually(rejected, seconds=30)


def test_secrets_of_other_namespaces_cannot_be_read(kubectl: Kubectl) -> None:
    def may_read(namespace: str) -> bool:
        account = "--as=system:serviceaccount:traefik:traefik"
        return kubectl(f"-n {namespace} auth can-i list secrets {account} || true").strip() == "yes"

    readable = {name: may_read(name) for name in ("traefik", "apps", "kube-system", "default")}
    assert readable == {"traefik": True, "apps": True, "kube-system": False, "default": False}


def test_a_callers_trace_is_replaced_if_configured(
    home: Home, kubectl: Kubectl, whoami: str, configure: Callable[..., None]
) -> None:
    configure(traefik_accept_traceparent=False)
    with socket.create_connection((home.address, 443)) as connection:
        (own, _) = connection.getsockname()
    trace, mark = secrets.token_hex(16), uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01", "User-Agent": f"verify/{mark}"}
    seen: dict[str, list[str]] = {}

    def replaced() -> bool:
        answer = requests.get(whoami, auth=GUEST, headers=headers, verify=home.ca, timeout=10)
        seen.update(answer.json()["headers"] if answer.status_code == 200 else {})
        return trace not in seen.get("Traceparent", [trace])[0]

    # For a moment, the old Traefik pod answers, which looks for the client's address elsewhere.
    assert eventually(replaced, seconds=30)
    assert seen["X-Forwarded-For"] == [own]
    lines = kubectl.logged("traefik", "traefik", mark)
    assert any(line["trace_id"] in seen["Traceparent"][0] for line in lines), lines
