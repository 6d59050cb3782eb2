import io
from collections.abc import Callable

import pytest
from microk8s import addons, arguments, kubernetes

from .conftest import Node

POD = "kube-system   pod/coredns-79448cbf99-fhg85   0/1   ContainerCreating   0   2m50s"
DNS_AT_TWO = ("core", "dns", ["192.0.2.1,192.0.2.2"])
OWN_CLASS = "   ingressclass.networking.k8s.io/public   traefik.io/ingress-controller   <none>   3d"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([POD], {"dns"}),
        # An existing object counts, ready or not, whoever created it.
        ([OWN_CLASS], {"ingress"}),
        (["kube-system deployment.apps/hostpath-provisioner 1/1"], {"hostpath-storage", "storage"}),
        (["clusterrole.rbac.authorization.k8s.io/cluster-admin   2026-11-24T13:00:00Z"], {"rbac"}),
        ([], set()),
    ],
)
@pytest.mark.usefixtures("node")
def test_state_is_what_kubectl_shows(lines: list[str], expected: set[str]) -> None:
    # These are files of every default node.
    assert addons.enabled(lines) == expected | {"ha-cluster", "helm", "helm3"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dns"], [("core", "dns", [])]),
        (["core/dns"], [("core", "dns", [])]),
        (
            ["dns:192.0.2.1,192.0.2.2", "rbac"],
            [("core", "dns", ["192.0.2.1,192.0.2.2"]), ("core", "rbac", [])],
        ),
        (["ingress", "-V", "39.0.8"], [("core", "ingress", ["-V", "39.0.8"])]),
        # With one unknown name, the others are its arguments.
        (["dns", "rbac", "typo"], [("core", "dns", ["rbac", "typo"])]),
        (["core/typo"], [("core", "typo", [])]),
    ],
)
@pytest.mark.usefixtures("node")
def test_arguments_are_parsed_like_microk8s_does(
    words: list[str], expected: list[tuple[str, str, list[str]]]
) -> None:
    assert [tuple(request) for request in addons.requests(words)] == expected


@pytest.mark.usefixtures("node")
def test_an_unknown_name_only_fails_without_a_repository(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        addons.requests(["typo"])
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "Addon typo was not found in any repository\n"


@pytest.fixture
def cluster(node: Node, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A cluster that has CoreDNS and accepts any manifest; returns the applied manifests."""
    assert not (node.data / "var/lock/stopped.lock").exists()
    given: list[str] = []

    def kubectl(*words: str, manifest: str | None = None) -> str:
        given.append(manifest or " ".join(words))
        return ""

    monkeypatch.setattr(kubernetes, "kubectl", kubectl)
    monkeypatch.setattr(kubernetes, "listing", lambda: [POD])
    monkeypatch.setattr(kubernetes, "wait_until_ready", lambda *_, **__: True)
    return given


@pytest.mark.parametrize(
    ("action", "word", "expected_output"),
    [
        ("enable", "dns", "Addon core/dns is already enabled"),
        ("disable", "rbac", "Addon core/rbac is already disabled"),
        ("enable", "core/typo", "Addon core/typo not found"),
    ],
)
def test_a_request_without_effect_is_not_a_failure(
    cluster: list[str], capsys: pytest.CaptureFixture[str], action: str, word: str, expected_output: str
) -> None:
    addons.change(action, [word])
    assert capsys.readouterr().out == f"{expected_output}\n"
    assert cluster == []


@pytest.mark.usefixtures("cluster")
def test_an_addon_of_canonicals_snap_only_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        addons.change("enable", ["ingress"])
    assert stopped.value.code == 1
    assert capsys.readouterr().out == "The lab's MicroK8s cannot enable core/ingress.\n"


def test_several_at_once_give_a_warning(cluster: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    addons.change("enable", ["dns", "metrics-server"])
    assert "WARNING: Do not enable or disable multiple addons" in capsys.readouterr().out
    assert "metrics-server" in cluster[0]


def test_dns_serves_a_domain_at_an_address(
    cluster: list[str], restarts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "listing", list)
    addons.change("enable", ["dns", "/etc/resolv.conf", "10.152.183.20", "house.local"])
    assert "clusterIP: 10.152.183.20\n" in cluster[0]
    assert "kubernetes house.local in-addr.arpa" in cluster[0]
    assert arguments.get("kubelet", "--cluster-dns") == "10.152.183.20"
    assert arguments.get("kubelet", "--cluster-domain") == "house.local"
    assert restarts == ["kubelite"]


def test_dns_with_the_launch_configuration_restarts_nothing(
    cluster: list[str], restarts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "listing", list)
    addons.change("enable", ["dns"])
    assert len(cluster) == 1
    assert restarts == []


@pytest.mark.usefixtures("cluster")
def test_rbac_changes_the_mode_and_restarts(restarts: list[str]) -> None:
    assert arguments.get("kube-apiserver", "--authorization-mode") == "AlwaysAllow"
    addons.change("enable", ["rbac"])
    assert arguments.get("kube-apiserver", "--authorization-mode") == "RBAC,Node"
    assert restarts == ["kubelite"]
    addons.change("enable", ["rbac"])
    assert restarts == ["kubelite"]


@pytest.mark.parametrize(
    ("word", "answer", "expected"),
    [
        ("hostpath-storage", "", "exit 1, kept"),
        ("hostpath-storage", "n\n", "exit 1, kept"),
        ("storage", "y\n", "done, gone"),
        ("hostpath-storage:destroy-storage", "", "done, gone"),
    ],
)
def test_volumes_are_only_deleted_on_request(
    disabling_storage: Callable[[str, str], str], word: str, answer: str, expected: str
) -> None:
    assert disabling_storage(word, answer) == expected


@pytest.fixture
def disabling_storage(
    node: Node, cluster: list[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], str]:
    """Disable an addon, answer its question, and return the result."""
    volume = node.common / "default-storage/volume"
    volume.mkdir(parents=True)
    monkeypatch.setattr(kubernetes, "listing", lambda: ["deployment.apps/hostpath-provisioner"])

    def disable(word: str, answer: str) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        ended = "done"
        try:
            addons.change("disable", [word])
        except SystemExit as stopped:
            ended = f"exit {stopped.code}"
        assert "name: hostpath-provisioner" in cluster[0], "the provisioner is deleted in any case"
        return f"{ended}, {'kept' if volume.exists() else 'gone'}"

    return disable


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["nameserver 192.0.2.1\n"], 0),
        (["nameserver 127.0.0.53\n", "nameserver 192.0.2.1\n"], 1),
        (["nameserver 127.0.0.53\nnameserver 192.0.2.1\n"], None),
        (["search home\n", "nameserver fe80::1%2\n"], 1),
        ([], None),
    ],
)
def test_pods_get_reachable_servers(node: Node, texts: list[str], expected: int | None) -> None:
    files = []
    for number, text in enumerate(texts):
        file = node.common / f"resolv{number}.conf"
        file.write_text(text)
        files.append(str(file))
    found = addons.upstream_resolv_conf([str(node.common / "absent"), *files])
    assert found == (None if expected is None else files[expected])
