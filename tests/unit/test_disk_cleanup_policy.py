"""Whoever has the receiver's token can start a cleanup, and no other Job: a real API server decides."""

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from homeserver_disk_cleanup.kubernetes import Jobs
from homeserver_disk_cleanup.receiver import Cleaner

from harness.api_server import ApiServer, api_server
from harness.manifests import Object
from harness.rendering import Role
from harness.waiting import wait_until

BATCH = "/apis/batch/v1/namespaces/disk-cleanup"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "CronJob": f"{BATCH}/cronjobs",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
}
RECEIVER = "receiver"  # its token
ALERT = {"alertname": "DiskNearlyFull", "node": "home"}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server with the role's CronJob and policy, once the policy is in force."""
    directory = tmp_path_factory.mktemp("kubernetes")
    role = Role("disk_cleanup", directory, homeserver_built_images={"homeserver-disk-cleanup": "cleanup:1"})
    with api_server(directory, {RECEIVER: "system:serviceaccount:disk-cleanup:receiver"}) as server:
        for obj in role.namespaces() + role.objects(["cleanup.yaml.j2"]):
            done = server.apply(f"{PATHS[obj['kind']]}/{obj['metadata']['name']}", obj)
            assert done.ok, done.text
        wait_until(lambda: _start(server, lambda pod: pod.update(hostPID=True), token=RECEIVER) != "")
        yield server


def _start(
    api: ApiServer,
    change: Callable[[Object], object],
    of_template: Callable[[Object], object] = dict,
    token: str = RECEIVER,
) -> str:
    """Try to start a cleanup with a change of its pod or its pod template, and return why it is refused."""
    spec = copy.deepcopy(api.get(f"{BATCH}/cronjobs/disk-cleanup")["spec"]["jobTemplate"]["spec"])
    change(spec["template"]["spec"])
    of_template(spec["template"]["metadata"])
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"generateName": "test-"}, "spec": spec}
    answer = api.create(f"{BATCH}/jobs", job, token)
    return "" if answer.ok else str(answer.json()["message"])


def test_the_receiver_starts_a_cleanup(api: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(RECEIVER)
    (tmp_path / "ca.crt").write_bytes(api.authority.read_bytes())

    started = Cleaner(Jobs(api.url, "disk-cleanup", tmp_path), timedelta(hours=1)).clean("home", ALERT)

    assert started.startswith("started disk-cleanup-")


def _container(**fields: object) -> Callable[[Object], None]:
    return lambda pod: pod["containers"][0].update(fields)


def _security(**fields: object) -> Callable[[Object], None]:
    return lambda pod: pod["containers"][0]["securityContext"].update(fields)


HOST = {"name": "host", "hostPath": {"path": "/"}}
OTHER = {"name": "other", "image": "cleanup:1", "command": ["sh"]}
CHANGES: dict[str, Callable[[Object], object]] = {
    "image": _container(image="other:1"),
    "command": _container(command=["sh"]),
    "arguments": _container(args=["x"]),
    "program that is run": lambda pod: pod["containers"][0]["env"][0].update(value="/node/sideload/mine"),
    "another variable": lambda pod: pod["containers"][0]["env"].append({"name": "PYTHONPATH", "value": "/x"}),
    "when it starts": _container(lifecycle={"postStart": {"exec": {"command": ["sh"]}}}),
    "probe": _container(livenessProbe={"exec": {"command": ["sh"]}}),
    "privileged": _security(privileged=True, allowPrivilegeEscalation=True),
    "capability": _security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]}),
    "writable root": _security(readOnlyRootFilesystem=False),
    "unconfined": _security(seccompProfile={"type": "Unconfined"}),
    "writable programs": lambda pod: pod["containers"][0]["volumeMounts"][0].update(readOnly=False),
    "mounted elsewhere": lambda pod: pod["containers"][0]["volumeMounts"][2].update(mountPath="/usr/lib"),
    "another container": lambda pod: pod["containers"].append(OTHER),
    "first container": lambda pod: pod.update(initContainers=[OTHER]),
    "more of the host": lambda pod: pod["volumes"].append(HOST),
    "other part of the host": lambda pod: pod["volumes"][0]["hostPath"].update(path="/etc"),
    "another Secret": lambda pod: pod["volumes"].append({"name": "s", "secret": {"secretName": "receiver"}}),
    "network of the host": lambda pod: pod.update(hostNetwork=True),
    "processes of the host": lambda pod: pod.update(hostPID=True),
    "token": lambda pod: pod.update(automountServiceAccountToken=True),
    "account": lambda pod: pod.update(serviceAccountName="receiver"),
    "fixed node": lambda pod: pod.update(nodeName="home"),
    "other nodes": lambda pod: pod.update(nodeSelector={"role": "x"}),
    "less": lambda pod: pod.pop("tolerations"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_else_is_started(api: ApiServer, name: str) -> None:
    refusal = _start(api, CHANGES[name])

    assert "the pod must be identical to the pod of the CronJob disk-cleanup, except for its node" in refusal


@pytest.mark.parametrize(
    "change",
    [{"labels": {"app.kubernetes.io/name": "receiver"}}, {"annotations": {"a": "b"}}],
    ids=["label", "annotation"],
)
def test_nor_is_it_called_otherwise(api: ApiServer, change: Object) -> None:
    refusal = _start(api, dict, of_template=lambda metadata: metadata.update(change))

    assert "the pod must have the label app.kubernetes.io/name=disk-cleanup and no annotations" in refusal


def test_the_owner_may_start_what_he_likes(api: ApiServer) -> None:
    assert _start(api, CHANGES["command"], token="admin") == ""
