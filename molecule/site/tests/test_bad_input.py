"""Each thing that is wrong is told once, clearly, with its fix, and nothing is changed."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from tests.home import Home, Kubectl

Run = Callable[..., str]
ROUTE = {"name": "one", "host": "nas.home.arpa", "url": "http://192.0.2.1"}

VALUES = {
    "a misspelt variable": (
        {"traefik_replica": 2},
        r"unknown variable traefik_replica -> did you mean traefik_replicas\?",
    ),
    "a wrong type": ({"traefik_replicas": "many"}, r".*traefik_replicas.* many .*"),
    "a domain that is no name": (
        {"homeserver_domain": "home server"},
        r"the domain is not a DNS name \(homeserver_domain, 'home server'\) -> .*",
    ),
    "two routes for one host": (
        {"traefik_routes": [ROUTE, ROUTE | {"name": "two"}]},
        r"two routes for https://nas.home.arpa/ \(one in traefik_routes and two in traefik_routes\) -> .*",
    ),
    "too little memory": (
        {"preflight_memory_mib": 10**9},
        r"too little memory \(\d+ MiB, expected 1000000000\) -> .*",
    ),
    "too little disk": (
        {"preflight_disk_running_gib": 10**9},
        r"too little disk free at /var/snap \([\d.]+ GiB, expected 1000000000\) -> .*",
    ),
    "a host that cannot be reached": (
        {"ansible_host": "192.0.2.1", "ansible_ssh_timeout": 3},
        r".*192\.0\.2\.1.*",
    ),
    "a bundle that is not there": (
        {"homeserver_bundle": "/nowhere"},
        r".*/nowhere.*\(homeserver_bundle\) -> .*",
    ),
}


@pytest.fixture
def run(home: Home) -> Run:
    """Run site.yml, which must fail, and return the one problem it tells."""

    def _run(variables: dict[str, Any], *arguments: str, **environment: str) -> str:
        result = home.play("site.yml", "-e", json.dumps(variables), *arguments, **environment)
        assert result.returncode != 0, result.stdout
        assert set(re.findall(r"changed=(\d+)", result.stdout)) <= {"0"}, result.stdout
        assert "Traceback" not in result.stdout + result.stderr
        return result.stdout

    return _run


def _problem(output: str) -> str:
    """The one problem that preflight names, without the host that has it."""
    (problem,) = re.findall(r"1 problem, nothing was changed\.\n +[\w ,]+: (.*)\n", output)
    return str(problem)


@pytest.mark.parametrize(("variables", "message"), VALUES.values(), ids=VALUES.keys())
def test_a_wrong_value_is_told(run: Run, variables: dict[str, Any], message: str) -> None:
    assert re.fullmatch(message, _problem(run(variables)))


@pytest.mark.parametrize(
    ("channel", "message"),
    [("latest/stable", "not a channel to follow"), ("1.37/stable", "one minor version up at a time")],
)
def test_a_channel_that_cannot_be_followed_is_told(run: Run, home: Home, channel: str, message: str) -> None:
    versions = home.variables["homeserver_versions"] | {"microk8s_channel": channel}

    assert message in _problem(run({"homeserver_versions": versions}))


@pytest.fixture
def bundle(home: Home, tmp_path: Path) -> Path:
    """A bundle of one's own, whose large files are the lab's."""
    if home.bundle is None:
        pytest.skip("this home is not installed from a bundle")
    copy = tmp_path / "bundle"
    shutil.copytree(home.bundle, copy, copy_function=os.symlink)
    for path in (copy / "bundle.json", next(copy.glob("manifests/*"))):
        content = path.read_text()
        path.unlink()
        path.write_text(content)
    return copy


def test_a_file_that_is_not_as_made_is_told(run: Run, bundle: Path) -> None:
    manifest = next(bundle.glob("manifests/*"))
    manifest.write_text(manifest.read_text() + "# altered\n")

    problem = _problem(run({"homeserver_bundle": str(bundle)}))

    assert re.match(rf"\S+/{manifest.name} has SHA-256 ", problem)


def test_an_image_the_bundle_lacks_is_told(run: Run, bundle: Path) -> None:
    contents = json.loads((bundle / "bundle.json").read_text())
    contents["images"] = [image for image in contents["images"] if "traefik:" not in image["reference"]]
    (bundle / "bundle.json").write_text(json.dumps(contents))

    assert re.match(
        r"the bundle has no image \S+/traefik:", _problem(run({"homeserver_bundle": str(bundle)}))
    )


@pytest.fixture
def listener(host: Host) -> Iterator[int]:
    """A port of the machine that something else than the home server listens on."""
    host.check_output("systemd-run --unit verify-listener python3 -m http.server 80")
    yield 80
    host.check_output("systemctl stop verify-listener")


def test_a_port_in_use_is_told(run: Run, listener: int) -> None:
    assert re.fullmatch(
        rf"port {listener} is in use by python3 \(verify-listener.service\) -> on the host: "
        r"systemctl disable --now verify-listener.service",
        _problem(run({})),
    )


@pytest.fixture
def guest(host: Host) -> Iterator[str]:
    """A user who may log in to the machine, but not become root."""
    host.check_output("useradd --create-home guest")
    host.check_output("cp -r /root/.ssh /home/guest && chown -R guest: /home/guest/.ssh")
    yield "guest"
    host.check_output("userdel --force --remove guest")  # whose connection Ansible keeps open


def test_a_user_without_root_is_told(run: Run, guest: str) -> None:
    assert re.fullmatch(r"wants a password for sudo: .* -> .*", _problem(run({"ansible_user": guest})))


def test_a_user_who_does_not_become_root_is_told(run: Run, guest: str) -> None:
    problem = _problem(run({"ansible_user": guest, "ansible_become": False}))

    assert re.fullmatch(r"lets guest in, but not as root: become is off -> remove ansible_become.*", problem)


@pytest.fixture
def _ingress(kubectl: Kubectl) -> Iterator[None]:
    """What MicroK8s takes for its addon `ingress`."""
    kubectl.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": "public"},
            "spec": {"controller": "verify.home.arpa/none"},
        }
    )
    yield
    kubectl("delete ingressclass public")


@pytest.mark.usefixtures("_ingress")
def test_a_conflicting_addon_is_told(run: Run) -> None:
    assert "MicroK8s' addon ingress is enabled" in _problem(run({}))


def test_a_missing_package_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['passlib'] = None\n")

    problem = _problem(run({}, PYTHONPATH=str(tmp_path)))

    assert problem == "the Python package passlib is missing -> pip install -r requirements.txt"


def test_a_missing_image_builder_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ssh").symlink_to(shutil.which("ssh") or "")

    problem = _problem(run({}, PATH=f"{tmp_path}:{Path(sys.executable).parent}"))

    assert problem.startswith("none of podman, docker, buildah can build an image on this machine -> ")


def test_an_inventory_without_hosts_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {children: {control_plane: {hosts: {}}}}\n")

    assert "no host in the group control_plane -> add your server" in run({}, "-i", str(tmp_path))
