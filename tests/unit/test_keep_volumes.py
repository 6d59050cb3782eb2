"""A reset lets volumes outlive their claims, by a real API server."""

from pathlib import Path

from harness.api_server import ApiServer, api_server
from harness.playbooks import play

VOLUMES = "/api/v1/persistentvolumes"


def _run(api: ApiServer, directory: Path) -> str:
    """Keep the volumes, and return what is printed."""
    (directory / "kubeconfig").write_text(api.kubeconfig)
    given = ("-i", "tests/inventories/several", "-e", f"homeserver_kubeconfig={directory}/kubeconfig")
    done = play(*given, "playbooks/stages/keep_volumes.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_volume_is_retained(tmp_path: Path) -> None:
    with api_server(tmp_path, {}) as api:
        for name, policy in (("wiki", "Delete"), ("db", "Retain"), ("blog", "Delete")):
            spec = {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": policy,
                "hostPath": {"path": f"/volumes/{name}"},
            }
            volume = {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name},
                "spec": spec,
            }
            answer = api.apply(f"{VOLUMES}/{name}", volume)
            assert answer.ok, answer.text

        _run(api, tmp_path)
        again = _run(api, tmp_path)
        policies = [item["spec"]["persistentVolumeReclaimPolicy"] for item in api.get(VOLUMES)["items"]]

    assert policies == ["Retain"] * 3
    assert "changed=0" in again
