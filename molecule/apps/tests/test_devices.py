"""An app without any rights uses devices of the server, and waits while one is missing."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml
from testinfra.host import Host

from harness.home import Home, Kubectl, eventually

RADIO, CARDS = "/dev/lab-radio", "/dev/lab-cards"
# The numbers of /dev/fuse, which containers may not open by themselves.
NUMBERS = "c 10 229"
APP = {
    "source": "{{ project }}/molecule/apps/radio",
    "user": 1000,
    "liveness_path": "/",
    "readiness_path": "/",
    "stop_seconds": 1,
}
APPS = [
    {"name": "radio", "devices": [RADIO, f"{CARDS}:/dev/dri"], **APP},
    {"name": "neighbour", "replicas": 1, **APP},
]
RADIO_PODS = "-n apps pods -l app.kubernetes.io/name=radio"


@pytest.fixture(scope="module", autouse=True)
def _installed(home: Home, host: Host) -> Iterator[None]:
    """The devices and the apps; in the end, they are removed."""
    host.check_output(f"mkdir -p {CARDS}")
    for node in (RADIO, f"{CARDS}/card0"):
        host.check_output(f"test -e {node} || mknod -m 600 {node} {NUMBERS}")
    added = home.inventory / "group_vars/all/the_devices.yml"
    added.write_text(yaml.safe_dump({"imported_apps_devices": APPS}))
    run = home.play("site.yml")
    assert run.returncode == 0, run.stdout + run.stderr
    assert eventually(lambda: _is_answering(home), 180)
    yield
    added.unlink()
    removal = home.play("site.yml")
    assert removal.returncode == 0, removal.stdout + removal.stderr
    host.check_output(f"rm -rf {RADIO} {CARDS}")


def _opened(home: Home, app: str) -> dict[str, Any]:
    """Return which device nodes an app could open."""
    answer = requests.get(f"https://{app}.{home.domain}/", verify=home.ca, timeout=10)
    answer.raise_for_status()
    return dict(answer.json())


def _is_answering(home: Home) -> bool:
    try:
        return bool(_opened(home, "radio")[RADIO] == "opened")
    except requests.RequestException:
        return False


def test_an_ordinary_user_opens_its_devices(home: Home) -> None:
    """The nodes belong to root alone on the server."""
    assert _opened(home, "radio") == {
        RADIO: "opened",
        "/dev/dri/card0": "opened",
        "/dev/fuse": "No such file or directory",
        "user": 1000,
    }


def test_another_app_has_no_device(home: Home) -> None:
    nodes = (RADIO, "/dev/dri/card0", "/dev/fuse")

    assert _opened(home, "neighbour") == dict.fromkeys(nodes, "No such file or directory") | {"user": 1000}


def test_its_namespace_is_restricted(kubectl: Kubectl) -> None:
    labels = kubectl.get("namespace apps")["metadata"]["labels"]
    (pod,) = kubectl.get(RADIO_PODS)["items"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert not [volume for volume in pod["spec"]["volumes"] if "hostPath" in volume]


def test_the_plugin_cannot_open_a_device_itself(kubectl: Kubectl) -> None:
    with pytest.raises(AssertionError, match="Operation not permitted"):
        kubectl(f'-n apps-devices exec ds/devices -- python3 -c \'open("/node{RADIO}", "rb")\'')


def test_a_second_run_changes_nothing(home: Home) -> None:
    run = home.play("site.yml")

    assert run.returncode == 0, run.stdout
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout


def test_pods_get_devices_after_the_kubelet_restarted(home: Home, host: Host, kubectl: Kubectl) -> None:
    (before,) = kubectl.get(RADIO_PODS)["items"]
    sockets = "/var/snap/microk8s/common/var/lib/kubelet/device-plugins"
    # A new socket may have the inode of the former one.
    made = host.check_output(f"stat -c %z {sockets}/kubelet.sock")
    host.check_output("systemctl restart snap.microk8s.daemon-kubelite")

    def is_registered() -> bool:
        found = host.run(f"stat -c %z {sockets}/kubelet.sock").stdout.strip()
        return found not in ("", made) and host.file(f"{sockets}/homeserver-lab-radio.sock").exists

    assert eventually(is_registered, 120)
    assert eventually(lambda: host.run("/snap/bin/microk8s kubectl get --raw /readyz").rc == 0, 60)
    (after,) = kubectl.get(RADIO_PODS)["items"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    kubectl("-n apps rollout restart deployment/radio")
    kubectl("-n apps rollout status deployment/radio --timeout=120s")
    assert eventually(lambda: _is_answering(home), 180)


def test_an_app_waits_for_a_missing_device_and_the_owner_is_told(
    home: Home, host: Host, kubectl: Kubectl
) -> None:
    def amount() -> str:
        (node,) = kubectl.get("nodes")["items"]
        return str(node["status"]["allocatable"]["homeserver.stack/lab-radio"])

    host.check_output(f"rm {RADIO}")
    try:
        assert eventually(lambda: amount() == "0", 30)
        kubectl(f"delete {RADIO_PODS.replace('pods', 'pod')}")
        status = home.play("playbooks/status.yml")
        apps = home.play("playbooks/apps.yml")
        (pod,) = kubectl.get(RADIO_PODS)["items"]
    finally:
        host.check_output(f"mknod -m 600 {RADIO} {NUMBERS}")

    assert pod["status"]["phase"] == "Pending"
    assert (status.returncode, apps.returncode) == (2, 2), status.stdout + apps.stdout
    assert f"no server has {RADIO}" in status.stdout
    assert f"it waits for {RADIO}, which no server has" in apps.stdout
    assert eventually(lambda: _is_answering(home), 180)
