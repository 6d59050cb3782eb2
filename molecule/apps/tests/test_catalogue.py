"""Apps of the catalogue serve the first request of a person, and what they were given survives a restart."""

import re
import subprocess
from collections.abc import Iterator

import pytest
import requests
import yaml

from harness.home import Home, Kubectl, eventually
from harness.programs import mosquitto

APPS = [
    {"from": "miniflux", "host": "news.{{ homeserver_domain }}"},
    # Debian's version.
    {"from": "mosquitto", "image": "docker.io/library/eclipse-mosquitto:2.0.21"},
]


@pytest.fixture(scope="module", autouse=True)
def _installed(home: Home) -> Iterator[None]:
    """The apps; in the end, they are removed with their data."""
    added = home.inventory / "group_vars/all/the_catalogue.yml"
    added.write_text(yaml.safe_dump({"imported_apps_catalogue": APPS}))
    run = home.play("site.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    yield
    added.unlink()
    removal = home.play("site.yml", "-e", f"apps_confirm_removal={home.name}")
    assert removal.returncode == 0, removal.stdout + removal.stderr


def _password(home: Home, app: str, name: str) -> str:
    return (home.secrets / "apps" / app / name).read_text().strip()


def _restart(kubectl: Kubectl, *apps: str) -> None:
    for app in apps:
        kubectl(f"-n apps rollout restart deployment/{app}")
    for app in apps:
        kubectl(f"-n apps rollout status deployment/{app} --timeout=180s")


def _form(page: str) -> dict[str, str]:
    return {"csrf": re.findall(r'name="csrf" value="([^"]+)"', page)[0]}


@pytest.fixture
def reader(home: Home) -> requests.Session:
    """A browser that is logged in to Miniflux."""
    session = requests.Session()
    session.verify = home.ca
    session.trust_env = False  # its REQUESTS_CA_BUNDLE would come first
    address = f"https://news.{home.domain}"
    login = _form(session.get(address, timeout=10).text)
    login |= {"username": "admin", "password": _password(home, "miniflux", "admin")}
    answer = session.post(f"{address}/login", data=login, timeout=10)
    assert answer.ok
    assert "/login" not in answer.url
    return session


def test_a_person_logs_in_and_a_category_survives_a_restart(
    home: Home, kubectl: Kubectl, reader: requests.Session
) -> None:
    address = f"https://news.{home.domain}"
    new = _form(reader.get(f"{address}/category/create", timeout=10).text)
    saved = reader.post(f"{address}/category/save", data=new | {"title": "Garden"}, timeout=10)
    assert saved.ok
    _restart(kubectl, "miniflux-db", "miniflux")

    def is_there() -> bool:
        return "Garden" in reader.get(f"{address}/categories", timeout=10).text

    assert eventually(is_there, 60)
    assert "feeds" in reader.get(f"{address}/feeds", timeout=10).text.lower()


def _client(home: Home, program: str, password: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    server = ("-h", home.address, "-u", "home", "-P", password, "-t", "garden/lamp")
    return subprocess.run(
        [*mosquitto(program), *server, *arguments], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_message_that_is_kept_survives_a_restart(home: Home, kubectl: Kubectl) -> None:
    password = _password(home, "mosquitto", "home")
    published = _client(home, "mosquitto_pub", password, "-r", "-q", "1", "-m", "on")
    assert published.returncode == 0, published.stderr
    _restart(kubectl, "mosquitto")

    def received() -> bool:
        return _client(home, "mosquitto_sub", password, "-C", "1", "-W", "5").stdout.strip() == "on"

    assert eventually(received, 60)


def test_a_wrong_password_is_refused(home: Home) -> None:
    refused = _client(home, "mosquitto_pub", "wrong", "-m", "on")

    assert refused.returncode != 0
    assert "not authori" in refused.stderr.lower()
