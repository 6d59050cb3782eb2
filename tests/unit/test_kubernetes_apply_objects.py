"""How manifests are prepared before they are applied, and how their changes are shown."""

import base64
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import (
    ManifestError,
    difference,
    identity,
    is_ours,
    prepare,
    read,
    template_hash,
)


def an_object(kind: str, name: str = "web", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "demo"}, **more}


def a_deployment(name: str = "web", **pod: Any) -> dict[str, Any]:
    return an_object("Deployment", name, spec={"template": {"spec": {"containers": [{"name": "c"}], **pod}}})


def hash_after(*objects: dict[str, Any]) -> str:
    """Return the hash in the Deployment's pod template."""
    return template_hash(next(obj for obj in prepare("demo", objects) if obj["kind"] == "Deployment"))


def test_reads_every_document_and_skips_empty_ones() -> None:
    objects = (f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: x}}\n" for kind in "AB")
    text = "---\n".join(["", "# nothing\n", *objects])
    assert [obj["kind"] for obj in read(text, "t")] == ["A", "B"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 2\nd: 3\n", r"web.yaml.j2: not YAML at rendered line 3: .*: d: 3"),
        ("a: b: c\n", r"web.yaml.j2: not YAML at rendered line 1: .*: a: b: c"),
        ("kind: A\nspec: {x: 1}\nkind: B\n", r"rendered line 3: duplicate key kind: kind: B"),
        ("---\n- 1\n", r"web.yaml.j2: document 1 is list, not a Kubernetes object"),
        ("kind: Pod\nmetadata: {}\n", r"web.yaml.j2: document 1 \(Pod\) has no apiVersion, metadata.name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: x\n", r"document 1 \(Pod\) has no metadata.name"),
    ],
)
def test_says_where_a_manifest_is_invalid(text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        read(text, "web.yaml.j2")


def test_does_not_quote_a_broken_secret() -> None:
    with pytest.raises(ManifestError, match="rendered line 5") as caught:
        read("kind: A\n---\nkind: Secret\ndata:\n  key: hush: hush\n", "t")
    assert "hush" not in str(caught.value)


def test_labels_every_object_and_keeps_its_own_labels() -> None:
    obj = an_object("Service")
    obj["metadata"]["labels"] = {"app": "web", "app.kubernetes.io/managed-by": "someone"}
    [labelled] = prepare("demo", [obj])
    assert labelled["metadata"]["labels"] == {
        "app": "web",
        "app.kubernetes.io/managed-by": "homeserver",
        "app.kubernetes.io/part-of": "demo",
    }


def test_orders_objects_by_their_dependencies() -> None:
    kinds = ["IngressRoute", "Deployment", "Secret", "CustomResourceDefinition", "Namespace"]
    ordered = prepare("demo", [an_object(kind) for kind in kinds])
    assert [obj["kind"] for obj in ordered] == kinds[::-1]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job", "CronJob"])
def test_a_pod_without_data_on_its_node_leaves_it_soon(kind: str) -> None:
    own = {"key": "own", "operator": "Exists"}
    template = {"spec": {"containers": [], "tolerations": [own], "volumes": [{"name": "a", "emptyDir": {}}]}}
    spec = {"template": template}
    obj = an_object(kind, spec={"jobTemplate": {"spec": spec}} if kind == "CronJob" else spec)
    [prepared] = prepare("demo", [obj])
    found = prepared["spec"].get("jobTemplate", prepared)["spec"]["template"]["spec"]["tolerations"]

    assert found[0] == own
    assert {each["key"]: each["tolerationSeconds"] for each in found[1:]} == {
        "node.kubernetes.io/not-ready": 20,
        "node.kubernetes.io/unreachable": 20,
    }
    assert {(each["effect"], each["operator"]) for each in found[1:]} == {("NoExecute", "Exists")}


@pytest.mark.parametrize(
    ("kind", "spec", "volume"),
    [
        ("Deployment", {}, {"persistentVolumeClaim": {"claimName": "data"}}),
        ("CronJob", {}, {"hostPath": {"path": "/"}}),
        ("StatefulSet", {"volumeClaimTemplates": [{}]}, {"emptyDir": {}}),
        ("DaemonSet", {}, {"emptyDir": {}}),
    ],
)
def test_what_can_run_nowhere_else_waits_for_its_node(
    kind: str, spec: dict[str, Any], volume: dict[str, Any]
) -> None:
    template = {"spec": {"containers": [], "volumes": [{"name": "a", **volume}]}}
    whole = {"template": template, **spec}
    obj = an_object(kind, spec={"jobTemplate": {"spec": whole}} if kind == "CronJob" else whole)

    assert "tolerations" not in str(prepare("demo", [obj]))


def test_refuses_the_same_object_in_two_versions() -> None:
    old, new = an_object("Thing"), an_object("Thing")
    old["apiVersion"], new["apiVersion"] = "g/v1", "g/v2"
    with pytest.raises(ManifestError, match=r"rendered more than once: Thing demo/web$"):
        prepare("demo", [old, new])


def test_encodes_the_text_of_secrets() -> None:
    [secret] = prepare("demo", [an_object("Secret", data={"a": "YQ=="}, stringData={"b": "ü"})])
    assert "stringData" not in secret
    assert secret["data"] == {"a": "YQ==", "b": base64.b64encode("ü".encode()).decode()}


def test_refuses_a_secret_that_is_not_text() -> None:
    with pytest.raises(ManifestError, match=r"stringData\.pin is int, not text: quote it"):
        prepare("demo", [an_object("Secret", stringData={"pin": 1234})])


@pytest.mark.parametrize(
    "pod",
    [
        {"volumes": [{"name": "v", "configMap": {"name": "conf"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {"name": "conf"}}]}}]},
        {"containers": [{"name": "c", "envFrom": [{"configMapRef": {"name": "conf"}}]}]},
        {"initContainers": [{"name": "i", "env": [{"valueFrom": {"configMapKeyRef": {"name": "conf"}}}]}]},
    ],
)
def test_pods_roll_when_a_config_map_they_use_changes(pod: dict[str, Any]) -> None:
    workload = a_deployment(**pod)
    before, after = (hash_after(workload, an_object("ConfigMap", "conf", data={"k": v})) for v in "12")
    assert before != after


@pytest.mark.parametrize(
    "pod",
    [
        {"volumes": [{"name": "v", "secret": {"secretName": "conf"}}]},
        {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "conf"}}]}}]},
        {"containers": [{"name": "c", "env": [{"valueFrom": {"secretKeyRef": {"name": "conf"}}}]}]},
    ],
)
def test_pods_roll_when_a_secret_they_use_changes(pod: dict[str, Any]) -> None:
    workload = a_deployment(**pod)
    before, after = (hash_after(workload, an_object("Secret", "conf", stringData={"k": v})) for v in "12")
    assert before != after


def test_pods_stay_when_a_config_map_of_others_changes() -> None:
    workload = a_deployment(volumes=[{"name": "v", "configMap": {"name": "conf"}}])
    mine = an_object("ConfigMap", "conf", data={"k": "1"})
    before, after = (hash_after(workload, mine, an_object("ConfigMap", "other", data={"k": v})) for v in "12")
    assert before == after


@pytest.mark.parametrize(("reloaded", "stay"), [("true", True), ("false", False)])
def test_pods_stay_when_they_reload_their_configuration(reloaded: str, stay: bool) -> None:
    workload = a_deployment(volumes=[{"name": "v", "configMap": {"name": "conf"}}])
    conf = an_object("ConfigMap", "conf")
    conf["metadata"]["annotations"] = {"homeserver.stack/reloaded": reloaded}
    before, after = (hash_after(workload, conf | {"data": {"k": v}}) for v in "12")
    assert (before == after) is stay


def test_the_same_pods_of_two_workloads_can_be_told_apart() -> None:
    one, two = prepare("demo", [a_deployment("one"), a_deployment("two")])
    assert template_hash(one) != template_hash(two)


def test_only_applied_objects_are_ours() -> None:
    copied, applied = an_object("Endpoints"), an_object("Service")
    copied["metadata"]["managedFields"] = [{"manager": "kube-controller-manager", "operation": "Update"}]
    applied["metadata"]["managedFields"] = [{"manager": "homeserver", "operation": "Apply"}]
    assert [is_ours(obj) for obj in (copied, applied)] == [False, True]


def test_a_diff_shows_the_fields_of_the_author() -> None:
    before = an_object("ConfigMap", data={"k": "1"}, status={"x": 1})
    before["metadata"] |= {"resourceVersion": "7", "managedFields": []}
    shown = difference(before, an_object("ConfigMap", data={"k": "2"}))
    assert shown["before_header"] == shown["after_header"] == "ConfigMap demo/web"
    assert "k: '1'" in shown["before"]
    assert "k: '2'" in shown["after"]
    assert not {"status", "resourceVersion", "managedFields"} & set(shown["before"].replace(":", "").split())


def test_a_diff_says_which_values_of_a_secret_change_without_showing_them() -> None:
    last_applied = {"kubectl.kubernetes.io/last-applied-configuration": '{"data": {"a": "b2xk"}}'}
    before = an_object("Secret", data={"a": "b2xk", "b": "c2FtZQ=="})
    before["metadata"]["annotations"] = last_applied
    shown = difference(before, an_object("Secret", data={"a": "bmV3", "b": "c2FtZQ=="}))
    assert "a: (hidden, changed)\n  b: (hidden)\n" in shown["after"]
    assert not any(secret in str(shown) for secret in ("b2xk", "bmV3", "c2FtZQ=="))


def test_a_diff_of_a_created_or_deleted_object() -> None:
    obj = an_object("Secret", data={"a": "b2xk"})
    assert difference(None, obj)["before"] == difference(obj, None)["after"] == ""
    assert "a: (hidden)\n" in difference(None, obj)["after"]


def test_objects_are_named_as_kubectl_does() -> None:
    cluster_wide = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "demo"}}
    assert [str(identity(obj)) for obj in (an_object("Pod"), cluster_wide)] == [
        "Pod demo/web",
        "Namespace demo",
    ]
