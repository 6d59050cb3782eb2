"""What the role microk8s asks MicroK8s for, rendered without a host."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.template import trust_as_template

from harness.rendering import ROOT, Role

INFO: dict[str, Any] = {
    "address": "192.0.2.1",
    "addresses": ["192.0.2.1"],
    "snaps": {},
    "stopped": False,
    "member": {"node": "attic"},
    "sysctl_later": {},
}


def launch(state: Path, **variables: Any) -> Any:
    known = {"ansible_host": "192.0.2.1", "inventory_hostname": "home", "_microk8s_info": INFO, **variables}
    return yaml.safe_load(Role("microk8s", state, **known).value("_microk8s_launch_text"))


def test_addresses_that_come_and_go_do_not_matter(tmp_path: Path) -> None:
    wanted = launch(tmp_path)
    assert wanted["extraKubeAPIServerArgs"]["--bind-address"] == "0.0.0.0"
    assert wanted["extraKubeAPIServerArgs"]["--advertise-address"] == "192.0.2.1"
    assert wanted["extraKubeletArgs"]["--node-ip"] == "192.0.2.1"
    assert wanted["extraSANs"] == ["192.0.2.1"]


def test_a_worker_has_no_addons_and_closes_what_it_is_before_it_joins(tmp_path: Path) -> None:
    founder = launch(tmp_path)
    wanted = launch(tmp_path, inventory_hostname="attic", microk8s_extra_kubelet_args={"--max-pods": 50})
    assert wanted.keys() == founder.keys() - {
        *("addons", "extraConfigFiles", "extraSANs"),
        *("extraKubeControllerManagerArgs", "extraKubeSchedulerArgs"),
    }
    assert wanted["extraKubeAPIServerArgs"] == {
        "--authorization-mode": "RBAC,Node",
        "--bind-address": "127.0.0.1",
    }
    assert wanted["extraKubeletArgs"] == founder["extraKubeletArgs"] | {"--max-pods": "50"}


def test_a_host_that_does_not_tell_its_addresses_lets_the_kubelet_choose(tmp_path: Path) -> None:
    wanted = launch(tmp_path, _microk8s_info=INFO | {"address": "", "addresses": []})
    assert "--advertise-address" not in wanted["extraKubeAPIServerArgs"]
    assert "--node-ip" not in wanted["extraKubeletArgs"]


def test_controllers_are_alone_and_listen_on_loopback(tmp_path: Path) -> None:
    wanted = launch(tmp_path, microk8s_extra_scheduler_args={"--v": 2})
    alone = {"--bind-address": "127.0.0.1", "--leader-elect": "false"}
    assert wanted["extraKubeSchedulerArgs"] == alone | {"--v": "2"}
    assert wanted["extraKubeControllerManagerArgs"] == alone


def test_the_owners_arguments_reach_their_programs(tmp_path: Path) -> None:
    wanted = launch(
        tmp_path,
        microk8s_extra_apiserver_args={"--v": 1},
        microk8s_extra_controller_manager_args={"--v": 2},
        microk8s_extra_kube_proxy_args={"--v": 3},
        microk8s_extra_sans=["nas.example.org"],
        microk8s_image_gc_high_percent=60,
        microk8s_image_gc_low_percent=50,
        microk8s_metrics_server_enabled=False,
    )
    programs = ("extraKubeAPIServerArgs", "extraKubeControllerManagerArgs", "extraKubeProxyArgs")
    assert [wanted[program]["--v"] for program in programs] == ["1", "2", "3"]
    collected = [wanted["extraKubeletArgs"][f"--image-gc-{limit}-threshold"] for limit in ("high", "low")]
    assert collected == ["60", "50"]
    assert wanted["extraSANs"] == ["192.0.2.1", "nas.example.org"]
    addons = [addon["name"] for addon in wanted["addons"]]
    assert addons == ["dns", "hostpath-storage", "rbac"]
    assert [addon["name"] for addon in launch(tmp_path)["addons"]] == [*addons, "metrics-server"]


def test_the_kubeconfig_names_the_address_of_the_home(tmp_path: Path) -> None:
    role = Role("microk8s", tmp_path, homeserver_address="home.example.org")
    assert role.value("_microk8s_server") == "https://home.example.org:16443"


def test_a_kubelet_may_not_do_what_it_likes(tmp_path: Path) -> None:
    wanted = launch(tmp_path)
    plugins = wanted["extraKubeAPIServerArgs"]["--enable-admission-plugins"].split(",")
    assert set(plugins) == {"EventRateLimit", "NodeRestriction"}
    assert wanted["extraKubeletArgs"]["--authorization-mode"] == "Webhook"


@pytest.mark.parametrize(("space", "file"), [(100, "25"), (3, "1")])
def test_the_audit_log_has_a_bound_and_no_contents(tmp_path: Path, space: int, file: str) -> None:
    wanted = launch(tmp_path, microk8s_audit_log_mib=space)
    arguments = wanted["extraKubeAPIServerArgs"]
    assert (arguments["--audit-log-maxsize"], arguments["--audit-log-maxbackup"]) == (file, "3")
    assert arguments["--audit-log-maxage"] == "30"
    name = arguments["--audit-policy-file"].removeprefix("${SNAP_DATA}/args/")
    policy = yaml.safe_load(wanted["extraConfigFiles"][name])
    assert {rule["level"] for rule in policy["rules"]} == {"None", "Metadata"}


def test_a_pod_has_a_bound_of_processes(tmp_path: Path) -> None:
    assert launch(tmp_path)["extraKubeletArgs"]["--pod-max-pids"] == "4096"


@pytest.mark.parametrize("program", ["extraKubeAPIServerArgs", "extraKubeletArgs"])
def test_only_ciphers_that_authenticate_are_spoken(tmp_path: Path, program: str) -> None:
    suites = launch(tmp_path)[program]["--tls-cipher-suites"].split(",")
    # HTTP/2 asks for this one.
    assert "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" in suites
    assert [suite for suite in suites if "GCM" not in suite and "POLY1305" not in suite] == []


@pytest.mark.parametrize(
    ("own", "later", "protected"),
    [
        ({}, {}, True),
        ({}, {"kernel.panic": "10", "vm.swappiness": "1"}, True),
        ({}, {"vm.overcommit_memory": "2"}, False),
        ({"kernel.panic": 10}, {}, True),
        ({"kernel.panic": 60}, {}, False),
    ],
    ids=["alone", "same", "another file", "own same", "own"],
)
def test_the_kubelet_relies_on_kernel_settings_that_last(
    tmp_path: Path, own: dict[str, int], later: dict[str, str], protected: bool
) -> None:
    """With the flag it does not start where they differ."""
    known: dict[str, Any] = {"microk8s_sysctl": own, "_microk8s_info": INFO | {"sysctl_later": later}}
    assert launch(tmp_path, **known)["extraKubeletArgs"].get("--protect-kernel-defaults") == (
        "true" if protected else None
    )
    written = Role("microk8s", tmp_path, **known).value("_microk8s_sysctl_text").splitlines()
    assert f"kernel.panic = {own.get('kernel.panic', 10)}" in written
    assert "vm.overcommit_memory = 1" in written


@pytest.mark.parametrize(
    ("known_to_calico", "own", "astray"),
    [
        ("192.0.2.1", ["192.0.2.1"], False),
        ("192.0.2.9", ["192.0.2.1"], True),
        ("198.51.100.1", ["192.0.2.1", "198.51.100.1"], False),
        ("", ["192.0.2.1"], False),
        ("192.0.2.9", [], False),
    ],
)
def test_calico_is_restarted_where_its_address_is_gone(
    tmp_path: Path, known_to_calico: str, own: list[str], astray: bool
) -> None:
    for name in ("home", "attic"):
        role = Role(
            "microk8s",
            tmp_path,
            inventory_hostname=name,
            _microk8s_info=INFO | {"addresses": own, "member": OWN["member"]},
            _microk8s_ready={"calico_address": known_to_calico if name == "home" else ""},
            _microk8s_cluster=CLUSTER | {"nodes": [CLUSTER["nodes"][0] | {"calico": known_to_calico}]},
        )
        assert role.value("_microk8s_calico_is_astray") is astray


@pytest.mark.parametrize(
    ("host", "datastore", "astray"),
    [
        ("home", "", False),
        ("home", "127.0.0.1", False),
        ("home", "192.0.2.1", False),
        ("home", "192.0.2.9", True),
        ("attic", "192.0.2.9", False),
    ],
)
def test_the_datastore_follows_where_its_address_is_gone(
    tmp_path: Path, host: str, datastore: str, astray: bool
) -> None:
    info = INFO | {"datastore": datastore}
    role = Role("microk8s", tmp_path, inventory_hostname=host, _microk8s_info=info)
    assert role.value("_microk8s_datastore_is_astray") is astray


@pytest.mark.parametrize(
    ("snaps", "stopped", "runs"),
    [({}, False, False), ({"microk8s": {}}, True, False), ({"microk8s": {}}, False, True)],
)
def test_a_stopped_one_is_not_waited_for(
    tmp_path: Path, snaps: dict[str, Any], stopped: bool, runs: bool
) -> None:
    role = Role("microk8s", tmp_path, _microk8s_info=INFO | {"snaps": snaps, "stopped": stopped})
    assert role.value("_microk8s_runs") is runs


@pytest.mark.parametrize(
    ("check", "installed", "joins", "there"),
    [
        (False, False, True, True),
        (True, True, False, True),
        (True, True, True, False),
        (True, False, False, False),
    ],
)
def test_a_dry_run_does_not_wait_for_what_would_join(
    tmp_path: Path, check: bool, installed: bool, joins: bool, there: bool
) -> None:
    role = Role(
        "microk8s",
        tmp_path,
        ansible_check_mode=check,
        _microk8s_info=INFO | {"snaps": {"microk8s": {}} if installed else {}},
        _microk8s_joined={"changed": joins},
    )
    assert role.value("_microk8s_is_there") is there


def test_the_network_is_tried_with_an_image_that_the_node_has(tmp_path: Path) -> None:
    built = [{"reference": f"localhost/{name}:1", "file": "x"} for name in ("blog", "homeserver-logstore")]
    role = Role("microk8s", tmp_path, _microk8s_built_images=built)
    assert role.value("_microk8s_probe_image") == "localhost/homeserver-logstore:1"
    role = Role("microk8s", tmp_path, _microk8s_built_images=built[:1])
    assert role.value("_microk8s_probe_image").startswith("docker.io/library/python:")


def test_pods_of_kubernetes_on_the_founder_are_tried_from_a_new_node(tmp_path: Path) -> None:
    pod = {"name": "dns", "namespace": "kube-system", "node": "home", "address": "10.1.0.2", "runs": True}
    others: list[dict[str, Any]] = [{"namespace": "apps"}, {"node": "attic"}, {"runs": False}]
    pods = [pod, *(pod | {"name": "other"} | other for other in others)]
    cluster = {"member": {"node": "home"}, "pods": pods}
    known = {"_microk8s_info": INFO, "_microk8s_cluster": cluster, "_microk8s_built_images": []}
    (job,) = Role("microk8s", tmp_path, **known).objects(["probe.yaml.j2"])
    spec = job["spec"]["template"]["spec"]
    script, *targets = spec["containers"][0]["args"]
    assert spec["nodeName"] == "attic"
    assert targets == ["dns=10.1.0.2"]
    compile(script, "probe.py", "exec")


CLUSTER: dict[str, Any] = {
    "member": {"node": "home", "address": "192.0.2.1", "authority": "ours"},
    "nodes": [
        {"name": "attic", "address": "192.0.2.2", "version": "v1.34.9", "ready": True, "host": "attic"},
        {"name": "home", "address": "192.0.2.1", "version": "v1.35.4", "ready": True, "host": ""},
    ],
    "volumes": [{"name": "pvc-1", "claim": "apps/blog", "node": "attic"}],
}
OWN: dict[str, Any] = {
    "member": {
        "node": "attic",
        "addresses": ["192.0.2.2"],
        "worker": True,
        "joining": False,
        "authority": "ours",
        "servers": ["192.0.2.1"],
    },
    "workloads": [],
}


def _of_tasks(file: str, task: str, state: Path, **variables: Any) -> Role:
    """Return the role with the variables of one of its tasks."""
    tasks = yaml.safe_load((ROOT / f"roles/microk8s/tasks/{file}.yml").read_text())
    (found,) = [entry for entry in tasks if entry["name"] == task]
    own = {name: trust_as_template(text) for name, text in found["vars"].items()}
    known = {"_microk8s_cluster": CLUSTER, "_microk8s_own": OWN, "_microk8s_info": INFO}
    return Role("microk8s", state, inventory_hostname="attic", **known, **own, **variables)


@pytest.mark.parametrize(
    ("channel", "refused"), [("1.35/stable", ""), ("1.36/stable", "it would join with MicroK8s 1.36/stable")]
)
def test_a_worker_has_the_minor_version_of_its_founder(tmp_path: Path, channel: str, refused: str) -> None:
    versions = {"homeserver_version_overrides": {"microk8s_channel": channel}}
    role = _of_tasks("check", "Check that the host may join", tmp_path, **versions)
    assert [text[: len(refused)] for text in role.value("_microk8s_refusals")] == (
        [refused] if refused else []
    )


def test_a_member_joins_once(tmp_path: Path) -> None:
    claims = OWN | {"member": OWN["member"] | {"joining": True, "node": "new"}}
    known = {"_microk8s_own": claims, "_microk8s_info": INFO | claims, "inventory_hostname": "attic"}
    role = Role("microk8s", tmp_path, _microk8s_cluster=CLUSTER, **known)
    assert role.value("_microk8s_why_join") == ""
    assert role.value("_microk8s_node_name") == "attic"
    forgotten = CLUSTER | {"nodes": CLUSTER["nodes"][1:]}
    role = Role("microk8s", tmp_path, _microk8s_cluster=forgotten, **known)
    assert role.value("_microk8s_why_join") == "an earlier attempt to join was interrupted"
    assert role.value("_microk8s_node_name") == "new"


@pytest.mark.parametrize(("abandoned", "lost"), [([], ["apps/blog"]), (["apps/blog"], [])])
def test_data_are_lost_only_by_name(tmp_path: Path, abandoned: list[str], lost: list[str]) -> None:
    leaving = {"_microk8s_leaving": "attic", "microk8s_abandon_volumes": abandoned}
    role = _of_tasks("leave", "Check that no data are lost", tmp_path, **leaving)
    assert ("the data of apps/blog" in role.value("_microk8s_refusal")) is bool(lost)
    assert [volume["name"] for volume in role.value("_microk8s_given_up")] == ([] if lost else ["pvc-1"])
