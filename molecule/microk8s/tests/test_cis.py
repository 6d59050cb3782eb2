"""The points of the CIS benchmark for MicroK8s (1.24), each met on the machine or with the reason why not."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from testinfra.host import Host

from harness.home import Kubectl

CURRENT = "/var/snap/microk8s/current"
ARGS, CERTS, CREDENTIALS = f"{CURRENT}/args", f"{CURRENT}/certs", f"{CURRENT}/credentials"
BACKEND = f"{CURRENT}/var/kubernetes/backend"
NETWORK = f"{ARGS}/cni-network/10-calico.conflist"
OURS = "app.kubernetes.io/managed-by=homeserver"
UNIT = "/etc/systemd/system/snap.microk8s.daemon-kubelite.service"
API, CONTROLLERS, SCHEDULER, KUBELET = PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet",
)  # fmt: skip
# Of each point: the last number of the last one.
LENGTHS = {"1.1": 21, "1.2": 31, "1.3": 7, "1.4": 2, "2": 7, "3.1": 1, "3.2": 2, "4.1": 10, "4.2": 13}
LENGTHS |= {"5.1": 8, "5.2": 13, "5.3": 2, "5.4": 2, "5.5": 1, "5.7": 4}


@dataclass(frozen=True)
class Machine:
    """The machine, and the flags that each program runs with."""

    host: Host
    kubectl: Kubectl
    flags: dict[str, dict[str, str]]

    def closed(self, *paths: str) -> bool:
        """Whether the files belong to root, and no other user can read or write them."""
        listed = self.host.check_output(f"ls -d {' '.join(paths)}").split()
        tries = 'for f; do if test -r "$f" || test -w "$f"; then echo "$f"; fi; done'
        opened: str = self.host.check_output(f"runuser -u nobody -- sh -c '{tries}' sh {' '.join(listed)}")
        return opened == "" and self.owned(*listed)

    def owned(self, *paths: str) -> bool:
        """Whether the files belong to root, and to the group of those who administer the cluster at most."""
        owners = self.host.check_output(f"stat -c %U:%G {' '.join(paths)}").split()
        return set(owners) <= {"root:root", "root:microk8s"}

    def refuses(self, **spec: Any) -> bool:
        """Whether a namespace without a label refuses a pod with that in its spec, or in its container's."""
        container = {"name": "c", "image": "x"} | spec.pop("container", {})
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "cis", "namespace": "default"},
            "spec": {"containers": [container], **spec},
        }
        told = self.kubectl(f"create --dry-run=server -f - 2>&1 <<'EOF' || true\n{json.dumps(pod)}\nEOF")
        return 'violates PodSecurity "baseline' in told

    def may(self, what: str) -> bool:
        """Whether a pod's default account may do that everywhere."""
        as_pod = "--as=system:serviceaccount:default:default"
        return self.kubectl(f"auth can-i {what} -A {as_pod} || true").strip() == "yes"

    def serves_own_certificate(self, port: int) -> bool:
        """Whether the cluster's authority has signed what it shows at a port."""
        ask = f"openssl s_client -connect 127.0.0.1:{port} -CAfile {CERTS}/ca.crt -verify_return_error"
        return bool(self.host.run(f"{ask} </dev/null").succeeded)


Check = Callable[[Machine], bool]


@dataclass(frozen=True)
class Point:
    """A point of the benchmark.

    Attributes:
        about: What it is about.
        met: Shows on the machine that it is met, or as far as it is.
        why: Why it is not, or not to the letter.
    """

    about: str
    met: Check | None = None
    why: str = ""


def _is(program: str, flag: str, *values: str) -> Check:
    """Whether a flag has one of these values; `` for one that is not given."""
    return lambda machine: machine.flags[program].get(flag, "") in values


def _given(program: str, *flags: str) -> Check:
    return lambda machine: set(flags) <= machine.flags[program].keys()


def _has(flag: str, value: str, *, wanted: bool = True) -> Check:
    """Whether a list of the API server's has a value."""
    return lambda machine: (value in machine.flags[API].get(flag, "").split(",")) is wanted


def _at_least(flag: str, least: int) -> Check:
    return lambda machine: int(machine.flags[API].get(flag, 0)) >= least


def _strong(program: str) -> Check:
    return lambda machine: all(
        re.fullmatch(r"TLS_ECDHE_\w+_(GCM_SHA\d+|POLY1305)", suite)
        for suite in machine.flags[program]["--tls-cipher-suites"].split(",")
    )


def _closed(*paths: str) -> Check:
    return lambda machine: machine.closed(*paths)


def _refused(**spec: Any) -> Check:
    return lambda machine: machine.refuses(**spec)


def _secured(**context: Any) -> Check:
    return _refused(container={"securityContext": context})


def _stands_for_everybody(machine: Machine) -> bool:
    """Whether no pod is an administrator of the cluster."""
    bindings = machine.kubectl.get("clusterrolebindings")["items"]
    subjects = [
        subject
        for binding in bindings
        if binding["roleRef"]["name"] == "cluster-admin"
        for subject in binding.get("subjects", [])
    ]
    return bool(subjects) and all(subject["kind"] != "ServiceAccount" for subject in subjects)


def _encrypts(machine: Machine) -> bool:
    """Whether Secrets are encrypted with one key, and nothing else reads them."""
    file = machine.host.file(machine.flags[API]["--encryption-provider-config"])
    (secrets,) = json.loads(file.content_string)["resources"]
    return (file.mode, file.user) == (0o600, "root") and [*map(list, secrets["providers"])] == [["secretbox"]]


GROUP = "0660 and the group microk8s, whose members administer the cluster anyway; MicroK8s sets both itself"
SOCKET = "the datastore has no port for clients, but a socket that root and the group microk8s alone reach"
ALONE = "the datastore has one member; nothing joins it, and the firewall closes its port"
IMAGES = "many an image runs as root; a namespace labelled restricted refuses it, as those of this project do"
STATIC = "tests/static/test_manifests.py shows it for all that this project runs"
RENEWED = "the role renews the kubelet's certificate"

POINTS = {
    "1.1.1": Point("arguments of the API server: mode", _closed(f"{ARGS}/{API}"), GROUP),
    "1.1.2": Point("arguments of the API server: owner", _closed(f"{ARGS}/{API}"), GROUP),
    "1.1.3": Point("arguments of the controller manager: mode", _closed(f"{ARGS}/{CONTROLLERS}"), GROUP),
    "1.1.4": Point("arguments of the controller manager: owner", _closed(f"{ARGS}/{CONTROLLERS}"), GROUP),
    "1.1.5": Point("arguments of the scheduler: mode", _closed(f"{ARGS}/{SCHEDULER}"), GROUP),
    "1.1.6": Point("arguments of the scheduler: owner", _closed(f"{ARGS}/{SCHEDULER}"), GROUP),
    "1.1.7": Point("arguments of the datastore: mode", _closed(f"{ARGS}/k8s-dqlite"), GROUP),
    "1.1.8": Point("arguments of the datastore: owner", _closed(f"{ARGS}/k8s-dqlite"), GROUP),
    "1.1.9": Point(
        "network configuration: mode", _closed(NETWORK), "Calico writes it; its directory is closed"
    ),
    "1.1.10": Point("network configuration: owner", _closed(NETWORK)),
    "1.1.11": Point("datastore: mode", _closed(BACKEND), GROUP),
    "1.1.12": Point("datastore: owner", _closed(BACKEND), GROUP),
    "1.1.13": Point("kubeconfig of the administrator: mode", _closed(f"{CREDENTIALS}/client.config"), GROUP),
    "1.1.14": Point("kubeconfig of the administrator: owner", _closed(f"{CREDENTIALS}/client.config"), GROUP),
    "1.1.15": Point("kubeconfig of the scheduler: mode", _closed(f"{CREDENTIALS}/scheduler.config"), GROUP),
    "1.1.16": Point("kubeconfig of the scheduler: owner", _closed(f"{CREDENTIALS}/scheduler.config"), GROUP),
    "1.1.17": Point(
        "kubeconfig of the controllers: mode", _closed(f"{CREDENTIALS}/controller.config"), GROUP
    ),
    "1.1.18": Point(
        "kubeconfig of the controllers: owner", _closed(f"{CREDENTIALS}/controller.config"), GROUP
    ),
    "1.1.19": Point("certificates: owner", _closed(CERTS, f"{CERTS}/*"), GROUP),
    "1.1.20": Point("certificates: mode", _closed(f"{CERTS}/*.crt"), GROUP),
    "1.1.21": Point("keys: mode", _closed(f"{CERTS}/*.key"), GROUP),
    "1.2.1": Point(
        "no requests without a name",
        _is(API, "--anonymous-auth", ""),
        "what waits for the cluster asks /readyz; access control gives a nameless request nothing else",
    ),
    "1.2.2": Point("no file of tokens", _is(API, "--token-auth-file", "")),
    "1.2.3": Point(
        "external addresses of Services",
        _has("--enable-admission-plugins", "DenyServiceExternalIPs", wanted=False),
    ),
    "1.2.4": Point(
        "certificate for the kubelet", _given(API, "--kubelet-client-certificate", "--kubelet-client-key")
    ),
    "1.2.5": Point("the kubelet's certificate is checked", _given(API, "--kubelet-certificate-authority")),
    "1.2.6": Point("not everything is allowed", _has("--authorization-mode", "AlwaysAllow", wanted=False)),
    "1.2.7": Point("a node may do what a node needs", _has("--authorization-mode", "Node")),
    "1.2.8": Point("access control by roles", _has("--authorization-mode", "RBAC")),
    "1.2.9": Point("limit of events", _has("--enable-admission-plugins", "EventRateLimit")),
    "1.2.10": Point("no AlwaysAdmit", _has("--enable-admission-plugins", "AlwaysAdmit", wanted=False)),
    "1.2.11": Point(
        "AlwaysPullImages", why="no registry has the images of a bundle, and those that are built here"
    ),
    "1.2.12": Point("SecurityContextDeny", why="Kubernetes has none since 1.30; PodSecurity refuses: 5.2"),
    "1.2.13": Point("ServiceAccount", _has("--disable-admission-plugins", "ServiceAccount", wanted=False)),
    "1.2.14": Point(
        "NamespaceLifecycle", _has("--disable-admission-plugins", "NamespaceLifecycle", wanted=False)
    ),
    "1.2.15": Point("NodeRestriction", _has("--enable-admission-plugins", "NodeRestriction")),
    "1.2.16": Point("TLS", _at_least("--secure-port", 1)),
    "1.2.17": Point("no profiling", _is(API, "--profiling", "false")),
    "1.2.18": Point("audit log", _given(API, "--audit-log-path")),
    "1.2.19": Point("audit log: 30 days", _at_least("--audit-log-maxage", 30)),
    "1.2.20": Point(
        "audit log: files", _at_least("--audit-log-maxbackup", 3), "three: microk8s_audit_log_mib bounds it"
    ),
    "1.2.21": Point(
        "audit log: size", _at_least("--audit-log-maxsize", 1), "a quarter of microk8s_audit_log_mib"
    ),
    "1.2.22": Point("bound of a request", _is(API, "--request-timeout", "")),
    "1.2.23": Point("tokens of accounts that are gone", _is(API, "--service-account-lookup", "", "true")),
    "1.2.24": Point("key of service accounts", _given(API, "--service-account-key-file")),
    "1.2.25": Point("certificate for the datastore", _closed(BACKEND), SOCKET),
    "1.2.26": Point("certificate of its own", lambda machine: machine.serves_own_certificate(16443)),
    "1.2.27": Point("authority of clients", _given(API, "--client-ca-file")),
    "1.2.28": Point("authority of the datastore", _closed(BACKEND), SOCKET),
    "1.2.29": Point("Secrets are encrypted", _given(API, "--encryption-provider-config")),
    "1.2.30": Point("with a strong cipher", _encrypts),
    "1.2.31": Point("strong ciphers", _strong(API)),
    "1.3.1": Point(
        "finished pods",
        _is(CONTROLLERS, "--terminated-pod-gc-threshold", ""),
        "a home has few; Jobs bound theirs",
    ),
    "1.3.2": Point("no profiling", _is(CONTROLLERS, "--profiling", "false")),
    "1.3.3": Point(
        "an account for each controller", _is(CONTROLLERS, "--use-service-account-credentials", "true")
    ),
    "1.3.4": Point("key of service accounts", _given(CONTROLLERS, "--service-account-private-key-file")),
    "1.3.5": Point("authority that pods trust", _given(CONTROLLERS, "--root-ca-file")),
    "1.3.6": Point("RotateKubeletServerCertificate", _is(CONTROLLERS, "--feature-gates", "")),
    "1.3.7": Point("listens on loopback", _is(CONTROLLERS, "--bind-address", "127.0.0.1")),
    "1.4.1": Point("no profiling", _is(SCHEDULER, "--profiling", "false")),
    "1.4.2": Point("listens on loopback", _is(SCHEDULER, "--bind-address", "127.0.0.1")),
    "2.1": Point("certificate for clients", _closed(BACKEND), SOCKET),
    "2.2": Point("certificates of clients", _closed(BACKEND), SOCKET),
    "2.3": Point("no certificate of its own making", _closed(BACKEND), SOCKET),
    "2.4": Point("certificate for members", why=ALONE),
    "2.5": Point("certificates of members", why=ALONE),
    "2.6": Point("no certificate of its own making for members", why=ALONE),
    "2.7": Point("authority of its own", why=ALONE),
    "3.1.1": Point(
        "no certificates for users",
        why="the owner is the only one; revoking takes another authority of MicroK8s",
    ),
    "3.2.1": Point("audit policy", _given(API, "--audit-policy-file")),
    "3.2.2": Point(
        "audit of Secrets and shells", why="test_changes_are_in_the_audit_log_and_contents_are_not shows it"
    ),
    "4.1.1": Point(
        "unit of the kubelet: mode",
        lambda machine: machine.host.file(UNIT).mode & 0o022 == 0,
        "snapd writes it, readable; there is no secret in it",
    ),
    "4.1.2": Point("unit of the kubelet: owner", lambda machine: machine.owned(UNIT)),
    "4.1.3": Point("kubeconfig of kube-proxy: mode", _closed(f"{CREDENTIALS}/proxy.config"), GROUP),
    "4.1.4": Point("kubeconfig of kube-proxy: owner", _closed(f"{CREDENTIALS}/proxy.config"), GROUP),
    "4.1.5": Point("kubeconfig of the kubelet: mode", _closed(f"{CREDENTIALS}/kubelet.config"), GROUP),
    "4.1.6": Point("kubeconfig of the kubelet: owner", _closed(f"{CREDENTIALS}/kubelet.config"), GROUP),
    "4.1.7": Point("authority of clients: mode", _closed(f"{CERTS}/ca.crt"), GROUP),
    "4.1.8": Point("authority of clients: owner", _closed(f"{CERTS}/ca.crt"), GROUP),
    "4.1.9": Point("arguments of the kubelet: mode", _closed(f"{ARGS}/{KUBELET}"), GROUP),
    "4.1.10": Point("arguments of the kubelet: owner", _closed(f"{ARGS}/{KUBELET}"), GROUP),
    "4.2.1": Point("no requests without a name", _is(KUBELET, "--anonymous-auth", "false")),
    "4.2.2": Point("not everything is allowed", _is(KUBELET, "--authorization-mode", "Webhook")),
    "4.2.3": Point("authority of clients", _given(KUBELET, "--client-ca-file")),
    "4.2.4": Point("no port without TLS", _is(KUBELET, "--read-only-port", "0")),
    "4.2.5": Point("idle connections end", _is(KUBELET, "--streaming-connection-idle-timeout", "")),
    "4.2.6": Point("kernel settings are written", _is(KUBELET, "--protect-kernel-defaults", "true")),
    "4.2.7": Point("its own iptables chains", _is(KUBELET, "--make-iptables-util-chains", "", "true")),
    "4.2.8": Point("the name of the host", _is(KUBELET, "--hostname-override", "")),
    "4.2.9": Point(
        "events", _is(KUBELET, "--event-qps", ""), "50 a second, its default, is more than a home has"
    ),
    "4.2.10": Point("certificate of its own", lambda machine: machine.serves_own_certificate(10250)),
    "4.2.11": Point("rotation of its certificate", _is(KUBELET, "--rotate-certificates", ""), RENEWED),
    "4.2.12": Point("rotation of what it serves with", why=RENEWED),
    "4.2.13": Point("strong ciphers", _strong(KUBELET)),
    "5.1.1": Point("administrators", _stands_for_everybody),
    "5.1.2": Point("who reads Secrets", lambda machine: not machine.may("get secrets")),
    "5.1.3": Point("wildcards in roles", why="no role of this project has any"),
    "5.1.4": Point("who creates pods", lambda machine: not machine.may("create pods")),
    "5.1.5": Point("default service accounts", why=STATIC),
    "5.1.6": Point("tokens of service accounts", why=STATIC),
    "5.1.7": Point("system:masters", why="MicroK8s makes the owner's kubeconfig so; no pod has it"),
    "5.1.8": Point("bind, impersonate and escalate", lambda machine: not machine.may("impersonate users")),
    "5.2.1": Point("a policy for pods", _secured(privileged=True)),
    "5.2.2": Point("privileged containers", _secured(privileged=True)),
    "5.2.3": Point("processes of the host", _refused(hostPID=True)),
    "5.2.4": Point("shared memory of the host", _refused(hostIPC=True)),
    "5.2.5": Point("network of the host", _refused(hostNetwork=True)),
    "5.2.6": Point("privilege escalation", why=IMAGES),
    "5.2.7": Point("root", why=IMAGES),
    "5.2.8": Point("NET_RAW", why=IMAGES),
    "5.2.9": Point("added capabilities", _secured(capabilities={"add": ["NET_ADMIN"]})),
    "5.2.10": Point("capabilities", why=IMAGES),
    "5.2.11": Point("HostProcess of Windows", why="there is no Windows"),
    "5.2.12": Point("files of the host", _refused(volumes=[{"name": "v", "hostPath": {"path": "/"}}])),
    "5.2.13": Point(
        "ports of the host", _refused(container={"ports": [{"containerPort": 80, "hostPort": 80}]})
    ),
    "5.3.1": Point(
        "network policies", lambda machine: bool(machine.kubectl.get("-n kube-system daemonset calico-node"))
    ),
    "5.3.2": Point("network policies in every namespace", why=STATIC),
    "5.4.1": Point("Secrets as files", why="programs that take one from a file get it so"),
    "5.4.2": Point("Secrets elsewhere", why="that would be another service on the same machine"),
    "5.5.1": Point("where images come from", why="the owner alone chooses them"),
    "5.7.1": Point("namespaces", why="each part of the home has its own"),
    "5.7.2": Point("seccomp", why=STATIC),
    "5.7.3": Point("security contexts", why=STATIC),
    "5.7.4": Point(
        "nothing of the home in the namespace default",
        lambda machine: machine.kubectl.get(f"-n default all -l {OURS}")["items"] == [],
    ),
}


@pytest.fixture(scope="module")
def machine(host: Host, kubectl: Kubectl) -> Machine:
    """The machine with the flags of the running programs; the one process of MicroK8s reads these files."""
    lines = [line.split() for line in host.check_output("ps -ww -eo args").splitlines()]
    running = {words[0].rpartition("/")[2]: words[1:] for words in lines if words}
    files = {name: host.check_output(f"grep -v '^#' {ARGS}/{name}").split() for name in PROGRAMS}
    flags = {name: dict(map(_split, running.get(name) or files[name])) for name in PROGRAMS}
    return Machine(host, kubectl, flags)


def _split(flag: str) -> tuple[str, str]:
    name, is_set, value = flag.partition("=")
    return name, value.strip("\"'") if is_set else "true"


def test_every_point_is_there() -> None:
    assert set(POINTS) == {f"{part}.{n}" for part, last in LENGTHS.items() for n in range(1, last + 1)}
    assert [number for number, point in POINTS.items() if not (point.met or point.why)] == []


@pytest.mark.parametrize("number", [number for number, point in POINTS.items() if point.met])
def test_a_point_is_met(machine: Machine, number: str) -> None:
    point = POINTS[number]
    assert point.met
    assert point.met(machine), point.about
