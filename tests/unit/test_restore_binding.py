"""A real control plane binds claims to the volumes of a backup that are there before them."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.filter import restore
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.application import Application
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import Cluster

from harness.api_server import ApiServer, api_server
from harness.home import eventually
from harness.programs import kubernetes

CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "microk8s-hostpath"},
    "provisioner": "microk8s.io/hostpath",
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
}
SAVED = {
    "namespace": "apps",
    "claim": "wiki-data",
    "volume": "pvc-1",
    "node": "old",
    "path": "/var/snap/microk8s/common/default-storage/apps-wiki-data-pvc-1",
    "capacity": "5Gi",
    "access_modes": ["ReadWriteOnce"],
    "storage_class": "microk8s-hostpath",
}
MACHINE = {
    "name": "home",
    "node": "new",
    "id": "1",
    "time": "2026-11-20T03:15:00Z",
    "directories": ["apps-wiki-data-pvc-1"],
    "copies": [],
}
CLAIMS = "/api/v1/namespaces/apps/persistentvolumeclaims"


def _claim(name: str) -> dict[str, Any]:
    """What site.yml makes, and what a StatefulSet does."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "microk8s-hostpath",
            "resources": {"requests": {"storage": "5Gi"}},
        },
    }


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ApiServer, Path]]:
    """A control plane that binds volumes, and how to reach it."""
    place = tmp_path_factory.mktemp("control-plane")
    with api_server(place, {}) as server:
        file = place / "kubeconfig"
        named = {
            "name": "home",
            "cluster": {"server": server.url, "certificate-authority": str(server.authority)},
        }
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "home",
            "clusters": [named],
            "users": [{"name": "admin", "user": {"token": "admin"}}],
            "contexts": [{"name": "home", "context": {"cluster": "home", "user": "admin"}}],
        }
        file.write_text(yaml.safe_dump(content))
        program = place / "kube-controller-manager"
        program.symlink_to(kubernetes() / "kubernetes")
        command = [
            str(program),
            f"--kubeconfig={file}",
            "--leader-elect=false",
            "--controllers=persistentvolume-binder-controller",
            "--secure-port=0",
        ]
        with (
            (place / "binder.log").open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=log) as binder,
        ):
            yield server, file
            binder.kill()


def test_a_claim_that_comes_later_gets_its_old_volume(kubeconfig: tuple[ApiServer, Path]) -> None:
    server, file = kubeconfig
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apps"}}
    assert server.apply("/api/v1/namespaces/apps", namespace).ok
    assert server.apply("/apis/storage.k8s.io/v1/storageclasses/microk8s-hostpath", CLASS).ok
    wanted = restore.persistent_volumes(restore.restored_volumes([SAVED], [MACHINE], []))

    def give() -> list[str]:
        application = Application(Cluster(str(file)), "restore", timeout=30, check_mode=False)
        application.present(wanted, partial=True)
        return application.outcome.created + application.outcome.updated

    assert give() == ["PersistentVolume pvc-1"]
    for name in ("other-data", "wiki-data"):
        assert server.apply(f"{CLAIMS}/{name}", _claim(name)).ok

    def bound() -> tuple[str, str]:
        claim = server.get(f"{CLAIMS}/wiki-data")
        return claim["status"].get("phase", ""), claim["spec"].get("volumeName", "")

    assert eventually(lambda: bound() == ("Bound", "pvc-1"), 120), bound()
    assert server.get("/api/v1/persistentvolumes/pvc-1")["status"]["phase"] == "Bound"
    assert server.get(f"{CLAIMS}/other-data")["status"]["phase"] == "Pending", "it is another app's"
    assert give() == [], "an interrupted restore runs again"
