import base64
import subprocess

import pytest
import yaml
from microk8s import certificates, network

from .conftest import Node


def openssl(*words: object) -> str:
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, text=True).stdout


def names(node: Node, certificate: str) -> str:
    return openssl("x509", "-noout", "-ext", "subjectAltName", "-in", node.data / "certs" / certificate)


def test_the_ca_signs_the_components_certificates(node: Node) -> None:
    certs = node.data / "certs"
    subjects = {
        "server": "CN=127.0.0.1",
        "client": "CN=admin,O=system:masters",
        "proxy": "CN=system:kube-proxy",
        "scheduler": "CN=system:kube-scheduler",
        "controller": "CN=system:kube-controller-manager",
        "apiserver-kubelet-client": "CN=kube-apiserver-kubelet-client,O=system:masters",
    }
    for name, subject in subjects.items():
        openssl("verify", "-CAfile", certs / "ca.crt", certs / f"{name}.crt")
        assert (
            openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", certs / f"{name}.crt").strip()
            == f"subject={subject}"
        )
    openssl("verify", "-CAfile", certs / "ca.crt", "-purpose", "sslserver", certs / "kubelet.crt")
    openssl("verify", "-CAfile", certs / "front-proxy-ca.crt", certs / "front-proxy-client.crt")
    assert "IP Address:192.0.2.7" in names(node, "kubelet.crt")


@pytest.mark.usefixtures("node")
def test_they_are_valid_as_long_as_those_of_microk8s() -> None:
    expected = {"ca.crt": 3649, "server.crt": 364, "front-proxy-client.crt": 364}
    assert {name: certificates.days_left(name) for name in expected} == expected


def test_the_server_is_reissued_when_its_names_change(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not certificates.request_is_outdated()
    key = node.read("certs/server.key")

    monkeypatch.setattr(network, "addresses", lambda: ["192.0.2.8"])
    assert certificates.request_is_outdated()
    certificates.issue_server()
    assert "192.0.2.8" in names(node, "server.crt")
    assert "192.0.2.7" not in names(node, "server.crt")
    assert not certificates.request_is_outdated()

    certificates.set_names(["home.example", "10.152.183.1", "2001:db8::1"])
    assert certificates.request_is_outdated()
    certificates.issue_server()
    shown = names(node, "server.crt")
    assert "DNS:home.example" in shown
    assert "IP Address:2001:DB8:0:0:0:0:0:1" in shown
    assert shown.count("10.152.183.1") == 1
    assert node.read("certs/server.key") == key

    certificates.set_names(["other.example"])
    certificates.issue_server()
    assert "home.example" not in names(node, "server.crt")


def test_people_get_an_embedded_kubeconfig_and_services_refer_to_files(node: Node, certified: Node) -> None:
    client = yaml.safe_load(node.read("credentials/client.config"))
    assert client["clusters"][0]["name"] == "microk8s-cluster"
    assert client["current-context"] == "microk8s"
    user = client["users"][0]
    assert user["name"] == "admin"
    assert base64.b64decode(user["user"]["client-certificate-data"]).decode() == node.read("certs/client.crt")

    kubelet = yaml.safe_load(node.read("credentials/kubelet.config"))["users"][0]["user"]
    assert kubelet["client-certificate"] == f"{certified.data.parent}/current/certs/kubelet.crt"


def test_a_new_ca_replaces_everything_and_the_old_is_kept(node: Node) -> None:
    old = node.read("certs/ca.crt")
    certificates.refresh("ca.crt")
    assert node.read("certs/ca.crt") != old
    assert node.read("certs-backup/certs/ca.crt") == old
    for name in ("server", "client", "kubelet"):
        openssl(
            "verify",
            "-CAfile",
            node.data / "certs/ca.crt",
            node.data / f"certs/{name}.crt",
        )
    authority = yaml.safe_load(node.read("credentials/client.config"))["clusters"][0]["cluster"]
    assert base64.b64decode(authority["certificate-authority-data"]).decode() == node.read("certs/ca.crt")


def test_others_have_no_access(node: Node) -> None:
    for top in ("args", "certs", "credentials", "var/lock", "var/kubernetes/backend"):
        for path in [node.data / top, *(node.data / top).rglob("*")]:
            assert not path.stat().st_mode & 0o007, path
