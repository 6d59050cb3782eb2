"""Apps are updated from a registry, and an update that makes one worse is taken back with its data."""

import json
import re
import time
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest
import requests
from testinfra.host import Host

from harness.home import ROOT, Home, Kubectl, eventually
from harness.registry import mirrored, serving
from harness.traffic import steady_traffic

PROGRAM = "/usr/local/lib/homeserver/homeserver_update"
DIRECTORY = "/var/lib/homeserver-update"
WATCHED_SECONDS = 10
# Version 1.0.1 of each app behaves like its name, which is also the suffix of its tags.
APPS = {"works": False, "unready": False, "garbage": True, "crashes": True, "cut": True}
SERVER = """
import http.server, os, pathlib, signal, sys, threading, time
version, behaviour = sys.argv[1:]
page = pathlib.Path("/data/page")
if page.parent.is_dir():
    if behaviour == "garbage":
        page.write_text("garbage")
        sys.exit("the migration failed")
    page.write_text("migrated" if version != "1.0.0" else page.read_text() if page.exists() else "kept")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if behaviour == "unready" else 200)
        self.end_headers()
        self.wfile.write(f"{version} {page.read_text() if page.exists() else ''}".strip().encode())
def crash():
    time.sleep(5)
    os._exit(1)
if behaviour == "crashes":
    threading.Thread(target=crash).start()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""

Play = Callable[..., CompletedProcess[str]]


def _entries() -> list[dict[str, Any]]:
    data = {"volumes": [{"name": "data", "path": "/data"}]}
    return [
        {"name": name, "image": f"updates/app:1.0.0-{name}", "start_seconds": 8, "stop_seconds": 1}
        | (data if has_data else {})
        for name, has_data in APPS.items()
    ]


@pytest.fixture(scope="module")
def variables(home: Home, host: Host) -> Iterator[dict[str, Any]]:
    """Variables of a home with these apps, whose images come from a registry of the tests."""
    if home.bundle is None:
        pytest.skip("this home is not installed from a bundle")
    with serving() as registry:
        registry.push(home.bundle / "images/python.tar", "updates/app:base")
        for name in APPS:
            for version, behaviour in (("1.0.0", "works"), ("1.0.1", name)):
                command = ["python3", "-c", SERVER, version, behaviour]
                registry.tag("updates/app", "base", f"{version}-{name}", command)
        with mirrored(registry, home, host) as address:
            yield {
                "apps_updates": {"window": "Sun 03:00", "minimum_age_days": 0},
                "imported_apps_updates": _entries(),
                "microk8s_registry_mirrors": {home.variables["homeserver_image_mirror"]: address},
            }


@pytest.fixture(scope="module")
def play(home: Home, variables: dict[str, Any]) -> Iterator[Play]:
    """Run the apps, with those of these tests; in the end, remove these with their data."""

    def _play(*arguments: str) -> CompletedProcess[str]:
        return home.play("playbooks/stages/run_apps.yml", "-e", json.dumps(variables), *arguments)

    run = _play()
    assert run.returncode == 0, run.stdout + run.stderr
    yield _play
    removal = home.play("playbooks/stages/run_apps.yml", "-e", f"apps_confirm_removal={home.name}")
    assert removal.returncode == 0, removal.stdout + removal.stderr


@pytest.fixture
def update(host: Host, play: Play) -> Callable[[str], str]:  # noqa: ARG001
    """Run the program for one app, and return what it prints."""

    def _update(app: str) -> str:
        done = host.run(f"python3 {PROGRAM} run --app {app} --watch-seconds {WATCHED_SECONDS}")
        return str(done.stdout + done.stderr)

    return _update


def _answer(home: Home, app: str) -> str:
    return requests.get(f"https://{app}.{home.domain}/", verify=home.ca, timeout=10).text


def _answers(home: Home, app: str, expected: str) -> bool:
    return eventually(lambda: _answer(home, app) == expected, seconds=30)


def _image(kubectl: Kubectl, app: str) -> str:
    return kubectl.image("apps", app).rpartition("/")[2]


def test_an_app_with_two_pods_is_updated_without_a_failed_request(
    home: Home, kubectl: Kubectl, update: Callable[[str], str]
) -> None:
    assert _answers(home, "works", "1.0.0")
    with steady_traffic(f"https://works.{home.domain}/", home.ca) as answers:
        said = update("works")

    assert "updated to 1.0.1-works" in said
    assert set(answers) == {"200"}, answers
    assert re.fullmatch(r"app:1\.0\.1-works@sha256:[0-9a-f]{64}", _image(kubectl, "works"))
    assert _answer(home, "works") == "1.0.1"


@pytest.mark.parametrize(
    ("app", "why"),
    [("garbage", "not ready after"), ("unready", "not ready after"), ("crashes", "restarted")],
)
def test_an_update_that_makes_an_app_worse_is_taken_back(
    home: Home, kubectl: Kubectl, update: Callable[[str], str], app: str, why: str
) -> None:
    before = "1.0.0 kept" if APPS[app] else "1.0.0"
    assert _answers(home, app, before)
    said = update(app)

    assert f"the update to 1.0.1-{app} was taken back: " in said
    assert why in said
    assert ("is lost" in said) == APPS[app]
    assert _image(kubectl, app) == f"app:1.0.0-{app}"
    assert _answers(home, app, before)


def _move_in(home: Home, host: Host) -> CompletedProcess[str]:
    """Copy data into the volumes of other apps, as `restore.yml -e app=` would, too."""
    host.check_output("mkdir -p /srv/new && cd /srv/new && mkdir -p wiki_pages/_data wiki_rows/_data/pgdata")
    file = ROOT / "molecule/apps/wiki/docker-compose.yml"
    options = {"file": str(file), "data": "/srv/new", "replace": True}
    return home.play("playbooks/move_in.yml", "-e", json.dumps(options))


def test_an_update_that_is_killed_is_taken_back_with_its_data(home: Home, host: Host, play: Play) -> None:
    assert _answers(home, "cut", "1.0.0 kept")
    host.check_output(f"systemd-run --unit=lab-update python3 {PROGRAM} run --app cut --watch-seconds 600")
    assert eventually(lambda: '"watching"' in host.run(f"cat {DIRECTORY}/running.json").stdout, seconds=90)
    assert _answer(home, "cut") == "1.0.1 migrated"

    for refused in (play(), _move_in(home, host)):
        assert "cut is being updated (watching)" in refused.stdout
    host.check_output("systemctl kill --signal=KILL lab-update.service")
    host.check_output("systemctl start homeserver-update-resume.service")

    assert _answers(home, "cut", "1.0.0 kept")
    assert not host.file(f"{DIRECTORY}/running.json").exists


@pytest.mark.usefixtures("play")
def test_the_playbook_lists_what_waits_and_tells_why_not(home: Home, variables: dict[str, Any]) -> None:
    listed = home.play("playbooks/update.yml", "-e", json.dumps(variables), "-e", "check=true")

    assert listed.returncode == 0, listed.stdout + listed.stderr
    # The killed update was not its version's fault; the others are skipped.
    assert re.findall(r"(\w+): updates/app:1.0.0-\w+ -> 1.0.1", listed.stdout) == ["cut"]


def test_another_run_keeps_what_was_updated(play: Play, kubectl: Kubectl) -> None:
    images = {app: _image(kubectl, app) for app in APPS}
    pods = kubectl.containers()
    run = play()

    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"changed=0 ", run.stdout), run.stdout
    assert {app: _image(kubectl, app) for app in APPS} == images
    assert kubectl.containers() == pods


def test_the_home_tells_what_was_taken_back(kubectl: Kubectl, host: Host, play: Play) -> None:  # noqa: ARG001
    told = json.loads(kubectl.get("configmap homeserver-updates")["data"]["waiting"])
    metrics = host.check_output("cat /var/lib/prometheus/node-exporter/homeserver_update.prom")

    assert {"garbage", "unready", "crashes", "cut"} == told["taken_back"].keys()
    assert re.search(
        r'homeserver_update_lost_seconds\{app="garbage",version="1.0.1-garbage"\} [1-9]', metrics
    )
    assert host.check_output(f"ls -A {DIRECTORY}").count("running") == 0
    assert abs(told["checked"] - time.time()) < 3600
