"""The messages an owner gets, from the playbook itself; the host is this machine."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
VERSIONS = ROOT / "inventory/group_vars/all/versions.yml"


@pytest.fixture
def complaints(tmp_path: Path) -> Any:
    """Run preflight with an inventory of this machine and of one that nobody reaches; give what it prints."""

    def run(*, hosts: bool = True, **variables: Any) -> str:
        inventory = tmp_path / "inventory"
        (inventory / "group_vars/all").mkdir(parents=True)
        (inventory / "group_vars/all/versions.yml").symlink_to(VERSIONS)
        (inventory / "group_vars/all/main.yml").write_text(json.dumps({"ansible_become": False, **variables}))
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {
            "control_plane": {"hosts": {"home": here} if hosts else {}},
            "workers": {"hosts": {"nas": {"ansible_host": "127.0.0.1", "ansible_port": 1}}},
        }
        tree = {"all": {"children": {"home_servers": {"children": groups}}}}
        (inventory / "hosts.yml").write_text(json.dumps(tree))
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        command = [program, "-i", str(inventory), "playbooks/preflight.yml"]
        environment = {**os.environ, "COLUMNS": "1000"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "changed=0" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout

    return run


def test_every_problem_is_told_in_one_message(complaints: Any, tmp_path: Path) -> None:
    said = complaints(
        homeserver_domain="My_Home",
        homeserver_bundle=str(tmp_path),
        traefik_routes=[
            {"name": "nas", "host": "nas.home.arpa", "url": "http://192.168.1.20"},
            {"name": "disk", "host": "nas.home.arpa", "url": "http://192.168.1.21"},
        ],
        microk8s_user=["owner"],
        grafana_dashboards_extra=["/nowhere.json"],
        microk8s_extra_kubelet_args={"--node-labels": "a b"},
        preflight_memory_mib=10**9,
    )
    for message in (
        "home, nas: unknown variable microk8s_user -> did you mean microk8s_users?",
        "home, nas: the domain is not a DNS name (homeserver_domain, 'My_Home') -> write a name such as",
        "home, nas: two routes for https://nas.home.arpa/ (nas in traefik_routes and disk in traefik_routes)",
        f"home, nas: {tmp_path}/bundle.json cannot be read (No such file or directory) (homeserver_bundle)",
        "home, nas: --node-labels is 'a b': MicroK8s passes no value with spaces or quotes",
        "home, nas: /nowhere.json cannot be read (No such file or directory) (grafana_dashboards_extra) -> ",
        "home: too little memory",
        "nas: cannot be reached: Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1",
    ):
        assert message in said


@pytest.mark.parametrize("runs", [False, True])
def test_a_bundle_needs_no_image_of_what_does_not_run(complaints: Any, tmp_path: Path, runs: bool) -> None:
    snap = tmp_path / "microk8s.snap"
    snap.touch()
    empty = {"name": "microk8s", "file": snap.name, "sha256": hashlib.sha256().hexdigest()}
    (tmp_path / "bundle.json").write_text(json.dumps({"format": 1, "snaps": [empty]}))
    said = complaints(
        homeserver_bundle=str(tmp_path),
        grafana_replicas=int(runs),
        elk_kibana_replicas=int(runs),
        elk_logstash_enabled=runs,
    )
    assert "the bundle has no image docker.io/library/traefik:" in said
    for image in (
        "docker.io/grafana/grafana",
        "docker.elastic.co/kibana/kibana",
        "docker.elastic.co/logstash/",
    ):
        assert (f"the bundle has no image {image}" in said) is runs
    assert "kube-state-metrics" not in said


def test_values_of_a_wrong_type_or_kind_are_told(complaints: Any) -> None:
    said = complaints(
        microk8s_state="gone", traefik_replicas="two", microk8s_users="{{ nothing }}", homeserver_domain=None
    )
    assert (
        "value of microk8s_state must be one of: present, absent, got: gone (variable microk8s_state)" in said
    )
    assert "(variable traefik_replicas)" in said
    assert "microk8s_users cannot be evaluated: 'nothing' is undefined" in said


def test_an_inventory_without_hosts_is_told(complaints: Any) -> None:
    assert "no host in the group control_plane -> add your server to inventory/hosts.yml" in complaints(
        hosts=False
    )
