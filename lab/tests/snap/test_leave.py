import pytest
from microk8s import arguments, containers, kubernetes, leave, services

from .conftest import Node

NOT_CLUSTERED = "This MicroK8s deployment is not acting as a node in a cluster.\n"


@pytest.fixture
def events(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done on a node with a datastore, except to its files."""
    happened: list[str] = []
    (node.data / "var/kubernetes/backend/etcd").mkdir()
    monkeypatch.setattr(kubernetes, "wait_until_ready", lambda *_, **__: True)
    monkeypatch.setattr(kubernetes, "kubectl", lambda *words: happened.append(" ".join(words)))
    monkeypatch.setattr(containers, "kill_all", lambda: happened.append("kill pods"))
    for name in ("pause", "stop", "start"):
        monkeypatch.setattr(
            services,
            name,
            lambda *names, name=name: happened.append(
                f"{name} {'all' if len(names) == 8 else ' '.join(names)}"
            ),
        )
    return happened


def _be_worker(node: Node) -> None:
    for name in ("clustered.lock", "no-k8s-dqlite", "no-cert-reissue"):
        (node.data / "var/lock" / name).touch()
    (node.data / "var/lock/no-apiserver-proxy").unlink()
    (node.data / "certs/ca.remote.crt").write_text(node.read("certs/ca.crt"))
    (node.common / "etc/launcher/install.yaml").rename(node.common / "etc/launcher/install.yaml.applied")
    for file in ("kubelet", "kube-proxy"):
        arguments.change(file, {"--v": "3"})


def _restart(node: Node) -> list[str]:
    manifest = node.data / "args/cni-network/cni.yaml"
    return ["stop all", "kill pods", "start all", f"apply --filename={manifest}"]


def test_a_worker_becomes_a_new_cluster_with_default_arguments(
    node: Node, events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file.name for file in (node.data / "var/lock").iterdir()}
    _be_worker(node)
    certificate = node.read("certs/kubelet.crt")
    leave.main([])
    assert capsys.readouterr().out.splitlines() == [
        "Configuring services.",
        "Generating new cluster certificates.",
        "Waiting for node to start.",
    ]
    assert events == ["pause apiserver-proxy", "pause kubelite k8s-dqlite", *_restart(node)]
    assert {file.name for file in (node.data / "var/lock").iterdir()} == before
    assert not (node.data / "certs/ca.remote.crt").exists()
    assert not (node.data / "var/kubernetes/backend/etcd").exists()
    assert node.read("certs/kubelet.crt") != certificate
    for file in ("kubelet", "kube-proxy"):
        assert node.read(f"args/{file}") == (node.snap / "default-args" / file).read_text()
    assert (node.common / "etc/launcher/install.yaml.applied").exists(), (
        "so nothing configures the node again"
    )


def test_the_node_that_others_have_joined_loses_its_datastore_unasked(node: Node, events: list[str]) -> None:
    (node.data / "var/lock/no-cert-reissue").touch()
    (node.data / "var/kubernetes/backend/info.yaml").write_text("Address: 192.0.2.7:19001\n")
    arguments.change("kubelet", {"--v": "3"})
    leave.main([])
    assert events == ["pause kubelite k8s-dqlite", *_restart(node)]
    assert not (node.data / "var/kubernetes/backend/etcd").exists()
    assert "127.0.0.1:19001" in node.read("var/kubernetes/backend/cluster.yaml")
    assert not (node.data / "var/lock/no-cert-reissue").exists()
    assert arguments.get("kubelet", "--v") == "3"


def test_a_node_in_no_cluster_stays(
    node: Node, events: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        leave.main([])
    assert (stopped.value.code, capsys.readouterr().out) == (1, NOT_CLUSTERED)
    assert events == []
    assert (node.data / "var/kubernetes/backend/etcd").exists()
