"""Calico is told to encrypt, and whether it does is asked: a real API server with Calico's kind."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness import playbooks
from harness.api_server import ApiServer, api_server
from harness.manifests import Object
from harness.roles import ROOT

GROUP = "crd.projectcalico.org"
ENCRYPTING = {"floatingIPs": "Disabled", "wireguardEnabled": True, "wireguardListeningPort": 51871}
FELIX = f"/apis/{GROUP}/v1/felixconfigurations/default"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    """An API server with Calico's kind and its object, as Calico makes it."""
    names = {"plural": "felixconfigurations", "singular": "felixconfiguration", "kind": "FelixConfiguration"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    name = f"felixconfigurations.{GROUP}"
    crd: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {"group": GROUP, "names": names, "scope": "Cluster", "versions": [version]},
    }
    felix: Object = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "FelixConfiguration",
        "metadata": {"name": "default"},
        "spec": {"floatingIPs": "Disabled"},
    }
    with api_server(tmp_path, {}) as server:
        assert server.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", crd).ok
        server.wait_for(f"/apis/{GROUP}/v1")
        assert server.apply(FELIX, felix).ok
        yield server


def _run(
    api: ApiServer, directory: Path, limit: str = "all", **variables: object
) -> subprocess.CompletedProcess[str]:
    """Run the last play of `playbooks/microk8s.yml`, on a machine where no control plane answers."""
    (directory / "kubeconfig").write_text(api.kubeconfig)
    *_, last = yaml.safe_load((ROOT / "playbooks/microk8s.yml").read_text())
    (directory / "play.yml").write_text(json.dumps([last]))
    given = {
        "homeserver_kubeconfig": str(directory / "kubeconfig"),
        "microk8s_ready_timeout_seconds": 0,
        "ansible_become": False,
        **variables,
    }
    arguments = ("--limit", limit, "-e", json.dumps(given))
    return playbooks.play("-i", "tests/inventories/several", str(directory / "play.yml"), *arguments)


@pytest.mark.parametrize("limit", ["all", "attic"])
def test_encryption_is_switched_on_once_and_then_awaited(api: ApiServer, tmp_path: Path, limit: str) -> None:
    run = _run(api, tmp_path, limit, microk8s_encrypt_between_nodes="always")
    assert api.get(FELIX)["spec"] == ENCRYPTING
    assert run.stdout.count("changed: [") == 1, run.stdout
    assert "after 0 s MicroK8s does not answer" in run.stdout
    assert run.returncode != 0


def test_without_being_told_a_home_of_several_machines_encrypts_where_it_can(
    api: ApiServer, tmp_path: Path
) -> None:
    default = yaml.safe_load((ROOT / "roles/microk8s/defaults/main.yml").read_text())
    run = _run(api, tmp_path, microk8s_encrypt_between_nodes=default["microk8s_encrypt_between_nodes"])

    assert run.returncode == 0, run.stdout
    assert api.get(FELIX)["spec"] == ENCRYPTING


def test_encryption_ends_when_it_is_no_longer_wanted(api: ApiServer, tmp_path: Path) -> None:
    _run(api, tmp_path, microk8s_encrypt_between_nodes="always")
    run = _run(api, tmp_path, microk8s_encrypt_between_nodes="never")
    assert run.returncode == 0, run.stdout
    assert api.get(FELIX)["spec"]["wireguardEnabled"] is False


def test_a_home_that_is_removed_is_not_encrypted(api: ApiServer, tmp_path: Path) -> None:
    run = _run(api, tmp_path, microk8s_encrypt_between_nodes="always", microk8s_state="absent")
    assert run.returncode == 0, run.stdout
    assert "wireguardEnabled" not in api.get(FELIX)["spec"]
