"""Traefik answers for every name over TLS, keeps what is private, and loses no request."""

import http.server
import json
import secrets
import socket
import ssl
import subprocess
import threading
import uuid
from collections.abc import Iterator

import pytest
import requests

from tests.home import Home, Kubectl, eventually
from tests.traffic import steady_traffic


@pytest.fixture(scope="module")
def whoami(home: Home) -> str:
    """The URL of the service that says what it was asked."""
    return f"https://whoami.{home.domain}/"


@pytest.fixture(scope="module")
def dashboard(home: Home) -> str:
    """The URL of Traefik's own dashboard."""
    return f"https://traefik.{home.domain}/dashboard/"


def _handshake(home: Home, newest: ssl.TLSVersion) -> str | None:
    context = ssl.create_default_context(cafile=home.ca)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # so that it is the server who refuses
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = newest
    with (
        socket.create_connection((home.address, 443), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=f"whoami.{home.domain}") as connection,
    ):
        return connection.version()


def test_answers_over_tls_with_a_certificate_of_the_homes_authority(home: Home, whoami: str) -> None:
    assert requests.get(whoami, verify=home.ca, timeout=10).status_code == 200
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(whoami, timeout=10)


def test_plain_http_is_sent_to_https(whoami: str) -> None:
    answer = requests.get(whoami.replace("https:", "http:") + "a?b=c", allow_redirects=False, timeout=10)

    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == f"{whoami}a?b=c"


def test_the_dashboard_asks_for_the_generated_password(home: Home, dashboard: str) -> None:
    password = (home.secrets / "traefik_dashboard.password").read_text().strip()

    def status(credentials: tuple[str, str] | None) -> int:
        return requests.get(dashboard, auth=credentials, verify=home.ca, timeout=10).status_code

    assert status(None) == 401
    assert status(("admin", "admin")) == 401
    assert status(("admin", password)) == 200


def test_the_root_leads_to_the_dashboard(home: Home, dashboard: str) -> None:
    password = (home.secrets / "traefik_dashboard.password").read_text().strip()
    root = dashboard.removesuffix("dashboard/")
    answer = requests.get(root, auth=("admin", password), verify=home.ca, timeout=10)

    assert answer.url == dashboard
    assert answer.status_code == 200


def test_old_tls_is_refused(home: Home) -> None:
    assert _handshake(home, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        _handshake(home, ssl.TLSVersion.TLSv1_1)


def test_a_name_nobody_has_is_not_found(home: Home) -> None:
    answer = requests.get(f"https://nobody.{home.domain}/", verify=home.ca, timeout=10)

    assert answer.status_code == 404


def test_browsers_are_told_to_be_careful(home: Home, whoami: str) -> None:
    headers = requests.get(whoami, verify=home.ca, timeout=10).headers

    assert "max-age=" in headers["Strict-Transport-Security"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"]


def test_services_see_the_clients_address(home: Home, whoami: str) -> None:
    with socket.create_connection((home.address, 443)) as connection:
        (own, _) = connection.getsockname()

    seen = requests.get(whoami, verify=home.ca, timeout=10, headers={"X-Forwarded-For": "192.0.2.1"}).json()

    assert seen["headers"]["X-Forwarded-For"] == [own]


def test_a_request_is_logged_as_json_without_what_is_private(
    home: Home, kubectl: Kubectl, whoami: str
) -> None:
    (mark, private) = (uuid.uuid4().hex, uuid.uuid4().hex)
    headers = {
        "User-Agent": f"verify/{mark}",
        "Authorization": f"Bearer {private}",
        "Cookie": f"session={private}",
    }
    requests.get(f"{whoami}?token={private}", headers=headers, verify=home.ca, timeout=10)

    (line,) = kubectl.logged("traefik", "traefik", mark)

    assert private not in json.dumps(line)
    assert line["request_User-Agent"] == f"verify/{mark}"
    assert line["DownstreamStatus"] == 200
    assert line["RequestHost"] == f"whoami.{home.domain}"
    assert line["ClientHost"]
    assert line["RouterName"]
    assert line["ServiceName"]
    assert line["Duration"] > 0
    assert len(line["trace_id"]) == 32


def test_requests_are_counted_where_only_the_cluster_sees_it(
    home: Home, kubectl: Kubectl, whoami: str
) -> None:
    counter = ("traefik", "traefik", 9100, "traefik_entrypoint_requests_total")
    before = kubectl.counted(*counter)
    requests.get(whoami, verify=home.ca, timeout=10)

    assert kubectl.counted(*counter) >= before + 1
    with pytest.raises(OSError, match=r"refused|timed out"):
        socket.create_connection((home.address, 9100), timeout=3)
    assert requests.get(f"{whoami}metrics", verify=home.ca, timeout=10).text.count("traefik_") == 0


def test_a_rolling_restart_loses_no_request(home: Home, kubectl: Kubectl, whoami: str) -> None:
    with steady_traffic(whoami, home.ca) as answers:
        kubectl("-n traefik rollout restart deployment/traefik")
        kubectl("-n traefik rollout status deployment/traefik --timeout=120s")

    assert set(answers) == {"200"}, answers
    assert answers["200"] > 50


@pytest.fixture
def nas() -> Iterator[str]:
    """A server on the LAN, outside of Kubernetes, where the scenario's route expects it; what it says."""

    class Nas(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from the LAN")

    server = http.server.ThreadingHTTPServer(("", 8099), Nas)
    threading.Thread(target=server.serve_forever).start()
    yield "from the LAN"
    server.shutdown()
    server.server_close()


def test_a_route_leads_to_a_server_on_the_lan(home: Home, nas: str) -> None:
    answer = requests.get(f"https://nas.{home.domain}/", verify=home.ca, timeout=10)

    assert answer.text == nas
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.fixture
def own_traces(home: Home) -> Iterator[None]:
    """Traefik as it is when the owner wants no trace of others to go on here."""
    playbook = "molecule/traefik/converge.yml"  # with the route that another test needs
    _played(home.play(playbook, "-e", json.dumps({"traefik_accept_traceparent": False})))
    yield
    _played(home.play(playbook))


def _played(run: subprocess.CompletedProcess[str]) -> None:
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.usefixtures("own_traces")
def test_a_strangers_trace_is_replaced_where_the_owner_wants_it(
    home: Home, kubectl: Kubectl, whoami: str
) -> None:
    with socket.create_connection((home.address, 443)) as connection:
        (own, _) = connection.getsockname()
    trace, mark = secrets.token_hex(16), uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01", "User-Agent": f"verify/{mark}"}
    seen: dict[str, list[str]] = {}

    def replaced() -> bool:
        seen.update(requests.get(whoami, headers=headers, verify=home.ca, timeout=10).json()["headers"])
        return trace not in seen["Traceparent"][0]

    # For a moment connections still go to the Traefik of before.
    assert eventually(replaced, seconds=30)
    assert seen["X-Forwarded-For"] == [own]
    lines = kubectl.logged("traefik", "traefik", mark)
    assert any(line["trace_id"] in seen["Traceparent"][0] for line in lines), lines
