"""Each mistake is reported once, clearly and with its fix, and nothing is changed."""

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from harness.home import Home, Kubectl
from lab.catalogue import pinned_versions

Run = Callable[..., str]
# One of each kind. All others are in tests/unit/test_preflight_mistakes.py.
VALUES = {
    "a misspelt variable": (
        {"traefik_route": []},
        r"unknown variable traefik_route -> did you mean traefik_routes\?",
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

MINOR = int(pinned_versions()["microk8s_channel"].split("/")[0].split(".")[1])
CHANNELS = {
    "latest/stable": "microk8s_channel is 'latest/stable' (expected a track",
    f"1.{MINOR + 2}/stable": "one minor version up at a time",
}


@pytest.fixture(scope="module")
def run(home: Home) -> Run:
    """Run site.yml, which must fail, and return its output."""

    def _run(variables: dict[str, Any], *arguments: str, **environment: str) -> str:
        result = home.play("site.yml", "-e", json.dumps(variables), *arguments, **environment)
        assert result.returncode != 0, result.stdout
        assert set(re.findall(r"changed=(\d+)", result.stdout)) <= {"0"}, result.stdout
        assert "Traceback" not in result.stdout + result.stderr
        return result.stdout

    return _run


def _problem(output: str) -> str:
    """Return the only problem that preflight reports, without its host."""
    (problem,) = re.findall(r"1 problem, nothing was changed\.\n +[\w ,]+: (.*)\n", output)
    return str(problem)


@pytest.fixture(scope="module")
def outputs(run: Run, home: Home) -> dict[str, str]:
    """The output for each wrong value; the runs mostly wait, so several run at once."""
    values = {name: variables for name, (variables, _) in VALUES.items()}
    ours = home.variables.get("homeserver_version_overrides", {})
    values |= {
        channel: {"homeserver_version_overrides": ours | {"microk8s_channel": channel}}
        for channel in CHANNELS
    }
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(values, pool.map(run, values.values()), strict=True))


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_is_reported(outputs: dict[str, str], name: str) -> None:
    _, message = VALUES[name]

    assert re.fullmatch(message, _problem(outputs[name]))


@pytest.mark.parametrize("channel", CHANNELS)
def test_an_unsupported_channel_is_reported(outputs: dict[str, str], channel: str) -> None:
    assert CHANNELS[channel] in _problem(outputs[channel])


@pytest.fixture
def bundle(home: Home, tmp_path: Path) -> Path:
    """A separate bundle, whose large files are those of the lab."""
    if home.bundle is None:
        pytest.skip("this home is not installed from a bundle")
    copy = tmp_path / "bundle"
    shutil.copytree(home.bundle, copy, copy_function=os.symlink)
    for path in (copy / "bundle.json", next(copy.glob("manifests/*"))):
        content = path.read_text()
        path.unlink()
        path.write_text(content)
    return copy


def test_a_changed_file_is_reported(run: Run, bundle: Path) -> None:
    manifest = next(bundle.glob("manifests/*"))
    manifest.write_text(manifest.read_text() + "# altered\n")

    problem = _problem(run({"homeserver_bundle": str(bundle)}))

    assert re.match(rf"\S+/{manifest.name} has SHA-256 ", problem)


def test_an_image_missing_in_the_bundle_is_reported(run: Run, bundle: Path) -> None:
    contents = json.loads((bundle / "bundle.json").read_text())
    contents["images"] = [image for image in contents["images"] if "traefik:" not in image["reference"]]
    (bundle / "bundle.json").write_text(json.dumps(contents))

    assert re.match(
        r"the bundle has no image \S+/traefik:", _problem(run({"homeserver_bundle": str(bundle)}))
    )


@pytest.fixture
def listener(host: Host) -> Iterator[int]:
    """A port of the machine that another program listens on."""
    host.check_output("systemd-run --unit verify-listener python3 -m http.server 80")
    yield 80
    host.check_output("systemctl stop verify-listener")


def test_a_port_in_use_is_reported(run: Run, listener: int) -> None:
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
    host.check_output("userdel --force --remove guest")  # Ansible keeps the user's connection open


def test_a_user_without_root_is_reported(run: Run, guest: str) -> None:
    assert re.fullmatch(r"wants a password for sudo: .* -> .*", _problem(run({"ansible_user": guest})))


def test_a_user_without_become_is_reported(run: Run, guest: str) -> None:
    problem = _problem(run({"ansible_user": guest, "ansible_become": False}))

    assert re.fullmatch(r"lets guest in, but not as root: become is off -> remove ansible_become.*", problem)


@pytest.fixture
def _ingress(kubectl: Kubectl) -> Iterator[None]:
    """Create the object by which MicroK8s detects its addon `ingress`."""
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
def test_a_conflicting_addon_is_reported(run: Run) -> None:
    assert "MicroK8s' addon ingress is enabled" in _problem(run({}))


def test_a_missing_package_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['bcrypt'] = None\n")

    problem = _problem(run({}, PYTHONPATH=str(tmp_path)))

    assert problem == "the Python package bcrypt is missing -> pip install -r requirements.txt"


def test_a_missing_image_builder_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "ssh").symlink_to(shutil.which("ssh") or "")

    problem = _problem(run({}, PATH=f"{tmp_path}:{Path(sys.executable).parent}"))

    assert problem.startswith("none of podman, docker, buildah can build an image on this machine -> ")


def test_an_inventory_without_hosts_is_reported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {children: {control_plane: {hosts: {}}}}\n")

    assert "no host in the group control_plane -> add your server" in run({}, "-i", str(tmp_path))
