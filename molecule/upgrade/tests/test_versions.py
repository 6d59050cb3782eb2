"""A version of Prometheus that does not run is taken back with its data, on any home from a bundle."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from testinfra.host import Host

from harness.home import ROOT, Home, Kubectl, eventually
from harness.registry import mirrored, serving

COPIES = "/var/snap/microk8s/common/default-storage/.homeserver-upgrade"
STAGE = "playbooks/stages/monitoring.yml"
# It spoils what it finds, like a migration that fails halfway.
SPOILED = """
import pathlib, shutil, sys
for found in pathlib.Path("/prometheus").iterdir():
    shutil.rmtree(found) if found.is_dir() else found.write_text("spoilt")
pathlib.Path("/prometheus/spoilt").touch()
sys.exit("the migration failed")
"""

Samples = Callable[[], set[str]]


@pytest.fixture(scope="module")
def versions(home: Home, host: Host) -> Iterator[Callable[[str], list[str]]]:
    """Options of a run that installs a version of Prometheus."""
    if home.bundle is None:
        pytest.skip("this home is not installed from a bundle")
    # A changed configuration would be checked by the new image's own program, which it may lack.
    current = home.play(STAGE)
    assert current.returncode == 0, current.stdout + current.stderr
    with serving() as registry:
        registry.push(home.bundle / "images/prometheus.tar", "upgraded/prometheus:same")
        # Another image: one that came from a bundle and a registry is pulled again from the first name.
        registry.tag("upgraded/prometheus", "same", "good", ["--version"])
        registry.push(home.bundle / "images/python.tar", "upgraded/prometheus:base")
        registry.tag("upgraded/prometheus", "base", "spoils", [], ["python3", "-c", SPOILED])
        with mirrored(registry, home, host):

            def variables(tag: str) -> list[str]:
                images = home.versions["images"] | {"prometheus": f"upgraded/prometheus:{tag}"}
                overrides = home.variables.get("homeserver_version_overrides", {}) | {"images": images}
                return ["-e", json.dumps({"homeserver_version_overrides": overrides})]

            yield variables


@pytest.fixture(scope="module")
def samples(kubectl: Kubectl) -> Samples:
    """What Prometheus knows of the moment before these tests."""
    at = time.time()
    query = f"query?query={quote('up')}&time={at:.0f}"
    path = f"/api/v1/namespaces/monitoring/services/prometheus:9090/proxy/api/v1/{query}"

    def known() -> set[str]:
        found = json.loads(kubectl(f"get --raw '{path}'"))["data"]["result"]
        return {json.dumps(each["metric"], sort_keys=True) for each in found}

    assert len(known()) > 5
    return known


def _image(kubectl: Kubectl) -> str:
    found: dict[str, Any] = kubectl.get("statefulset -n monitoring prometheus")
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def _nothing_is_left(host: Host, kubectl: Kubectl) -> bool:
    secrets = kubectl("get secrets -n kube-system -o name")
    return not host.file(COPIES).exists and "homeserver-upgrade" not in secrets


def test_a_version_that_spoils_its_data_is_taken_back(
    home: Home, host: Host, kubectl: Kubectl, versions: Callable[[str], list[str]], samples: Samples
) -> None:
    before, image = samples(), _image(kubectl)
    run = home.play(STAGE, *versions("spoils"))

    said = " ".join(run.stdout.split())
    assert run.returncode, said
    assert "the upgrade of prometheus was taken back" in said
    assert "the migration failed" in said
    assert "after that is lost" in said
    assert _image(kubectl) == image
    assert samples() == before
    assert _nothing_is_left(host, kubectl)


def test_a_killed_upgrade_is_finished_by_the_next_run(
    home: Home, host: Host, kubectl: Kubectl, versions: Callable[[str], list[str]], samples: Samples
) -> None:
    before = samples()
    command = ["ansible-playbook", "-i", str(home.inventory), *versions("good"), STAGE]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True) as run:
        assert eventually(lambda: host.file(COPIES).exists, seconds=120)
        os.killpg(run.pid, signal.SIGKILL)
    assert "homeserver-upgrade-prometheus" in kubectl("get secrets -n kube-system -o name")

    again = home.play(STAGE, *versions("good"))

    assert again.returncode == 0, again.stdout + again.stderr
    assert "upgraded/prometheus:good" in _image(kubectl)
    assert samples() == before
    assert _nothing_is_left(host, kubectl)


def test_a_good_upgrade_leaves_no_copy_and_a_second_run_changes_nothing(
    home: Home, host: Host, kubectl: Kubectl, samples: Samples
) -> None:
    """It is the one to the version that was there first."""
    before = samples()
    for run in (home.play(STAGE) for _ in range(2)):
        assert run.returncode == 0, run.stdout + run.stderr

    assert re.search(r"changed=0 ", run.stdout), run.stdout
    assert _image(kubectl) == home.image("prometheus")
    assert samples() == before
    assert _nothing_is_left(host, kubectl)
