"""A node joins a cluster whose agent answers on this host: the real command, against the real agent."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from microk8s import agent, arguments, certificates, hooks, join, peers, tokens

from .conftest import Node, create_certificates, enter, microk8s, mount

# This host contacts the former from the latter.
FOUNDER, JOINER = "127.0.0.2", "127.0.0.1"
TOKEN = "0123456789abcdef0123456789abcdef"
HOST = socket.gethostname().lower()
USAGE = "Expected format: <master_IP>:<master_PORT>/<token>[/<fingerprint>]"
WORKER_LOCKS = {"clustered.lock", "no-k8s-dqlite", "no-cert-reissue"}
KUBECTL = """\
#!/bin/sh
echo "$@" >> "$SNAP_COMMON/asked"
case "$*" in
*"get nodes --no-headers"*) echo "founder Ready <none> 1d v1.35.4" ;;
*"get nodes"*microk8s-controlplane*) echo "127.0.0.2 founder" ;;
*"get service"*) echo service/kubernetes ;;
esac
"""


class Home(SimpleNamespace):
    """A founder and a node that may join it."""

    founder: Node
    joiner: Node
    port: int

    def join(self, *options: str, token: str = TOKEN, check: str | None = None) -> tuple[int, list[str]]:
        """Run `join`; return the exit code and the printed lines."""
        found = certificates.fingerprint() if check is None else check
        done = microk8s(
            self.joiner,
            *("join", f"{FOUNDER}:{self.port}/{token}/{found}".rstrip("/"), *options),
            path=str(self.joiner.common / "path"),
        )
        return done.returncode, done.stdout.splitlines()

    def locks(self) -> set[str]:
        return {file.name for file in (self.joiner.data / "var/lock").iterdir()}

    def restarted(self) -> list[str]:
        file = self.joiner.common / "restarted"
        return file.read_text().split() if file.exists() else []


def _another_node(directory: Path) -> Node:
    node = mount(directory)
    with pytest.MonkeyPatch.context() as patch:
        enter(node, patch)
        patch.setattr(certificates, "create", create_certificates)
        hooks.install()
        arguments.change("kubelet", {"--max-pods": "9", "--node-ip": "192.0.2.9"})
    (node.common / "path").mkdir()
    systemctl = node.common / "path/systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$2" >> {node.common}/restarted\n')
    systemctl.chmod(0o755)
    return node


@pytest.fixture
def home(node: Node, restarts: list[str], tmp_path: Path) -> Iterator[Home]:
    """A founder whose agent runs, and that has made a token."""
    assert restarts == []
    node.program("kubectl", KUBECTL)
    with socket.create_server((FOUNDER, 0)) as unused:
        port = unused.getsockname()[1]
    arguments.change("cluster-agent", {"--bind": f"{FOUNDER}:{port}"})
    arguments.change("kubelet", {"--node-ip": FOUNDER, "--hostname-override": "founder", "--v": "3"})
    joiner = _another_node(tmp_path / "joiner")
    (joiner.data / "args/cluster-agent").write_text(f"--bind 0.0.0.0:{port}\n")
    tokens.add_for_joining(TOKEN, -1)
    server = agent.server()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield Home(founder=node, joiner=joiner, port=port)
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("192.0.2.7:25000", USAGE),
        (f"192.0.2.7:25000/{TOKEN}/0123456789ab/x", USAGE),
        (f"https://192.0.2.7:25000/{TOKEN}", USAGE),
        (f"2001:db8::1:25000/{TOKEN}", USAGE),
        (f"home.example:25000/{TOKEN}", "Invalid master IP"),
        (f"192.0.2.7:port/{TOKEN}", "Master PORT not a number"),
        (f"192.0.2.7:70000/{TOKEN}", "Master PORT not in range 1:65535"),
        ("192.0.2.7:25000/short", "Cluster token size should be at least 32 bytes"),
        (f"192.0.2.7:25000/{TOKEN}/0123", "Fingerprint should be at least 12 bytes"),
    ],
)
def test_bad_connections(text: str, message: str) -> None:
    with pytest.raises(join.InvalidError) as error:
        join.parse(text)
    assert str(error.value) == message


def test_a_bad_connection_changes_nothing(node: Node) -> None:
    done = microk8s(node, "join", f"home.example:25000/{TOKEN}", "--worker")
    assert (done.returncode, done.stdout) == (1, "Invalid connection: Invalid master IP\n")
    assert not (node.data / "var/lock/join-in-progress").exists()


def test_a_connection_string() -> None:
    assert join.parse(f"192.0.2.7:25000/{TOKEN}") == join.Invitation("192.0.2.7", 25000, TOKEN, "")
    assert join.parse(f"192.0.2.7:25000/{TOKEN}/0123456789ab").check == "0123456789ab"


def test_a_worker_has_what_it_needs_and_no_key_of_the_cluster(home: Home) -> None:
    own_key = home.joiner.read("certs/ca.key")
    code, lines = home.join("--worker")
    assert (code, lines[0], lines[-1]) == (
        0,
        f"Contacting cluster at {FOUNDER}",
        "Successfully joined the cluster.",
    )

    assert home.locks() >= WORKER_LOCKS
    assert not home.locks() & {"no-apiserver-proxy", "join-in-progress"}
    assert home.restarted() == [
        f"snap.microk8s.daemon-{name}.service"
        for name in ("kubelite", "etcd", "apiserver-kicker", "apiserver-proxy", "k8s-dqlite")
    ]
    assert home.joiner.read("certs/ca.remote.crt") == home.founder.read("certs/ca.crt")
    assert home.joiner.read("certs/ca.key") == own_key != home.founder.read("certs/ca.key")
    assert home.joiner.read("credentials/callback-token.txt") == tokens.callback()
    endpoints = yaml.safe_load(home.joiner.read("args/traefik/provider.yaml"))
    assert endpoints["tcp"]["services"]["kube-apiserver"]["loadBalancer"]["servers"] == [
        {"address": f"{FOUNDER}:16443"}
    ]


def test_a_worker_has_the_kubelet_arguments_of_the_founder(home: Home) -> None:
    home.founder.data.joinpath("args/kube-apiserver").write_text(
        "--secure-port=16443\n--authorization-mode=RBAC,Node\n"
    )
    assert home.join("--worker")[0] == 0
    kubelet = home.joiner.read("args/kubelet").splitlines()
    assert {f"--node-ip={JOINER}", "--v=3", "--client-ca-file=${SNAP_DATA}/certs/ca.remote.crt"} <= set(
        kubelet
    )
    assert (
        "--node-labels=microk8s.io/cluster=true,node.kubernetes.io/microk8s-worker=microk8s-worker" in kubelet
    )
    assert not any(line.startswith(("--max-pods", "--hostname-override")) for line in kubelet)
    assert "--authorization-mode=RBAC,Node" in home.joiner.read("args/kube-apiserver").splitlines()
    for service in ("kubelet", "kube-apiserver", "kube-proxy"):
        assert (home.joiner.data / f"args/{service}.backup").exists()


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("kubelet", f"CN=system:node:{HOST},O=system:nodes"),
        ("proxy", "CN=system:kube-proxy"),
    ],
)
def test_the_cluster_signs_the_workers_certificates(home: Home, name: str, subject: str) -> None:
    key = home.joiner.read(f"certs/{name}.key")
    assert home.join("--worker")[0] == 0
    certificate, authority = (
        str(path) for path in (home.joiner.data / f"certs/{name}.crt", home.founder.data / "certs/ca.crt")
    )
    verify = ["openssl", "verify", "-CAfile", authority, certificate]
    show = [
        "openssl",
        "x509",
        "-noout",
        "-subject",
        "-nameopt",
        "RFC2253",
        "-ext",
        "subjectAltName",
        "-in",
        certificate,
    ]
    subprocess.run(verify, check=True, capture_output=True)
    shown = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    assert f"subject={subject}\n" in shown
    assert (f"DNS:{HOST}" in shown) is (name == "kubelet")
    assert home.joiner.read(f"certs/{name}.key") == key
    config = yaml.safe_load(home.joiner.read(f"credentials/{name}.config"))
    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == "https://127.0.0.1:16443"
    assert cluster["certificate-authority-data"] == certificates.embedded(home.founder.data / "certs/ca.crt")


def test_what_a_join_changes_on_the_founder(home: Home, restarts: list[str]) -> None:
    manifest = home.founder.data / "args/cni-network/cni.yaml"
    assert home.join("--worker")[0] == 0
    assert f"name: IP_AUTODETECTION_METHOD\n          value: can-reach={JOINER}\n" in manifest.read_text()
    assert f"apply --filename={manifest}" in (home.founder.common / "asked").read_text()
    assert (home.founder.data / "var/lock/no-cert-reissue").exists()
    assert not (home.founder.data / "var/lock/clustered.lock").exists()
    for name in ("cluster-tokens.txt", "certs-request-tokens.txt"):
        assert home.founder.read(f"credentials/{name}") == "", "used up"
    assert home.founder.read("var/kubernetes/backend/update.yaml") == f"Address: {FOUNDER}:19001\n"
    assert restarts == ["k8s-dqlite"]


def test_only_the_first_join_changes_the_network_and_the_datastore(home: Home, restarts: list[str]) -> None:
    manifest = home.founder.data / "args/cni-network/cni.yaml"
    manifest.write_text(manifest.read_text().replace("first-found", "can-reach=192.0.2.6"))
    (home.founder.data / "var/kubernetes/backend/info.yaml").write_text("Address: 192.0.2.7:19001\n")
    assert home.join("--worker")[0] == 0
    assert "can-reach=192.0.2.6" in manifest.read_text()
    assert "apply" not in (home.founder.common / "asked").read_text()
    assert restarts == []


def test_a_worker_may_join_again(home: Home) -> None:
    assert home.join("--worker")[0] == 0
    tokens.add_for_joining(TOKEN, -1)
    assert home.join("--worker")[0] == 0


def test_a_directory_of_volumes_causes_a_warning(home: Home) -> None:
    (home.joiner.common / "default-storage").mkdir()
    code, lines = home.join("--worker")
    assert (code, lines[:2]) == (
        0,
        ["WARNING: Hostpath storage is enabled and is not suitable for multi node clusters.", ""],
    )


def test_another_pod_network_is_taken_over_with_a_warning(home: Home) -> None:
    (home.joiner.data / "args/kube-proxy").write_text("--cluster-cidr=10.9.0.0/16\n")
    code, lines = home.join("--worker")
    assert code == 0
    assert "Cluster CIDR: 10.1.0.0/16 -- Node CIDR: 10.9.0.0/16(will be overwritten)" in lines
    assert home.joiner.read("args/kube-proxy") == "--cluster-cidr=10.1.0.0/16\n"


def _refused(reason: str, status: int) -> tuple[int, str]:
    return 6, f"Connection failed. {reason} ({status})."


IDENTITY = (
    f"Joining cluster failed. Could not verify the identity of {FOUNDER}."
    " Use '--skip-verify' to skip server certificate check."
)


@pytest.mark.parametrize(
    ("token", "check", "expected", "token_stays"),
    [
        (TOKEN[::-1], None, _refused("invalid token", 500), True),
        (TOKEN, "0123456789ab", (4, IDENTITY), True),
    ],
)
def test_a_failed_join_leaves_its_lock(
    home: Home, token: str, check: str | None, expected: tuple[int, str], token_stays: bool
) -> None:
    code, lines = home.join("--worker", token=token, check=check)
    assert (code, lines[-1]) == expected
    assert "join-in-progress" in home.locks()
    assert not home.locks() & WORKER_LOCKS
    assert home.restarted() == []
    assert (home.founder.read("credentials/cluster-tokens.txt") == f"{TOKEN}\n") is token_stays


def test_another_port_of_the_agent_uses_up_the_token(home: Home) -> None:
    (home.joiner.data / "args/cluster-agent").write_text("--bind 0.0.0.0:1\n")
    code, lines = home.join("--worker")
    reason = f"the port of the cluster agent port has to be set to {home.port}"
    assert (code, lines[-1]) == _refused(reason, 502)
    assert home.founder.read("credentials/cluster-tokens.txt") == ""


def test_an_unreachable_cluster(home: Home) -> None:
    home.port = 1
    code, lines = home.join("--worker")
    assert code == 1
    assert lines[-1].startswith("Please ensure the master node is reachable.")
    assert "join-in-progress" in home.locks()


@pytest.mark.parametrize("options", [("--worker", "--skip-verify"), ("--worker",)])
def test_nothing_is_compared_without_a_fingerprint(home: Home, options: tuple[str, ...]) -> None:
    assert home.join(*options, check="0123456789ab" if len(options) > 1 else "")[0] == 0


@pytest.mark.parametrize("options", [(), ("--controlplane",)])
def test_the_lab_has_one_control_plane(home: Home, options: tuple[str, ...]) -> None:
    code, lines = home.join(*options)
    assert (code, lines) == (
        1,
        ["Joining process failed: joining as a control plane is not part of the lab's MicroK8s."],
    )
    assert "join-in-progress" not in home.locks()


@pytest.mark.parametrize(
    ("path", "changes", "status", "reason"),
    [
        (peers.JOIN_PATH, {"token": ""}, 500, "invalid token"),
        (peers.SIGN_PATH, {}, 500, "invalid token"),
        (peers.SIGN_PATH, {"token": f"{TOKEN}-kubelet"}, 500, "invalid token"),
        (peers.CONFIGURE_PATH, {"callback": ""}, 500, "invalid token"),
        (peers.CONFIGURE_PATH, {"callback": TOKEN}, 500, "invalid token"),
    ],
)
def test_requests_that_the_agent_refuses(
    home: Home, path: str, changes: dict[str, object], status: int, reason: str
) -> None:
    request = {"token": TOKEN, "hostname": "attic", "port": str(home.port), "worker": True, **changes}
    answered = peers.post(peers.connection(FOUNDER, home.port), path, request)
    assert answered == (status, {"error": reason})


def test_a_node_does_not_join_itself(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    request = {"token": TOKEN, "port": str(home.port), "worker": True}
    opened = peers.connection(FOUNDER, home.port)
    monkeypatch.setattr(opened, "source_address", (FOUNDER, 0))
    reason = f"the joining node has the same IP ({FOUNDER}) as the node we contact"
    assert peers.post(opened, peers.JOIN_PATH, request) == (503, {"error": reason})


def test_the_agents_answer(home: Home) -> None:
    request = {"token": TOKEN, "port": str(home.port), "worker": "as-worker"}
    status, answer = peers.post(peers.connection(FOUNDER, home.port), peers.JOIN_PATH, request)
    assert (status, answer) == (
        200,
        {
            "ca": home.founder.read("certs/ca.crt"),
            "ca_key": None,
            "service_account_key": "",
            "callback_token": tokens.callback(),
            "apiport": "16443",
            "api_authz_mode": "AlwaysAllow",
            "kubelet_args": home.founder.read("args/kubelet"),
            "hostname_override": JOINER,
            "control_plane_nodes": [FOUNDER],
            "cluster_cidr": "10.1.0.0/16",
        },
    )
    assert home.founder.read("credentials/certs-request-tokens.txt") == f"{TOKEN}-kubelet\n{TOKEN}-proxy\n"
    assert (home.founder.data / "credentials/certs-request-tokens.txt").stat().st_mode & 0o007 == 0


def test_whoever_is_no_worker_gets_the_keys_of_the_cluster(home: Home) -> None:
    request = {"token": TOKEN, "port": str(home.port)}
    status, answer = peers.post(peers.connection(FOUNDER, home.port), peers.JOIN_PATH, request)
    keys = {"ca_key": "ca", "service_account_key": "serviceaccount"}
    assert status == 200
    assert {name: answer[name] for name in keys} == {
        name: home.founder.read(f"certs/{file}.key") for name, file in keys.items()
    }
    assert home.founder.read("credentials/certs-request-tokens.txt") == ""


def test_whoever_has_the_callback_token_sets_arguments_until_it_is_gone(
    home: Home, restarts: list[str]
) -> None:
    """It is made by the first join."""
    file = home.founder.data / "credentials/callback-token.txt"
    assert not file.exists()
    assert home.join("--worker")[0] == 0
    token = home.joiner.read("credentials/callback-token.txt").strip()
    changes = {"arguments_update": [{"--v": "9"}], "arguments_remove": ["--hostname-override"]}
    request = {"callback": token, "service": [{"name": "kubelet", "restart": "yes", **changes}]}

    def ask() -> tuple[int, object]:
        return peers.post(peers.connection(FOUNDER, home.port), peers.CONFIGURE_PATH, request)

    restarts.clear()
    assert ask() == (200, {"result": "ok"})
    assert "--v=9" in home.founder.read("args/kubelet").splitlines()
    assert "--hostname-override" not in home.founder.read("args/kubelet")
    assert restarts == ["kubelet"]
    file.unlink()
    assert ask() == (500, {"error": "invalid token"})
