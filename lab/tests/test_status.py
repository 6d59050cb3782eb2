import json
import os
from pathlib import Path
from typing import Any

import pytest

from lab import inventory, lifecycle, status
from lab.machine import Machine, save
from plugins.module_utils import http_probe

HOME = Machine("home", "nspawn", "10.214.0.2", 22)
ATTIC = Machine("home-2", "nspawn", "10.214.0.3", 22, "home")


@pytest.fixture
def home(lab_directory: Path) -> Path:
    save(HOME)
    inventory.write([HOME], "homeserver_domain: example.org\n")
    return lab_directory / "home"


def test_without_machines_it_explains_how_to_create_one(lab_directory: Path) -> None:
    found = status.of_lab("home")
    assert found == {"machines": [], "pages": [], "ca": None, "credentials": {}, "kubeconfig": None}
    assert "python -m lab up" in status.as_text(found, "home")
    assert not lab_directory.exists()


def test_files_are_where_site_yml_puts_them(home: Path) -> None:
    found = status.of_lab("home")
    assert found["pages"] == []
    assert found["ca"] == str(home / "secrets/home/ca.crt")
    assert found["kubeconfig"] == str(home / ".kube/home.yaml")
    assert found["credentials"] == {}


def test_credentials_are_the_existing_files(home: Path) -> None:
    (home / "secrets/home").mkdir(parents=True)
    for file in ("ca.key", "traefik_dashboard.password"):
        (home / "secrets/home" / file).touch()
    expected = {"traefik_dashboard": str(home / "secrets/home/traefik_dashboard.password")}
    assert status.of_lab("home")["credentials"] == expected


@pytest.mark.parametrize(("runs", "state"), [(True, "running"), (False, "stopped")])
def test_each_machine_has_a_state(
    home: Path, monkeypatch: pytest.MonkeyPatch, runs: bool, state: str
) -> None:
    monkeypatch.setattr(lifecycle.BACKENDS["nspawn"], "is_running", lambda _machine: runs, raising=False)
    (machine,) = status.of_lab("home")["machines"]
    assert (machine["name"], machine["state"], machine["address"]) == ("home", state, "10.214.0.2")
    assert machine["ssh"].endswith("root@10.214.0.2")
    assert str(home) in machine["ssh"]


def test_any_machine_of_a_home_leads_to_its_pages(running: Path) -> None:
    save(ATTIC)
    found = status.of_lab("home-2")
    assert [(machine["name"], machine["home"]) for machine in found["machines"]] == [
        ("home", "home"),
        ("home-2", "home"),
    ]
    assert found == status.of_lab("home")
    assert found["ca"] == str(running / "secrets/home/ca.crt")
    assert "10.214.0.2 hello.example.org" in status.as_text(found, "home-2")


@pytest.mark.usefixtures("home")
def test_the_home_of_another_machine_is_omitted() -> None:
    found = status.of_lab("other")
    assert [machine["name"] for machine in found["machines"]] == ["home"]
    assert found["pages"] == []


def _workload(name: str, replicas: int = 1) -> dict[str, Any]:
    pod = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"image": f"{name}:1"}]}}
    return {
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {"replicas": replicas, "template": pod},
        "status": {"readyReplicas": replicas},
    }


def _served(name: str, *middlewares: str) -> list[dict[str, Any]]:
    """A Service and a route, as the roles write them."""
    metadata = {"name": name, "namespace": "apps"}
    rule = {
        "match": f"Host(`{name}.example.org`)",
        "middlewares": [{"name": middleware} for middleware in middlewares],
        "services": [{"name": name}],
    }
    return [
        {"kind": "Service", "metadata": metadata, "spec": {"selector": {"app": name}}},
        {"kind": "IngressRoute", "metadata": metadata, "spec": {"routes": [rule]}},
    ]


@pytest.fixture
def running(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that runs, and an `ssh` that answers for its cluster; all its hosts but `broken` answer."""
    objects = [
        *(_workload("jaeger"), _workload("hello"), _workload("broken"), _workload("grafana", 0)),
        *(_served("jaeger", "basic-auth") + _served("hello") + _served("broken") + _served("grafana")),
    ]
    (tmp_path / "objects.json").write_text(json.dumps({"items": objects}))
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\ncat {tmp_path}/objects.json\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(lifecycle.BACKENDS["nspawn"], "is_running", lambda _machine: True, raising=False)
    monkeypatch.setattr(http_probe, "flaw", lambda url, *_: "answers 502" if "broken" in url else "")
    (home / "secrets/home").mkdir(parents=True)
    (home / "secrets/home/traefik_dashboard.password").touch()
    return home


def test_pages_are_those_that_answer_with_their_user_and_password_file(running: Path) -> None:
    password = str(running / "secrets/home/traefik_dashboard.password")
    assert status.of_lab("home")["pages"] == [
        {"name": "hello", "url": "https://hello.example.org/", "user": "", "password_file": ""},
        {
            "name": "jaeger",
            "url": "https://jaeger.example.org/",
            "user": "admin",
            "password_file": password,
        },
    ]


def test_a_machine_without_a_cluster_has_no_pages(running: Path, tmp_path: Path) -> None:
    (tmp_path / "objects.json").unlink()
    assert status.of_lab("home")["pages"] == []
    assert str(running / "secrets/home/ca.crt") in status.as_text(status.of_lab("home"), "home")


@pytest.mark.usefixtures("running")
def test_the_text_tells_how_to_open_the_urls() -> None:
    text = status.as_text(status.of_lab("home"), "home")
    assert "10.214.0.2 hello.example.org jaeger.example.org" in text
    assert "--resolve '*:443:10.214.0.2' https://hello.example.org/" in text
    assert "broken" not in text
