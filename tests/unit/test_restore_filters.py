"""Where saved volumes and objects come in a cluster that has some of them, or none."""

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.filter import restore
from ansible_collections.homeserver.stack.plugins.module_utils.backup.keys import machine_password

from harness.rendering import Role

Object = dict[str, Any]

DIRECTORY = "/var/snap/microk8s/common/default-storage"


def saved(claim: str, node: str = "old", volume: str = "") -> Object:
    namespace, _, name = claim.partition("/")
    volume = volume or f"pvc-{name}"
    return {
        "namespace": namespace,
        "claim": name,
        "volume": volume,
        "node": node,
        "path": f"{DIRECTORY}/{namespace}-{name}-{volume}",
        "capacity": "5Gi",
        "access_modes": ["ReadWriteOnce"],
        "storage_class": "microk8s-hostpath",
        "labels": {},
    }


def machine(name: str, *directories: str, copies: tuple[str, ...] = (), node: str = "") -> Object:
    return {
        "name": name,
        "node": node or f"{name}-node",
        "directories": list(directories),
        "copies": list(copies),
        "id": f"id-{name}",
        "time": "2026-11-20T03:15:00Z",
    }


def workload(kind: str, name: str, *claims: str, **spec: Any) -> Object:
    volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    template = {"spec": {"volumes": volumes}}
    inner = {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template}
    return {
        "apiVersion": "batch/v1" if kind == "CronJob" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "apps"},
        "spec": {**inner, **spec},
    }


WIKI = saved("apps/wiki-data")
OF_WIKI = "apps-wiki-data-pvc-wiki-data"


def test_a_volume_gets_its_old_directory_on_the_machine_that_saved_it() -> None:
    (placed,) = restore.restored_volumes([WIKI], [machine("home"), machine("attic", OF_WIKI)], [])

    assert placed["claim"] == "apps/wiki-data"
    assert placed["source"] == placed["path"] == f"{DIRECTORY}/{OF_WIKI}"
    assert (placed["machine"], placed["node"], placed["id"]) == ("attic", "attic-node", "id-attic")
    assert placed["is_new"]


def test_a_machine_fills_what_is_put_on_it() -> None:
    volumes = [WIKI, saved("apps/blog-data")]
    machines = [machine("home", "apps-blog-data-pvc-blog-data"), machine("attic", OF_WIKI)]

    (filled,) = restore.filled_on(restore.restored_volumes(volumes, machines, []), "attic", "/mnt/nas", "m")

    assert filled == {
        "name": "pvc-wiki-data",
        "claim": "apps/wiki-data",
        "source": f"{DIRECTORY}/{OF_WIKI}",
        "path": f"{DIRECTORY}/{OF_WIKI}",
        "id": "id-attic",
        "time": "2026-11-20T03:15:00Z",
    }


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        (False, ("/mnt/nas/home", machine_password("master", "home"))),
        (True, ("/mnt/nas", "master")),
    ],
)
def test_what_another_machine_saved_is_read_from_its_repository(
    shared: bool,
    expected: tuple[str, str],
) -> None:
    present = {"claim": "apps/wiki-data", "name": "pvc-new", "node": "attic-node", "path": f"{DIRECTORY}/new"}
    machines = [machine("home", OF_WIKI) | {"shared": shared}, machine("attic")]

    placed = restore.restored_volumes([WIKI], machines, [present])
    (filled,) = restore.filled_on(placed, "attic", "/mnt/nas", "master")

    assert placed[0]["saved_by"] == "home"
    assert (filled["location"], filled["password"]) == expected


def test_a_volume_that_the_cluster_has_keeps_its_place() -> None:
    present = {"name": "pvc-new", "claim": "apps/wiki-data", "node": "attic-node", "path": f"{DIRECTORY}/new"}
    machines = [machine("home", OF_WIKI), machine("attic")]

    (placed,) = restore.restored_volumes([WIKI], machines, [present])

    assert (placed["machine"], placed["id"], placed["path"]) == ("attic", "id-home", f"{DIRECTORY}/new")
    assert placed["source"] == f"{DIRECTORY}/{OF_WIKI}"
    assert restore.persistent_volumes([placed]) == []


def test_a_volume_of_which_only_copies_were_saved_is_placed() -> None:
    placed = restore.restored_volumes([WIKI], [machine("home", copies=("pvc-wiki-data",))], [])

    assert [each["machine"] for each in placed] == ["home"]


def test_what_was_left_out_is_not_lost_but_a_whole_machine_is() -> None:
    volumes = [WIKI, saved("logging/data-elasticsearch-0"), saved("apps/blog-data", node="attic")]
    placed = restore.restored_volumes(volumes, [machine("home", OF_WIKI)], [])

    assert restore.unrestored(volumes, placed) == [{"node": "attic", "claims": ["apps/blog-data"]}]


def test_the_cluster_is_given_volumes_that_wait_for_their_claims() -> None:
    placed = restore.restored_volumes([WIKI], [machine("home", OF_WIKI)], [])

    (volume,) = restore.persistent_volumes(placed)

    assert volume["metadata"]["name"] == "pvc-wiki-data"
    assert volume["spec"]["claimRef"] == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": "apps",
        "name": "wiki-data",
    }
    assert volume["spec"]["capacity"] == {"storage": "5Gi"}
    assert volume["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert volume["spec"]["storageClassName"] == "microk8s-hostpath"
    assert volume["spec"]["hostPath"]["path"] == f"{DIRECTORY}/{OF_WIKI}"
    (term,) = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["home-node"]


def test_an_apps_claims_are_those_of_its_workloads_only() -> None:
    labelled = workload("Deployment", "wiki", "wiki-data")
    job = workload("CronJob", "wiki-backup", "wiki-backup")
    job["metadata"]["labels"] = {"app.kubernetes.io/name": "wiki"}
    other = workload("Deployment", "wiki-2", "wiki-2-data")
    all_of_them = [labelled, job, other]

    assert restore.claims_of(all_of_them, "wiki") == ["apps/wiki-backup", "apps/wiki-data"]
    assert restore.claims_of(all_of_them, "apps/wiki-2") == ["apps/wiki-2-data"]
    assert restore.claims_of(all_of_them, "other/wiki") == []
    assert restore.apps_with_volumes(all_of_them) == ["apps/wiki", "apps/wiki-2"]


def in_stack(workload: Object) -> Object:
    spec = workload["spec"]
    template = spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
    template["metadata"] = {"labels": {"homeserver.stack/stack": "wiki"}}
    return workload


def test_an_apps_claims_are_also_those_of_its_stack() -> None:
    web = in_stack(workload("Deployment", "wiki"))
    db = in_stack(workload("Deployment", "wiki-db", "wiki-db-data"))
    job = in_stack(workload("CronJob", "wiki-files-clean", "wiki-files-data"))
    elsewhere = in_stack(workload("Deployment", "wiki-db", "other-data"))
    elsewhere["metadata"]["namespace"] = "mine"
    all_of_them = [web, db, job, elsewhere, workload("Deployment", "blog", "blog-data")]
    expected = ["apps/wiki-db-data", "apps/wiki-files-data"]

    assert restore.claims_of(all_of_them, "apps/wiki") == expected
    assert restore.claims_of(all_of_them, "apps/wiki-db") == expected
    assert restore.claims_of(all_of_them, "wiki") == expected


@pytest.mark.parametrize(
    ("kind", "spec", "still"),
    [
        ("Deployment", {"replicas": 2}, {"replicas": 0}),
        ("StatefulSet", {"replicas": 1}, {"replicas": 0}),
        ("CronJob", {"suspend": False}, {"suspend": True}),
    ],
)
def test_a_workload_stands_still_and_runs_again_as_before(kind: str, spec: Object, still: Object) -> None:
    using = workload(kind, "wiki", "wiki-data", **spec)
    others = [workload("Deployment", "blog", "blog-data", replicas=1)]

    (stop,) = restore.stopping([using, *others], ["apps/wiki-data"])
    stopped = {**using, "metadata": stop["metadata"], "spec": {**using["spec"], **stop["spec"]}}
    (start,) = restore.starting([stopped, *others])

    assert (stop["kind"], stop["metadata"]["name"], stop["spec"]) == (kind, "wiki", still)
    assert start["spec"] == spec
    assert start["metadata"]["annotations"] == {restore.REPLICAS: None}
    assert restore.stopping([stopped], ["apps/wiki-data"]) == []
    running = {**stopped, "spec": using["spec"]}
    assert restore.stopping([running], ["apps/wiki-data"]) == [stop], "another run has started it meanwhile"


def test_templates_give_filters_no_plain_dictionaries(tmp_path: Path) -> None:
    stopped, running = (workload("Deployment", name, "shared", replicas=1) for name in ("wiki", "blog"))
    stopped["spec"]["replicas"] = 0
    stopped["metadata"]["annotations"] = {restore.REPLICAS: json.dumps({"replicas": 2})}
    role = Role("restore", tmp_path, given=[stopped, running])

    found = role.evaluated("{{ given | homeserver.stack.stopping(['apps/shared']) }}")
    assert [each["metadata"]["name"] for each in found] == ["blog"]


def test_all_apps_of_a_stack_stop_also_those_without_volumes() -> None:
    web, db = (
        in_stack(workload("Deployment", name, *claims, replicas=2))
        for name, claims in (("wiki", ()), ("wiki-db", ("rows",)))
    )
    other, elsewhere = workload("Deployment", "blog", replicas=1), in_stack(workload("Deployment", "wiki"))
    elsewhere["metadata"]["namespace"] = "mine"

    stops = restore.stopping([web, db, other, elsewhere], ["apps/rows"])

    assert [stop["metadata"]["name"] for stop in stops] == ["wiki", "wiki-db"]
    assert [stop["metadata"]["namespace"] for stop in stops] == ["apps", "apps"]
    assert [stop["spec"] for stop in stops] == [{"replicas": 0}] * 2


def test_the_claims_of_a_statefulset_are_known_while_it_stands_still() -> None:
    templates = [{"metadata": {"name": "data"}}]
    using = workload("StatefulSet", "logs", replicas=0, volumeClaimTemplates=templates)
    using["metadata"]["annotations"] = {restore.REPLICAS: json.dumps({"replicas": 2})}

    assert restore.claims_of([using], "logs") == ["apps/data-logs-0", "apps/data-logs-1"]


def test_pods_that_have_ended_use_no_volume() -> None:
    pods = [
        {
            "metadata": {"namespace": "apps", "name": phase},
            "spec": {"volumes": [{"persistentVolumeClaim": {"claimName": "wiki-data"}}]},
            "status": {"phase": phase},
        }
        for phase in ("Running", "Succeeded", "Pending")
    ]

    assert restore.users_of(pods, ["apps/wiki-data"]) == ["apps/Running", "apps/Pending"]
    assert restore.users_of(pods, ["apps/blog-data"]) == []


def test_objects_lose_what_only_their_old_cluster_knew() -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data",
            "namespace": "wiki",
            "uid": "1",
            "annotations": {"pv.kubernetes.io/bind-completed": "yes", "mine": "kept"},
            "finalizers": ["kubernetes.io/pvc-protection"],
        },
        "spec": {"volumeName": "pvc-1", "storageClassName": "microk8s-hostpath"},
        "status": {"phase": "Bound"},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "wiki", "namespace": "wiki"},
        "spec": {"clusterIP": "10.152.183.7", "clusterIPs": ["10.152.183.7"], "ports": [{"port": 80}]},
    }
    headless = {**service, "metadata": {"name": "peers", "namespace": "wiki"}, "spec": {"clusterIP": "None"}}
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "token", "namespace": "wiki"},
    }

    found = restore.restored_objects([service, headless, token, claim])

    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [
        ("Namespace", "wiki"),
        ("PersistentVolumeClaim", "data"),
        ("Service", "wiki"),
        ("Service", "peers"),
    ]
    assert found[1] == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "wiki", "annotations": {"mine": "kept"}},
        "spec": {"storageClassName": "microk8s-hostpath"},
    }
    assert found[2]["spec"] == {"ports": [{"port": 80}]}
    assert found[3]["spec"] == {"clusterIP": "None"}
