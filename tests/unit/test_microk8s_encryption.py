"""Calico is told to encrypt, and each node has to: a real API server with Calico's kind."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, api_server
from tests.support.manifests import Object
from tests.support.roles import ROOT

GROUP = "crd.projectcalico.org"
FELIX = f"/apis/{GROUP}/v1/felixconfigurations/default"
KEY = {"projectcalico.org/WireguardPublicKey": "not-a-real-one"}
ROLE = {"name": "homeserver.stack.microk8s", "tasks_from": "encrypt.yml"}
PLAY = [
    {
        "hosts": "control_plane",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.include_role": ROLE}],
    }
]


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


def _node(api: ApiServer, name: str, annotations: dict[str, str]) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "annotations": annotations}}
    assert api.apply(f"/api/v1/nodes/{name}", node).ok


def _run(api: ApiServer, directory: Path, *, encrypt: bool) -> subprocess.CompletedProcess[str]:
    cluster = {"server": api.url, "certificate-authority": str(api.authority)}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "home", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": "admin"}}],
        "contexts": [{"name": "home", "context": {"cluster": "home", "user": "admin"}}],
        "current-context": "home",
    }
    (directory / "kubeconfig").write_text(json.dumps(kubeconfig))
    (directory / "play.yml").write_text(json.dumps(PLAY))
    variables = {
        "homeserver_kubeconfig": str(directory / "kubeconfig"),
        "microk8s_encrypt_between_nodes": encrypt,
        "microk8s_ready_timeout_seconds": 6,
    }
    command = ["ansible-playbook", "-i", "tests/inventories/several", str(directory / "play.yml")]
    command += ["-e", json.dumps(variables)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_node_has_to_encrypt(api: ApiServer, tmp_path: Path) -> None:
    _node(api, "home", KEY)
    _node(api, "attic", {"other": "annotation"})

    refused = _run(api, tmp_path, encrypt=True)
    assert refused.returncode != 0
    assert "attic: its Calico does not encrypt" in refused.stdout
    assert api.get(FELIX)["spec"] == {"floatingIPs": "Disabled", "wireguardEnabled": True}

    _node(api, "attic", KEY)
    done = _run(api, tmp_path, encrypt=True)
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout


def test_encryption_ends_when_it_is_no_longer_wanted(api: ApiServer, tmp_path: Path) -> None:
    for encrypt in (True, False):
        done = _run(api, tmp_path, encrypt=encrypt)
        assert done.returncode == 0, done.stdout
        assert api.get(FELIX)["spec"]["wireguardEnabled"] is encrypt
