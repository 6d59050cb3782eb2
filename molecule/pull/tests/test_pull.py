"""A home whose images are pulled, over a slow line and from a registry with troubles of its own."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import requests
import yaml
from testinfra.host import Host

from harness.home import Home, Kubectl, eventually
from harness.registry import PASSWORD, PRIVATE, USER, Registry, serving

MEGABITS_PER_SECOND = 20
UNAVAILABLE_SECONDS = 60
PRIVATE_IMAGE = f"docker.io/{PRIVATE}httpbin:1"  # a mirror has the full names

Install = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def contents(home: Home) -> dict[str, Any]:
    """The content of the bundle that the registry's images are from."""
    if home.bundle is None:
        pytest.skip("this home is not installed from a bundle")
    content: dict[str, Any] = json.loads((home.bundle / "bundle.json").read_text())
    return content


@pytest.fixture(scope="module")
def push(home: Home, contents: dict[str, Any], registry: Registry) -> Callable[..., str]:
    """Add an image to the registry, by the name that it has there, or by another; return its digest."""
    files = {image["reference"]: home.bundle / image["file"] for image in contents["images"] if home.bundle}

    def _push(reference: str, name: str = "") -> str:
        return registry.push(files[reference], name or reference.partition("/")[2])

    return _push


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    """The registry, still empty."""
    faults = {"megabits_per_second": MEGABITS_PER_SECOND, "unavailable_seconds": UNAVAILABLE_SECONDS}
    with serving(**faults) as running:
        yield running


@pytest.fixture(scope="module")
def install(
    home: Home,
    host: Host,
    contents: dict[str, Any],
    registry: Registry,
    tmp_path_factory: pytest.TempPathFactory,
) -> Install:
    """Run the playbook on a home that has only the snaps and manifests of the bundle."""
    assert not host.file("/snap/bin/microk8s").exists, "remove everything before, or create the machine anew"
    bundle = tmp_path_factory.mktemp("bundle")
    (bundle / "bundle.json").write_text(json.dumps(contents | {"images": []}))
    for folder in ("snaps", "manifests"):
        (bundle / folder).symlink_to(Path(home.variables["homeserver_bundle"]) / folder)
    mirror = home.variables["homeserver_image_mirror"]
    variables = {
        "homeserver_bundle": str(bundle),
        "homeserver_logging_enabled": False,
        "homeserver_registry_logins": [{"registry": mirror, "username": USER, "password": PASSWORD}],
        "microk8s_registry_mirrors": {mirror: f"http://{{{{ _tests }}}}:{registry.port}"},
        "imported_apps_wiki": [],
        "apps": [
            {
                "name": "httpbin",
                "image": PRIVATE_IMAGE,
                "port": 8080,
                "liveness_path": "/status/200",
                "readiness_path": "/status/200",
            }
        ],
    }

    def _install(*arguments: str) -> CompletedProcess[str]:
        return home.play("molecule/pull/converge.yml", "-e", json.dumps(variables), *arguments)

    return _install


@pytest.fixture(scope="module")
def lock(home: Home) -> Iterator[Callable[[dict[str, str]], None]]:
    """Lock images by their names: nothing else is accepted from a mirror without TLS."""
    file = home.inventory / "images.lock.yml"

    def _lock(digests: dict[str, str]) -> None:
        never = dict.fromkeys(home.versions["images"].values(), f"sha256:{'0' * 64}")
        file.write_text(yaml.safe_dump({"all": {"vars": {"images_lock": never | digests}}}))

    yield _lock
    file.unlink(missing_ok=True)


@pytest.fixture(scope="module")
def first(
    home: Home,
    contents: dict[str, Any],
    push: Callable[..., str],
    lock: Callable[[dict[str, str]], None],
    install: Install,
) -> CompletedProcess[str]:
    """The first run, while whoami's image is missing."""
    for image in contents["images"]:
        if image.get("purpose") == "microk8s":
            push(image["reference"])
    traefik, whoami = push(home.image("traefik")), push(home.image("httpbin"), PRIVATE_IMAGE)
    names = home.versions["images"]
    lock({names["traefik"]: traefik, names["httpbin"]: whoami, PRIVATE_IMAGE: whoami})
    return install()


@pytest.fixture(scope="module")
def second(
    home: Home, first: CompletedProcess[str], push: Callable[..., str], install: Install
) -> CompletedProcess[str]:
    """The second run, after whoami's image was added."""
    assert first.returncode != 0
    push(home.image("httpbin"))
    return install()


def test_the_first_run_tells_the_missing_image_and_no_other(first: CompletedProcess[str], home: Home) -> None:
    (failure,) = re.findall(r"(?s)fatal: .*?(?=\nPLAY RECAP)", first.stdout)

    assert home.image("httpbin") in failure
    assert "not found" in failure
    assert home.image("traefik") not in failure


@pytest.mark.usefixtures("first")
def test_it_waited_for_a_registry_that_was_unavailable(registry: Registry) -> None:
    early = [answer.at for answer in registry.answers if answer.status == 503]

    assert early[-1] - early[0] > UNAVAILABLE_SECONDS / 2


def test_it_said_what_it_waited_for(first: CompletedProcess[str], home: Home) -> None:
    assert re.search(
        rf"waiting for \d of \d images: .*{home.image('traefik')}\S* \(pulling since", first.stdout
    )


def test_the_next_run_finishes(second: CompletedProcess[str], home: Home) -> None:
    assert second.returncode == 0, second.stdout + second.stderr
    url = f"https://httpbin.{home.domain}/status/200"
    # Traefik learns of a pod that has become ready a moment later.
    assert eventually(lambda: requests.get(url, verify=home.ca, timeout=10).status_code == 200, seconds=30)


@pytest.mark.usefixtures("second")
def test_another_run_changes_nothing_and_shows_no_login(
    home: Home, push: Callable[..., str], install: Install
) -> None:
    push(home.image("httpbin"), home.image("traefik").partition("/")[2])  # the tag moves
    run = install("--diff")

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout
    assert PASSWORD not in run.stdout


@pytest.mark.usefixtures("second")
def test_every_image_was_pulled(kubectl: Kubectl, registry: Registry, home: Home) -> None:
    pods = kubectl.get("pods --all-namespaces")["items"]
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    pulled = {answer.path for answer in registry.answers if answer.status == 200}

    assert {home.image("traefik"), home.image("httpbin")} < {image.partition("@")[0] for image in images}
    for image in images:
        tagged, _, digest = image.partition("@")
        name, _, tag = tagged.partition("/")[2].rpartition(":")
        which = digest or tag
        assert any(path.startswith(f"/v2/{name}/manifests/{which}") for path in pulled), image


@pytest.mark.usefixtures("second")
def test_the_private_image_was_refused_without_the_login(registry: Registry) -> None:
    answers = [answer.status for answer in registry.answers if f"/{PRIVATE}" in answer.path]

    assert {401, 200} <= set(answers)
