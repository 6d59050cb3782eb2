"""Kubernetes objects as text and data, without a cluster: read, checked, labelled, ordered, compared."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import yaml
from ansible.module_utils.common.yaml import SafeLoader

Object = dict[str, Any]

MANAGER = "homeserver"
MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
HASH = "homeserver.stack/config-hash"
RELOADED = "homeserver.stack/reloaded"
"""Annotation of a ConfigMap or Secret whose pods notice a change themselves, and need no restart."""

FOUNDATIONS = ("Namespace", "CustomResourceDefinition")
"""Kinds that must be in the cluster before the API can judge the rest."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
"""Kinds whose pods are stamped with a hash, and waited for."""

HOLDING_MORE = ("Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim")
"""Kinds whose deletion destroys more than themselves: pruning spares them, only `state: absent` does not."""

_ORDER = (
    *FOUNDATIONS,
    "PriorityClass",
    "StorageClass",
    "PersistentVolume",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ResourceQuota",
    "LimitRange",
    "NetworkPolicy",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Service",
    "PodDisruptionBudget",
    *WORKLOADS,
    "CronJob",
    "HorizontalPodAutoscaler",
)

_REFERENCES = {
    "configMap": "ConfigMap",
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secret": "Secret",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}

_SET_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


class ManifestError(Exception):
    """A manifest is wrong in itself; the message says which one, where and why."""


class Identity(NamedTuple):
    """What makes an object the same object, whatever version of its API it is read through."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def identity(obj: Object) -> Identity:
    """Return the identity of an object that has been checked by `read`, or comes from a cluster."""
    group = obj["apiVersion"].rpartition("/")[0]
    metadata = obj["metadata"]
    return Identity(group, obj["kind"], metadata.get("namespace") or "", metadata["name"])


class _Loader(SafeLoader):
    """Reads YAML, and takes a key given twice, such as of two documents run together, for the error it is."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        given = set()
        for key, _ in node.value:
            if key.value in given:
                problem = f"{key.value} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            given.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read(text: str, source: str) -> list[Object]:
    """Parse the YAML documents of a text and check that each is an object.

    Raises:
        ManifestError: naming the source, and the line or the document.
    """
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        raise ManifestError(f"{source}: {_explain(error, text)}") from error
    # Through JSON, as they will travel: a bare date becomes the text it was.
    documents = json.loads(json.dumps(documents, default=str))
    return [_checked(doc, f"{source}: document {n}") for n, doc in enumerate(documents, 1) if doc is not None]


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """Say where YAML went wrong, quoting the line unless it may be a secret's."""
    mark = error.problem_mark
    if mark is None:
        return str(error)
    lines = text.splitlines()
    message = f"not YAML at rendered line {mark.line + 1}: {error.problem}"
    document = "\n".join(lines[: mark.line + 1]).rpartition("\n---")[2]
    if mark.line < len(lines) and "kind: Secret" not in document:
        message += f": {lines[mark.line].strip()}"
    return message


def _checked(document: Any, where: str) -> Object:
    if not isinstance(document, dict):
        raise ManifestError(f"{where} is {type(document).__name__}, not a Kubernetes object")
    metadata = document.get("metadata")
    absent = [key for key in ("apiVersion", "kind") if not document.get(key)]
    if not (isinstance(metadata, dict) and metadata.get("name")):
        absent.append("metadata.name")
    if absent:
        raise ManifestError(f"{where} ({document.get('kind', 'no kind')}) has no {', '.join(absent)}")
    return document


def prepare(application: str, objects: Iterable[Object]) -> list[Object]:
    """Return the objects as they are to be applied: labelled, stamped and in order.

    Raises:
        ManifestError: two objects are the same one, or a Secret holds what is not text.
    """
    prepared = sorted((copy.deepcopy(obj) for obj in objects), key=rank)
    twice = [str(key) for key, count in Counter(map(identity, prepared)).items() if count > 1]
    if twice:
        raise ManifestError(f"rendered more than once: {', '.join(twice)}")
    for obj in prepared:
        obj["metadata"]["labels"] = {
            **(obj["metadata"].get("labels") or {}),
            MANAGED_BY: MANAGER,
            PART_OF: application,
        }
        if obj["kind"] == "Secret":
            _encode(obj)
    _stamp(prepared)
    return prepared


def rank(obj: Object) -> int:
    """Place an object by its kind; kinds not listed, custom resources above all, come last."""
    return _ORDER.index(obj["kind"]) if obj["kind"] in _ORDER else len(_ORDER)


def _encode(secret: Object) -> None:
    """Turn `stringData` into `data`: server-side apply would never remove a key given as `stringData`."""
    text = secret.pop("stringData", None) or {}
    for key, value in text.items():
        if not isinstance(value, str):
            found = type(value).__name__
            raise ManifestError(f"{identity(secret)}: stringData.{key} is {found}, not text: quote it")
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
    secret["data"] = {**(secret.get("data") or {}), **encoded}


def _stamp(objects: list[Object]) -> None:
    """Annotate every pod template with a hash of itself and of the configuration it uses.

    A changed ConfigMap or Secret thus rolls the pods that use it, and a pod tells by its annotation
    whether it belongs to the manifest that was applied.
    """
    content = {
        (obj["kind"], obj["metadata"].get("namespace"), obj["metadata"]["name"]): [
            obj.get("data"),
            obj.get("binaryData"),
        ]
        for obj in objects
        if obj["kind"] in ("ConfigMap", "Secret") and not _is_reloaded(obj)
    }
    for obj in objects:
        template = (obj.get("spec") or {}).get("template")
        if obj["kind"] not in WORKLOADS or not isinstance(template, dict):
            continue
        namespace = obj["metadata"].get("namespace")
        used = [content.get((kind, namespace, name)) for kind, name in sorted(set(_references(template)))]
        digest = hashlib.sha256(json.dumps([identity(obj), template, used], sort_keys=True).encode())
        metadata = template["metadata"] = dict(template.get("metadata") or {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), HASH: digest.hexdigest()[:16]}


def _is_reloaded(obj: Object) -> bool:
    return (obj["metadata"].get("annotations") or {}).get(RELOADED) == "true"


def _references(node: Any) -> Iterator[tuple[str, str]]:
    """Find the ConfigMaps and Secrets a pod template names, as (kind, name)."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _REFERENCES and isinstance(value, dict):
                yield _REFERENCES[key], str(value.get("name") or value.get("secretName"))
            yield from _references(value)


def template_hash(workload: Object) -> str:
    """Return the hash a workload's pod template was stamped with, or an empty text."""
    return pod_hash(workload["spec"]["template"])


def pod_hash(pod: Object) -> str:
    """Return the hash a pod (or a pod template) was stamped with, or an empty text."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(HASH, ""))


def is_ours(obj: Object) -> bool:
    """Tell whether this project applied an object, and no controller merely copied our labels to it."""
    fields = obj["metadata"].get("managedFields") or []
    return any(entry.get("manager") == MANAGER and entry.get("operation") == "Apply" for entry in fields)


def owner_application(obj: Object) -> str:
    """Return the application an object in the cluster belongs to, or an empty text when it is nobody's."""
    labels = obj["metadata"].get("labels") or {}
    return str(labels.get(PART_OF, "")) if labels.get(MANAGED_BY) == MANAGER else ""


def described(obj: Object) -> Object:
    """Return what an author describes of an object, without what the cluster adds."""
    shown = {key: value for key, value in obj.items() if key != "status"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SET_BY_SERVER}
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    shown["metadata"] = metadata
    return shown


def difference(before: Object | None, after: Object | None) -> dict[str, str]:
    """Return what Ansible prints as a diff of one object; None is an object that is not there.

    A Secret's values are hidden, but it is said which of them change.
    """
    old, new = (described(obj) if obj else {} for obj in (before, after))
    if "Secret" in (old.get("kind"), new.get("kind")):
        old, new = _hidden(old, {}), _hidden(new, old)
    header = str(identity(after or before or {}))
    return {
        "before_header": header,
        "after_header": header,
        "before": _text(old),
        "after": _text(new),
    }


def _hidden(secret: Object, known: Object) -> Object:
    if "data" not in secret:
        return secret
    earlier = known.get("data") or {}
    shown = {
        key: "(hidden, changed)" if known and earlier.get(key) != value else "(hidden)"
        for key, value in (secret["data"] or {}).items()
    }
    return {**secret, "data": shown}


def _text(obj: Object) -> str:
    return yaml.safe_dump(obj, width=160) if obj else ""
