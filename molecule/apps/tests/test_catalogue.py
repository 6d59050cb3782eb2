"""Apps of the catalogue serve the first request of a person, and what they were given survives a restart."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from testinfra.host import Host

from harness import programs, syncthing
from harness.home import Home, Kubectl, eventually
from harness.registry import mirrored, serving
from lab.catalogue.images import APP_IMAGES

VOLUMES = "/var/snap/microk8s/common/default-storage"
REPOSITORY = "/mnt/backups"
BACKUPS = [{"name": "disk", "location": REPOSITORY}]
# As images of LinuxServer: an init system that starts as root, and changes to this user.
PAGES_USER = "1234"
PAGES = {
    "name": "pages",
    "root": True,
    "port": 8080,
    "liveness_path": "/",
    "readiness_path": "/",
    "env": {"PUID": PAGES_USER, "PGID": "5678"},
    "volumes": [{"name": "config", "path": "/config", "size_gib": 1}],
}
# The images are those of the lab.
APPS: dict[str, dict[str, Any]] = {
    "miniflux": {"from": "miniflux", "host": "news.{{ homeserver_domain }}"},
    "mosquitto": {"from": "mosquitto"},
    "samba": {"from": "samba"},
    "syncthing": {"from": "syncthing"},
    "s6": PAGES,
}


@pytest.fixture(scope="module", autouse=True)
def _installed(home: Home, host: Host) -> Iterator[None]:
    """The apps; in the end, they are removed with their data and backups."""
    if home.bundle is None:
        pytest.skip("this home is not installed from a bundle")
    apps = [APPS[image.name] | {"image": image.reference} for image in APP_IMAGES]
    added = home.inventory / "group_vars/all/the_catalogue.yml"
    added.write_text(yaml.safe_dump({"imported_apps_catalogue": apps, "backup_repositories": BACKUPS}))
    host.check_output(f"mkdir -p {REPOSITORY}")
    with serving() as registry:
        for image in APP_IMAGES:
            registry.push(programs.image(image), image.reference)
        with mirrored(registry, home, host):
            run = home.play("site.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    yield
    added.unlink()
    removal = home.play("site.yml", "-e", f"apps_confirm_removal={home.name}")
    assert removal.returncode == 0, removal.stdout + removal.stderr
    host.check_output(f"rm -r {REPOSITORY}")


def _password(home: Home, app: str, name: str) -> str:
    return (home.secrets / "apps" / app / name).read_text().strip()


def _restart(kubectl: Kubectl, *apps: str, namespace: str = "apps") -> None:
    for app in apps:
        kubectl(f"-n {namespace} rollout restart deployment/{app}")
    for app in apps:
        kubectl(f"-n {namespace} rollout status deployment/{app} --timeout=180s")


def _form(page: str) -> dict[str, str]:
    return {"csrf": re.findall(r'name="csrf" value="([^"]+)"', page)[0]}


def _reader(home: Home) -> requests.Session:
    """Return a browser that is logged in to Miniflux."""
    session = requests.Session()
    session.verify = home.ca
    session.trust_env = False  # its REQUESTS_CA_BUNDLE would come first
    address = f"https://news.{home.domain}"
    assert eventually(lambda: session.get(address, timeout=10).ok, 60)
    login = _form(session.get(address, timeout=10).text)
    login |= {"username": "admin", "password": _password(home, "miniflux", "admin")}
    answer = session.post(f"{address}/login", data=login, timeout=10)
    assert answer.ok
    assert "/login" not in answer.url
    return session


@pytest.fixture(scope="module")
def categories(home: Home) -> str:
    """The address of Miniflux' categories. It has one with the name Garden."""
    address, reader = f"https://news.{home.domain}", _reader(home)
    new = _form(reader.get(f"{address}/category/create", timeout=10).text)
    saved = reader.post(f"{address}/category/save", data=new | {"title": "Garden"}, timeout=10)
    assert saved.ok
    return f"{address}/categories"


def test_a_person_logs_in_and_a_category_survives_a_restart(
    home: Home, kubectl: Kubectl, categories: str
) -> None:
    reader = _reader(home)
    _restart(kubectl, "miniflux-db", "miniflux")

    assert eventually(lambda: "Garden" in reader.get(categories, timeout=10).text, 60)


def test_a_stack_that_lost_its_database_is_restored_by_the_name_of_its_app(
    home: Home, host: Host, kubectl: Kubectl, categories: str
) -> None:
    saved = home.play("playbooks/backup.yml")
    assert saved.returncode == 0, saved.stdout + saved.stderr
    host.check_output(f"rm -r {VOLUMES}/apps-miniflux-db-data-*/pgdata")
    _restart(kubectl, "miniflux-db", "miniflux")
    assert "Garden" not in _reader(home).get(categories, timeout=10).text

    overwrite = ("-e", "restore_overwrite=true")
    restored = home.play("playbooks/restore.yml", "-e", "app=miniflux", *overwrite)

    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "apps/miniflux-db-data" in restored.stdout
    assert "(item=Deployment apps/miniflux)" in restored.stdout, "it ran while its database was restored"
    for app in ("miniflux-db", "miniflux"):
        kubectl(f"-n apps rollout status deployment/{app} --timeout=180s")
    assert "Garden" in _reader(home).get(categories, timeout=10).text


def _client(home: Home, program: str, password: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    server = ("-h", home.address, "-u", "home", "-P", password, "-t", "garden/lamp")
    return subprocess.run(
        [*programs.mosquitto(program), *server, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
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


def _samba(home: Home, command: str, password: str = "") -> subprocess.CompletedProcess[str]:
    user = f"home%{password or _password(home, 'samba', 'home')}"
    share = ("-s", "/dev/null", f"//{home.address}/Data", "-U", user, "-c", command)
    return subprocess.run(
        [*programs.smbclient(), *share], capture_output=True, text=True, check=False, timeout=30
    )


def test_a_file_in_the_folder_of_the_network_survives_a_restart(
    home: Home, kubectl: Kubectl, tmp_path: Path
) -> None:
    given, found = tmp_path / "given", tmp_path / "found"
    given.write_text("tomatoes")
    stored = _samba(home, f"put {given} garden.txt")
    assert stored.returncode == 0, stored.stdout
    _restart(kubectl, "samba", namespace="apps-root")

    assert eventually(lambda: _samba(home, f"get garden.txt {found}").returncode == 0, 60)
    assert found.read_text() == "tomatoes"


def test_a_wrong_password_opens_no_folder(home: Home) -> None:
    assert "NT_STATUS_LOGON_FAILURE" in _samba(home, "ls", "wrong").stdout


def test_a_computer_syncs_a_folder_with_the_server_also_after_a_restart(
    home: Home, host: Host, kubectl: Kubectl, tmp_path: Path
) -> None:
    page = requests.get(f"https://syncthing.{home.domain}/", verify=home.ca, timeout=10)
    assert page.status_code == 401
    with syncthing.computer(tmp_path) as computer:
        server = syncthing.server(f"https://syncthing.{home.domain}", home.ca, ("guest", "not-a-secret"))
        (tmp_path / "garden").mkdir()
        server.share("garden", "/files/garden", computer.device)
        computer.share("garden", str(tmp_path / "garden"), server.device, f"tcp://{home.address}:22000")

        def arrives(name: str) -> bool:
            (tmp_path / "garden" / name).write_text(name)
            computer.scan("garden")
            there = f"{VOLUMES}/apps-syncthing-files-*/garden/{name}"
            return eventually(lambda: host.run(f"cat {there}").stdout == name, 90)

        assert arrives("seeds")
        _restart(kubectl, "syncthing")
        assert arrives("harvest")


def test_an_app_with_an_init_system_changes_from_root_to_its_user(
    home: Home, host: Host, kubectl: Kubectl
) -> None:
    address = f"https://pages.{home.domain}/"
    assert requests.get(address, verify=home.ca, timeout=10).text == PAGES_USER
    requests.post(address, "kept", verify=home.ca, timeout=10)
    _restart(kubectl, "pages", namespace="apps-root")

    def is_kept() -> bool:
        return requests.get(address, verify=home.ca, timeout=10).text == f"{PAGES_USER} kept"

    assert eventually(is_kept, 60)
    owner = host.check_output(f"stat --format=%u:%g {VOLUMES}/apps-root-pages-config-*/note")
    assert owner == f"{PAGES_USER}:5678"
