from pathlib import Path

import pytest

from lab import inventory, lifecycle, status
from lab.machine import Machine, save

HOME = Machine("home", "nspawn", "10.214.0.2", 22)


@pytest.fixture
def home(lab_directory: Path) -> Path:
    save(HOME)
    inventory.write(HOME, "homeserver_domain: example.org\n")
    return lab_directory / "home"


def test_without_machines_it_says_how_to_make_one(lab_directory: Path) -> None:
    found = status.of_lab("home")
    assert found == {"machines": [], "urls": {}, "ca": None, "credentials": {}, "kubeconfig": None}
    assert "python -m lab up" in status.as_text(found, "home")
    assert not lab_directory.exists()


def test_urls_and_files_are_where_site_yml_puts_them(home: Path) -> None:
    found = status.of_lab("home")
    assert found["urls"]["hello"] == "https://hello.example.org/"
    assert found["urls"]["traefik"] == "https://traefik.example.org/dashboard/"
    assert found["ca"] == str(home / "secrets/home/ca.crt")
    assert found["kubeconfig"] == str(home / ".kube/home.yaml")
    assert found["credentials"] == {}


def test_credentials_are_the_files_that_are_there(home: Path) -> None:
    (home / "secrets/home").mkdir(parents=True)
    for file in ("ca.key", "traefik_dashboard.password"):
        (home / "secrets/home" / file).touch()
    expected = {"traefik_dashboard": str(home / "secrets/home/traefik_dashboard.password")}
    assert status.of_lab("home")["credentials"] == expected


@pytest.mark.parametrize(("runs", "state"), [(True, "running"), (False, "stopped")])
def test_each_machine_says_whether_it_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, runs: bool, state: str
) -> None:
    monkeypatch.setattr(lifecycle.BACKENDS["nspawn"], "is_running", lambda _machine: runs, raising=False)
    (machine,) = status.of_lab("home")["machines"]
    assert (machine["name"], machine["state"], machine["address"]) == ("home", state, "10.214.0.2")
    assert machine["ssh"].endswith("root@10.214.0.2")
    assert str(home) in machine["ssh"]


@pytest.mark.usefixtures("home")
def test_of_another_machines_home_nothing_is_said() -> None:
    found = status.of_lab("other")
    assert [machine["name"] for machine in found["machines"]] == ["home"]
    assert found["urls"] == {}


@pytest.mark.usefixtures("home")
def test_the_text_tells_how_to_open_the_urls() -> None:
    text = status.as_text(status.of_lab("home"), "home")
    assert "10.214.0.2 hello.example.org whoami.example.org traefik.example.org" in text
    assert "--resolve '*:443:10.214.0.2' https://hello.example.org/" in text
