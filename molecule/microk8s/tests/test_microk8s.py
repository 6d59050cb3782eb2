"""MicroK8s works: access control, names, storage, isolation and restarts."""

import base64
import itertools
import json
import re
import stat
from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest
from kubernetes import client, config
from testinfra.host import Host

from harness import certificates
from harness.home import Home, Kubectl, ask_from, eventually

NAMESPACE = "verify"
LABEL = {"app": "verify"}
KUBECTL = "/snap/bin/microk8s kubectl"
REFRESHED = ("--extra-vars", "{_microk8s_refreshes: true}")
EXPIRING = {"front-proxy-client": 0, "kubelet": 20, "proxy": 20, "server": 0}


@pytest.fixture(scope="module")
def image(home: Home, host: Host) -> Iterator[str]:
    """A Python image on the machine: from the bundle, or to be pulled.

    It is pinned, because a drill in another test lets a cleanup delete unused images.
    """
    reference = home.image("python")
    pin = f"/snap/bin/microk8s ctr images label {reference} io.cri-containerd.pinned"
    bundle = home.bundle
    if bundle and not host.run(f"{pin}=pinned").succeeded:
        (archive,) = (
            i["file"]
            for i in json.loads((bundle / "bundle.json").read_text())["images"]
            if i["reference"] == reference
        )
        host.ansible("ansible.builtin.copy", f"src={bundle / archive} dest=/root/verify.tar", check=False)
        host.check_output("/snap/bin/microk8s images import /root/verify.tar && rm /root/verify.tar")
        host.check_output(f"{pin}=pinned")
    yield reference
    host.run(f"{pin}=")


@pytest.fixture(scope="module")
def start(kubectl: Kubectl, image: str) -> Iterator[Callable[..., str]]:
    """Start Python pods that wait for commands, and return their names."""
    names = (f"pod-{number}" for number in itertools.count())

    def _start(claim: str = "", command: str = "sleep infinity", reference: str = image) -> str:
        name = next(names)
        volume = (
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
            if claim
            else {"name": "data", "emptyDir": {}}
        )
        container = {
            "name": "python",
            "image": reference,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sh", "-c", command],
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        }
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {**LABEL, "pod": name}},
                "spec": {"containers": [container], "volumes": [volume], "terminationGracePeriodSeconds": 0},
            }
        )
        kubectl(f"-n {NAMESPACE} wait pod/{name} --for=condition=Ready --timeout=120s")
        return name

    kubectl(f"wait --for=delete namespace/{NAMESPACE} --timeout=120s")  # from an earlier run
    kubectl(f"create namespace {NAMESPACE}")
    yield _start
    kubectl(f"delete namespace {NAMESPACE} --wait=false")


def _python(kubectl: Kubectl, pod: str, code: str) -> str:
    return kubectl(f"-n {NAMESPACE} exec {pod} -- python -c '{code}'")


def _ready(kubectl: Kubectl) -> bool:
    (node,) = kubectl.get("nodes")["items"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"]["conditions"])


def _held(host: Host) -> bool:
    return "held" in host.check_output("snap list microk8s | awk 'NR == 2 { print $NF }'").split(",")


def test_the_node_is_ready_in_the_configured_version(home: Home, kubectl: Kubectl) -> None:
    minor = home.versions["microk8s_channel"].split("/")[0]
    (node,) = kubectl.get("nodes")["items"]

    assert _ready(kubectl)
    assert node["status"]["nodeInfo"]["kubeletVersion"].startswith(f"v{minor}.")


def test_the_snap_does_not_refresh_itself(home: Home, host: Host) -> None:
    revision = host.check_output("snap list microk8s | awk 'NR == 2 { print $3 }'")

    # A revision of the store is refreshed unless it is held; one of a bundle without an assertion never is.
    manifest = (
        json.loads((home.bundle / "bundle.json").read_text())
        if home.bundle
        else {"snaps": [{"assertion": ""}]}
    )
    from_store = any(
        "assertion" in snap for snap in manifest["snaps"] if snap.get("name", "microk8s") == "microk8s"
    )
    assert _held(host) is from_store
    assert revision.startswith("x") is not from_store


def test_a_service_account_may_not_read_secrets(kubectl: Kubectl) -> None:
    assert kubectl("auth can-i list secrets -A") == "yes"
    assert kubectl("auth can-i list secrets -A --as=system:serviceaccount:default:default || true") == "no"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "pods"), ("GET", "metrics"), ("POST", "exec/kube-system/x/x?command=id")]
)
def test_a_service_account_may_not_use_the_kubelet(
    home: Home, host: Host, kubectl: Kubectl, method: str, path: str
) -> None:
    token = kubectl("create token default").strip()
    authorization = ("--header", f"Authorization: Bearer {token}", "--request", method)
    status, text = ask_from(host, f"https://{home.address}:10250/{path}", *authorization)

    assert status == 403
    assert "system:serviceaccount:default:default" in text


@pytest.mark.parametrize("port", [10257, 10259])
def test_scheduler_and_controller_manager_are_not_reached_from_elsewhere(host: Host, port: int) -> None:
    sockets = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]

    assert [at for at in sockets if at.endswith(f":{port}")] == [f"127.0.0.1:{port}"]


def test_a_kubelet_may_not_label_its_node_as_it_likes(kubectl: Kubectl) -> None:
    name = kubectl.get("nodes")["items"][0]["metadata"]["name"]
    as_kubelet = f"--as=system:node:{name} --as-group=system:nodes --dry-run=server"
    label = "node-restriction.kubernetes.io/mine"

    refusal = kubectl(f"label node {name} {label}=yes {as_kubelet} 2>&1 || true")

    assert f"is not allowed to modify labels: {label}" in refusal


def test_changes_are_in_the_audit_log_and_contents_are_not(host: Host, kubectl: Kubectl) -> None:
    log = "/var/snap/microk8s/common/var/log/audit/audit.log"
    kubectl("create secret generic audited --from-literal=word=not-in-the-log")
    kubectl("delete secret audited --wait=false")
    lines = host.check_output(f'grep \'"name":"audited"\' {log}').splitlines()
    events = [json.loads(line) for line in lines]

    assert [event["verb"] for event in events][-2:] == ["create", "delete"]
    assert {event["user"]["username"] for event in events} == {"admin"}
    assert not host.run(f"grep -q not-in-the-log {log}").succeeded
    assert host.file(log).mode == 0o600


def test_the_datastore_has_no_secret_in_the_clear(host: Host, kubectl: Kubectl) -> None:
    """Its files are searched; that a ConfigMap is found there shows that one can search them."""
    datastore = "/var/snap/microk8s/current/var/kubernetes/backend"
    words = {kind: f"{kind}-{token_hex(16)}" for kind in ("secret", "configmap")}
    kubectl(f"create secret generic stored --from-literal=word={words['secret']}")
    kubectl(f"create configmap stored --from-literal=word={words['configmap']}")
    try:
        found = {kind: host.run(f"grep -rqaF {word} {datastore}").succeeded for kind, word in words.items()}
        read = base64.b64decode(kubectl.get("secret stored")["data"]["word"]).decode()
    finally:
        kubectl("delete secret/stored configmap/stored --wait=false")

    assert found == {"secret": False, "configmap": True}
    assert read == words["secret"]


def test_one_label_gives_the_pods_of_a_namespace_more(kubectl: Kubectl) -> None:
    """What a namespace without one refuses is in test_cis.py."""
    context = {"securityContext": {"privileged": True}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": "labelled"},
        "spec": {"containers": [{"name": "c", "image": "x", **context}]},
    }
    create = f"create --dry-run=server -f - 2>&1 <<'EOF' || true\n{json.dumps(pod)}\nEOF"
    kubectl("create namespace labelled")
    try:
        assert eventually(lambda: 'violates PodSecurity "baseline' in kubectl(create), 20)
        kubectl("label namespace labelled pod-security.kubernetes.io/enforce=privileged")
        assert eventually(lambda: "pod/privileged created" in kubectl(create), 20), kubectl(create)
    finally:
        kubectl("delete namespace labelled --wait=false")


@pytest.mark.parametrize("port", [16443, 10250])
def test_cbc_is_not_spoken(host: Host, port: int) -> None:
    connect = f"openssl s_client -connect 127.0.0.1:{port} -tls1_2 -cipher"
    spoken = {
        suite: host.run(f"{connect} ECDHE-ECDSA-{suite}:ECDHE-RSA-{suite} </dev/null").succeeded
        for suite in ("AES128-SHA", "AES128-GCM-SHA256")
    }

    assert spoken == {"AES128-SHA": False, "AES128-GCM-SHA256": True}


def test_a_pod_cannot_take_all_processes(kubectl: Kubectl, start: Callable[..., str]) -> None:
    code = (
        "import threading, time\n"
        "threading.stack_size(65536)\n"
        "started = 0\n"
        "try:\n"
        "  while started < 6000:\n"
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    started += 1\n"
        "except RuntimeError: pass\n"
        "print(started)"
    )

    assert 3500 < int(_python(kubectl, start(), code)) < 4096


def test_only_the_owner_can_read_the_kubeconfig_and_it_works_from_here(home: Home) -> None:
    config.load_kube_config(str(home.kubeconfig))
    (node,) = client.CoreV1Api().list_node().items

    assert stat.S_IMODE(home.kubeconfig.stat().st_mode) == 0o600
    assert home.address in {address.address for address in node.status.addresses}


def test_the_api_rejects_anonymous_requests(home: Home) -> None:
    config.load_kube_config(str(home.kubeconfig))
    nameless = client.Configuration.get_default_copy()
    nameless.cert_file = nameless.key_file = None
    nameless.api_key = {}

    with pytest.raises(client.ApiException) as refusal:
        client.CoreV1Api(client.ApiClient(nameless)).list_secret_for_all_namespaces()

    assert refusal.value.status in (401, 403)


def test_names_resolve_in_a_pod(kubectl: Kubectl, start: Callable[..., str]) -> None:
    lookup = 'import socket; print(socket.gethostbyname("kubernetes.default.svc.cluster.local"))'

    assert _python(kubectl, start(), lookup) == kubectl.get("service kubernetes")["spec"]["clusterIP"]


def test_a_volume_outlives_its_pod(kubectl: Kubectl, start: Callable[..., str]) -> None:
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": NAMESPACE},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
        }
    )
    first = start(claim="data")
    _python(kubectl, first, 'open("/data/note", "w").write("kept")')
    kubectl(f"-n {NAMESPACE} delete pod {first}")

    assert _python(kubectl, start(claim="data"), 'print(open("/data/note").read())') == "kept"


def test_a_pod_finds_an_image_that_is_named_with_its_digest(
    host: Host, image: str, start: Callable[..., str]
) -> None:
    ctr = "/snap/bin/microk8s ctr images"
    host.check_output(f"{ctr} export /root/digest.tar {image}")
    (digest,) = set(re.findall(r"sha256:[0-9a-f]{64}", host.check_output(f"{ctr} ls name=={image}")))
    named = {"reference": f"{image}@{digest}", "sha256": host.file("/root/digest.tar").sha256sum}
    arguments = {"images": [named], "arrived": {named["reference"]: "/root/digest.tar"}}
    done = host.ansible("homeserver.stack.sideload", json.dumps(arguments), check=False)

    assert (done.get("missing"), done.get("waiting")) == ([], []), done
    # No registry has it: it starts if the kubelet finds it here.
    start(reference=named["reference"])


def test_a_network_policy_blocks_and_unblocks(kubectl: Kubectl, start: Callable[..., str]) -> None:
    server = start(command="python -m http.server 8000")
    caller = start()
    address = kubectl.get(f"-n {NAMESPACE} pod {server}")["status"]["podIP"]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": NAMESPACE},
        "spec": {"podSelector": {"matchLabels": {"pod": server}}, "policyTypes": ["Ingress"]},
    }
    reach = (
        "import socket, time\n"
        "answers = []\n"
        "while len(answers) < 3 or len(set(answers[-3:])) > 1:\n"
        f'  try: socket.create_connection(("{address}", 8000), 1).close(); answers.append("open")\n'
        '  except OSError: answers.append("closed")\n'
        "  time.sleep(0.2)\n"
        "print(answers[-1])"
    )

    def settles_on(expected: str) -> bool:
        return _python(kubectl, caller, reach) == expected

    assert eventually(lambda: settles_on("open"), seconds=60)
    kubectl.apply(policy)
    assert eventually(lambda: settles_on("closed"), seconds=60)
    kubectl(f"-n {NAMESPACE} delete networkpolicy deny")
    assert eventually(lambda: settles_on("open"), seconds=60)


def test_usage_is_metered(host: Host) -> None:
    top = "/snap/bin/microk8s kubectl top nodes --no-headers"

    # A rate needs two measurements, which are some time apart.
    assert eventually(lambda: "%" in host.run(top).stdout, seconds=180)


def test_pods_survive_a_restart_of_every_service(
    host: Host, kubectl: Kubectl, start: Callable[..., str]
) -> None:
    pod = start()
    before = kubectl.get(f"-n {NAMESPACE} pod {pod}")["status"]["containerStatuses"]

    host.check_output("systemctl restart 'snap.microk8s.daemon-*'")
    host.check_output("/snap/bin/microk8s status --wait-ready --timeout 180")
    kubectl(f"-n {NAMESPACE} wait pod/{pod} --for=condition=Ready --timeout=60s")

    assert kubectl.get(f"-n {NAMESPACE} pod {pod}")["status"]["containerStatuses"] == before


@pytest.fixture(scope="module")
def renewed(home: Home, host: Host, kubectl: Kubectl, start: Callable[..., str]) -> Iterator[str]:
    """Let all certificates expire that a run can renew, two of them now, and run it; no pod notices.

    The run takes the snap for one that the store refreshes. Return what it prints.
    """
    pod = start()
    was_held = _held(host)
    before = kubectl.get(f"-n {NAMESPACE} pod {pod}")["status"]["containerStatuses"]
    for name, days in EXPIRING.items():
        certificates.shorten(host, host, name, days)
    host.check_output("snap restart microk8s.daemon-kubelite")
    assert eventually(lambda: "expired" in host.run(f"{KUBECTL} get nodes").stderr, seconds=120)
    run = home.play("playbooks/microk8s.yml", *REFRESHED)
    assert run.returncode == 0, run.stdout + run.stderr
    assert kubectl.get(f"-n {NAMESPACE} pod {pod}")["status"]["containerStatuses"] == before
    yield run.stdout
    if not was_held:
        host.run("snap refresh --unhold microk8s")  # an older snapd does not know this


@pytest.mark.usefixtures("renewed")
@pytest.mark.parametrize("name", EXPIRING)
def test_an_expiring_certificate_is_renewed_also_when_it_is_too_late(host: Host, name: str) -> None:
    assert certificates.lasts(host, name, days=360)


@pytest.mark.usefixtures("renewed")
def test_the_cluster_works_with_the_new_certificates(home: Home, host: Host, kubectl: Kubectl) -> None:
    config.load_kube_config(str(home.kubeconfig))
    names = [node.metadata.name for node in client.CoreV1Api().list_node().items]
    assert names == [home.name]
    # What asks the kubelet, and what is asked through the aggregation of APIs.
    assert kubectl("-n kube-system logs deployment/coredns --tail=1")
    assert eventually(lambda: host.run(f"{KUBECTL} get --raw /apis/metrics.k8s.io/v1beta1").succeeded, 60)


def test_a_snap_of_the_store_is_held_if_snapd_can(host: Host, renewed: str) -> None:
    version = host.check_output("snap version | awk '$1 == \"snapd\" { print $2 }'")
    can = tuple(map(int, re.findall(r"\d+", version)[:2])) >= (2, 58)

    assert _held(host) is can
    assert ("cannot hold the refreshes of one snap" in " ".join(renewed.split())) is not can


@pytest.mark.usefixtures("renewed")
def test_a_second_run_changes_nothing(home: Home) -> None:
    run = home.play("playbooks/microk8s.yml", *REFRESHED)

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout


def test_many_pods_can_watch_files(host: Host) -> None:
    """The file says so: the kernel keeps what an earlier machine set on the same computer."""
    settings = dict(
        line.split(" = ")
        for line in host.file("/etc/sysctl.d/60-homeserver.conf").content_string.splitlines()
    )

    assert int(settings["fs.inotify.max_user_instances"]) >= 512
    assert int(settings["fs.inotify.max_user_watches"]) >= 262144
    # MicroK8s applies all files when it starts, its own with lower values among them.
    assert {name: host.check_output(f"sysctl --values {name}") for name in settings} == settings


def test_volumes_are_closed_to_other_users_of_the_host(host: Host) -> None:
    volumes = host.file("/var/snap/microk8s/common/default-storage")

    assert (volumes.user, volumes.mode) == ("root", 0o700)
    assert host.run(f"runuser -u nobody -- ls {volumes.path}").rc != 0
