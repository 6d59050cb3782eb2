"""The program as the pod runs it: how it starts, what it serves, and how it ends."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from harness.waiting import wait_until
from images.door.tests.served import CONFIG, HOME, LOGIN, Running, manage, mount, running


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A running door."""
    with running(mount(tmp_path_factory.mktemp("door"))) as served:
        yield served


def _get(door: Running, path: str, host: str = LOGIN, **headers: str) -> requests.Response:
    named = {"Host": host, **headers}
    return requests.get(
        f"http://127.0.0.1:{door.port}{path}", headers=named, timeout=10, allow_redirects=False
    )


def test_it_is_ready_and_has_metrics(door: Running) -> None:
    assert _get(door, "/healthz", "10.1.2.3:8080").text == "ok\n"
    assert _get(door, "/readyz", "10.1.2.3:8080").text == "ready\n"
    metrics = requests.get(f"http://127.0.0.1:{door.metrics}/metrics", timeout=10).text
    assert "door_configuration_valid 1.0" in metrics
    _get(door, "/", HOME)
    metrics = requests.get(f"http://127.0.0.1:{door.metrics}/metrics", timeout=10).text
    assert 'door_request_seconds_count{pages="login"} 2.0' in metrics
    assert 'door_request_seconds_count{pages="home"} 1.0' in metrics


def test_an_invitation_comes_from_the_command_line(door: Running) -> None:
    invited = door.command("invite", "anna")
    assert re.fullmatch(rf"https://{LOGIN}/invitation/#[\w-]{{43}}", invited["url"])
    assert invited["name"] == "anna"
    assert {each["name"]: (each["passkey"], each["invited"]) for each in door.command("people")} == {
        "anna": (False, True),
        "ben": (False, False),
        "guest": (False, False),
    }
    assert invited["url"].partition("#")[2] not in door.log.read_text()


def test_nobody_else_is_invited(door: Running) -> None:
    refused = manage(door.mounted, "invite", "carl", check=False)

    assert refused.returncode == 1
    assert "'carl' is not in the configuration (expected one of: anna, ben, guest)" in refused.stderr


def test_a_guest_gets_no_page_that_needs_a_login(door: Running) -> None:
    listed = re.findall(
        r'path\("([^"<]*)"', (Path(__file__).parents[1] / "src/homeserver_door/urls/login.py").read_text()
    )
    keys: tuple[str, ...] = (
        "",
        "webauthn/",
        "webauthn/add/",
        "webauthn/reauthenticate/",
        "recovery-codes/",
        "reauthenticate/",
    )
    keys += (
        "authenticate/",
        "recovery-codes/download/",
        "recovery-codes/generate/",
        "webauthn/keys/1/remove/",
    )
    open_to_all = {
        "healthz", "readyz", "login/", "logout/", "inactive/", "recover/", "invitation/",
        "invitation/passkey/", "keys/webauthn/login/", "identity/o/authorize", "identity/o/api/token",
    }  # fmt: skip
    for path in {*listed, *(f"keys/{each}" for each in keys)} - open_to_all:
        answer = _get(door, f"/{path}")
        assert answer.status_code in (302, 404), (path, answer.status_code)
        if answer.status_code == 302:
            assert "/login/" in answer.headers["Location"], path
    assert len(listed) > 15


def test_a_change_of_the_file_is_seen_without_a_restart(door: Running) -> None:
    header = {"X-Auth-Request-Preferred-Username": "carl"}
    assert _get(door, "/", HOME, **header).status_code == 403
    door.mounted.write(people=[*CONFIG["people"], {"name": "carl", "groups": ["family"]}])
    assert "Photos" in _get(door, "/", HOME, **header).text

    door.mounted.write()
    assert _get(door, "/", HOME, **header).status_code == 403


def test_a_broken_file_changes_nothing_and_is_noticed(door: Running) -> None:
    (door.mounted.config / "config.json").write_text("{")
    header = {"X-Auth-Request-Preferred-Username": "ben"}
    assert "Photos" in _get(door, "/", HOME, **header).text
    metrics = requests.get(f"http://127.0.0.1:{door.metrics}/metrics", timeout=10).text
    assert "door_configuration_valid 0.0" in metrics
    assert any("config.json is no JSON" in each.get("reason", "") for each in door.events())

    door.mounted.write()
    assert "Photos" in _get(door, "/", HOME, **header).text
    assert (
        "door_configuration_valid 1.0"
        in requests.get(f"http://127.0.0.1:{door.metrics}/metrics", timeout=10).text
    )


def test_a_client_without_its_secret_is_noticed(door: Running) -> None:
    door.mounted.write(
        clients=[*CONFIG["clients"], {"id": "new", "name": "New", "redirect_uris": ["https://a/"]}]
    )
    assert _get(door, "/login/").status_code == 200
    assert (
        "door_configuration_valid 0.0"
        in requests.get(f"http://127.0.0.1:{door.metrics}/metrics", timeout=10).text
    )
    door.mounted.write()
    assert _get(door, "/login/").status_code == 200


def test_rate_limits_hold_for_requests_at_the_same_time(door: Running) -> None:
    session = requests.Session()
    page = session.get(f"http://127.0.0.1:{door.port}/recover/", headers={"Host": LOGIN}, timeout=10)
    token = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page.text)[0]
    cookie = page.cookies["__Host-csrf"]

    def attempt(number: int) -> int:
        headers = {
            "Host": LOGIN,
            "Origin": f"https://{LOGIN}",
            "Cookie": f"__Host-csrf={cookie}",
            "X-Forwarded-For": f"192.168.7.{number}",
        }
        values = {"csrfmiddlewaretoken": token, "name": "ben", "code": f"{number:010}"}
        url = f"http://127.0.0.1:{door.port}/recover/"
        return requests.post(url, values, headers=headers, timeout=30).status_code

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(attempt, range(40)))
    assert sorted(set(answers)) == [403, 429]
    assert answers.count(403) <= 5


def test_pages_are_quick_and_memory_is_small(door: Running) -> None:
    times = []
    for _ in range(200):
        began = time.monotonic()
        assert _get(door, "/", HOME, **{"X-Auth-Request-Preferred-Username": "anna"}).status_code == 200
        times.append(time.monotonic() - began)
    children = subprocess.run(
        ["pgrep", "-P", str(door.process.pid)], capture_output=True, text=True, check=True
    )
    pids = [door.process.pid, *map(int, children.stdout.split())]
    used = sum(
        int(re.findall(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[0])
        for pid in pids
    )

    assert len(pids) == 2
    assert sorted(times)[100] < 0.05
    assert used < 110 * 1024


def test_connections_without_a_request_keep_nobody_waiting(door: Running) -> None:
    with ExitStack() as opened:
        for _ in range(40):
            opened.enter_context(socket.create_connection(("127.0.0.1", door.port)))
        began = time.monotonic()
        assert _get(door, "/login/").status_code == 200
        assert time.monotonic() - began < 3


def test_it_finishes_requests_when_it_is_told_to_stop(tmp_path: Path) -> None:
    with running(mount(tmp_path)) as door:
        assert _get(door, "/healthz").status_code == 200
        lock = sqlite3.connect(door.mounted.data / "door.sqlite3", timeout=1)
        lock.execute("BEGIN IMMEDIATE")
        answers: list[int] = []
        # It wants to write a session, and waits for the lock.
        waiting = threading.Thread(target=lambda: answers.append(_login_begins(door)))
        waiting.start()
        wait_until(lambda: _busy(door), seconds=20)
        door.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        lock.rollback()
        waiting.join(30)
        assert door.process.wait(30) == 0
        assert answers == [200]


def _login_begins(door: Running) -> int:
    return _get(door, "/keys/webauthn/login/", Accept="application/json").status_code


def _busy(door: Running) -> bool:
    """Whether a request has arrived."""
    found = subprocess.run(
        ["ss", "-Htn", "state", "established", f"sport = :{door.port}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return bool(found.stdout.strip())


# How it refuses to start


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("config.json", "config.json cannot be read"),
        ("secrets/django-key", "django-key cannot be read"),
        ("secrets/oidc-key.pem", "oidc-key.pem cannot be read"),
        ("secrets/client-gate", "client-gate cannot be read"),
    ],
)
def test_it_says_what_is_missing(tmp_path: Path, broken: str, message: str) -> None:
    mounted = mount(tmp_path)
    (mounted.config / broken).unlink()
    ended = manage(mounted, "serve", check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("The door cannot start: ")
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_does_not_serve_with_a_database_that_cannot_be_brought_up_to_date(tmp_path: Path) -> None:
    mounted = mount(tmp_path)
    (mounted.data / "door.sqlite3").write_bytes(b"no database" * 100)
    ended = manage(mounted, "serve", check=False)

    assert ended.returncode == 1
    assert "door.sqlite3 cannot be brought up to date" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_database_is_kept_over_a_restart(tmp_path: Path) -> None:
    mounted = mount(tmp_path)
    with running(mounted) as door:
        door.command("invite", "ben")
    assert sqlite3.connect(mounted.data / "door.sqlite3").execute("PRAGMA journal_mode").fetchone() == (
        "wal",
    )
    with running(mounted) as door:
        assert [each["invited"] for each in door.command("people")] == [False, True, False]


def test_django_finds_nothing_to_improve(tmp_path: Path) -> None:
    mounted = mount(tmp_path)
    assert "no issues" in manage(mounted, "check", "--deploy", "--fail-level=INFO").stdout
    assert "No changes" in manage(mounted, "makemigrations", "--check", "--dry-run").stdout


def test_the_log_is_lines_of_json(door: Running) -> None:
    lines = door.log.read_text().splitlines()

    assert lines
    assert all(json.loads(line)["time"] for line in lines)
    assert os.getpid() != door.process.pid
