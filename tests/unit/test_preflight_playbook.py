"""The messages an owner gets, from the playbook itself; the host is this machine."""

import hashlib
import json
import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.playbooks import play

ROOT = Path(__file__).parent.parent.parent
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1}
_OTHER_PLATFORM = "linux/amd64" if platform.machine() == "aarch64" else "linux/arm64"


@pytest.fixture
def complaints(tmp_path: Path) -> Any:
    """Run preflight with an inventory of this machine and an unreachable one, and return its output."""

    def run(*others: str, hosts: bool = True, **variables: Any) -> str:
        inventory = tmp_path / "inventory"
        (inventory / "group_vars/all").mkdir(parents=True, exist_ok=True)
        (inventory / "group_vars/all/main.yml").write_text(json.dumps({"ansible_become": False, **variables}))
        here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        groups = {
            "control_plane": {"hosts": ({"home": here} | dict.fromkeys(others, NOWHERE)) if hosts else {}},
            "workers": {"hosts": {"nas": NOWHERE}},
        }
        tree = {"all": {"children": {"home_servers": {"children": groups}}}}
        (inventory / "hosts.yml").write_text(json.dumps(tree))
        done = play("-i", str(inventory), "playbooks/stages/preflight.yml")
        assert done.returncode == 2
        assert "changed=0" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_every_problem_is_reported_in_one_message(complaints: Any, tmp_path: Path) -> None:
    said = complaints(
        homeserver_domain="My_Home",
        homeserver_bundle=str(tmp_path),
        traefik_routes=[
            {"name": "nas", "host": "nas.home.arpa", "url": "http://192.168.1.20"},
            {"name": "disk", "host": "nas.home.arpa", "url": "http://192.168.1.21"},
        ],
        apps=[{"name": "blog", "image": "blog:1", "needs": ["db"]}],
        microk8s_user=["owner"],
        grafana_dashboards_extra=["/nowhere.json"],
        microk8s_extra_kubelet_args={"--node-labels": "a b"},
        preflight_memory_mib=10**9,
    )
    for message in (
        "home, nas: unknown variable microk8s_user -> did you mean microk8s_users?",
        "home, nas: homeserver_domain is 'My_Home' (expected a host name of lowercase letters, digits",
        "home, nas: two routes for https://nas.home.arpa/ (nas in traefik_routes and disk in traefik_routes)",
        "home, nas: apps[0].needs[0] is 'db' (expected the name of another app) -> name an app",
        f"home, nas: {tmp_path}/bundle.json cannot be read (No such file or directory) (homeserver_bundle)",
        "home, nas: microk8s_extra_kubelet_args.--node-labels is 'a b' (expected a value without spaces and",
        "home, nas: /nowhere.json cannot be read (No such file or directory) (grafana_dashboards_extra) -> ",
        "home: too little memory",
        "nas: cannot be reached: Failed to connect to the host via ssh: ssh: connect to host 127.0.0.1",
    ):
        assert message in said


_EMPTY = {"file": "empty", "sha256": hashlib.sha256().hexdigest()}


def _write_bundle(directory: Path, **content: Any) -> None:
    (directory / "empty").touch()
    snaps = [{"name": "microk8s", **_EMPTY}]
    (directory / "bundle.json").write_text(json.dumps({"format": 1, "snaps": snaps, **content}))


@pytest.mark.parametrize("runs", [False, True])
def test_a_bundle_needs_no_images_of_disabled_components(complaints: Any, tmp_path: Path, runs: bool) -> None:
    _write_bundle(tmp_path, images=[{"reference": "any", **_EMPTY}])
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


def test_a_bundle_without_images_needs_none_but_is_made_for_a_machine(
    complaints: Any, tmp_path: Path
) -> None:
    _write_bundle(tmp_path, architecture="s390x")
    said = complaints(homeserver_bundle=str(tmp_path), homeserver_platform=_OTHER_PLATFORM)
    assert "the bundle has no image" not in said
    assert "the bundle has no manifest traefik_crds" in said
    assert "home: the bundle is for s390x, and it runs " in said
    assert f"home: images are built for {_OTHER_PLATFORM}, and it runs linux/" in said


def test_a_bundle_has_to_be_trusted_for_something_else_than_itself(complaints: Any, tmp_path: Path) -> None:
    crds = {"name": "traefik_crds", **_EMPTY}
    _write_bundle(tmp_path, manifests=[crds])
    said = complaints(homeserver_bundle=str(tmp_path))
    assert (
        "the bundle's snap microk8s has no assertion: anybody may have built it (homeserver_bundle)" in said
    )
    assert f"the bundle's manifest traefik_crds has SHA-256 {_EMPTY['sha256']} (expected 1d5e" in said


def test_a_plain_mirror_needs_a_lock(complaints: Any, tmp_path: Path) -> None:
    app = {"name": "shop", "image": "me/shop:1"}
    mirrors = {"quay.io": "http://cache", "docker.io": "http://cache"}
    locked = {"me/shop:1": f"sha256:{'2f' * 32}"}
    (tmp_path / "inventory").mkdir()
    lock = {"all": {"vars": {"images_lock": locked}}}
    (tmp_path / "inventory/images.lock.yml").write_text(json.dumps(lock))
    said = complaints(microk8s_registry_mirrors=mirrors, apps=[app])
    found = re.findall(r"microk8s_registry_mirrors\.(\S+) is 'http://cache', where .* replace (.*) -> ", said)
    own, hub, quay = sorted(set(found))
    assert quay[0] == "quay.io"
    assert "quay.io/prometheus/prometheus:" in quay[1]
    assert "docker.io/library/traefik:" in hub[1]
    assert "shop" not in said
    assert own == ("docker.io", "MicroK8s' own images, which it pulls by their tags")
    assert "unknown variable" not in said


def test_what_is_wrong_only_because_of_another_value_is_not_told(complaints: Any) -> None:
    route = {"name": "nas", "host": "nas.{{ homeserver_domain }}", "url": "http://192.168.1.20"}
    said = complaints(homeserver_domain="My_Home", traefik_routes=[route])
    assert "homeserver_domain is 'My_Home'" in said
    assert "traefik_routes" not in said


def test_variables_that_refer_to_each_other_are_told(complaints: Any) -> None:
    said = complaints(
        flask_app_greeting="{{ elk_retention_days }}", elk_retention_days="{{ flask_app_greeting }}"
    )
    assert "flask_app_greeting cannot be evaluated: " in said
    assert "elk_retention_days cannot be evaluated: " in said


def test_a_former_name_that_still_works_is_a_warning_and_its_value_is_judged(complaints: Any) -> None:
    said = complaints(flask_app_apps=[{"name": "blog", "image": "blog:1", "needs": ["db"]}])
    assert "[WARNING]: home, nas: flask_app_apps is called apps now -> rename it" in said
    assert "home, nas: apps[0].needs[0] is 'db' (expected the name of another app)" in said
    assert "unknown variable" not in said


def test_a_dictionary_of_all_versions_is_no_longer_accepted(complaints: Any) -> None:
    said = complaints(homeserver_versions={"microk8s_channel": "1.35/stable"})
    assert "unknown variable homeserver_versions -> did you mean homeserver_version_overrides?" in said


def test_a_second_control_plane_is_refused(complaints: Any) -> None:
    assert "attic: it is the second host in the group control_plane: several do not make" in complaints(
        "attic"
    )


def test_an_inventory_without_hosts_is_reported(complaints: Any) -> None:
    assert "no host in the group control_plane -> add your server to inventory/home/hosts.yml" in complaints(
        hosts=False
    )
