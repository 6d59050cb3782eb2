"""Manifests as text and data, without a cluster: reads, checks, labels, orders and compares them."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..libraries import missing

try:
    import yaml
    from ansible.module_utils.common.yaml import SafeDumper, SafeLoader
except ImportError as error:
    yaml, SafeDumper, SafeLoader = missing(error), object, object

Object = dict[str, Any]

MANAGER = "homeserver"
MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
HASH = "homeserver.stack/config-hash"
UPDATED_FROM = "homeserver.stack/updated-from"
RELOADED = "homeserver.stack/reloaded"
"""Annotation of a ConfigMap or Secret whose pods reload it themselves and need no restart."""
NEEDS = "homeserver.stack/needs"
"""Annotation of a workload: names of those in its namespace that it needs, separated by commas."""

APPLY_FIRST = ("Namespace", "CustomResourceDefinition")
"""Kinds that must exist before the API can validate the others."""

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
"""Kinds whose pod templates get a hash and whose rollout is awaited."""

_MOVING = ("Deployment", "StatefulSet", "Job", "CronJob")
"""Kinds whose pods run on another node when theirs is gone."""

_SOON = [
    {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 20,
    }
    for state in ("not-ready", "unreachable")
]
"""For how long a pod waits for a node that does not answer, which Kubernetes notices after 50 seconds.

By itself it would be 5 minutes.
"""

NEVER_PRUNED = ("Namespace", "CustomResourceDefinition", "PersistentVolume", "PersistentVolumeClaim")
"""Kinds whose deletion destroys other objects or data: only `state: absent` deletes them."""

_ORDER = (
    *APPLY_FIRST,
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
    """A manifest is invalid; the message says which one, where and why."""


class Identity(NamedTuple):
    """Identifies an object regardless of the API version it is read in."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def identity(obj: Object) -> Identity:
    """Return the identity of an object that `read` has checked or that comes from a cluster."""
    group = obj["apiVersion"].rpartition("/")[0]
    metadata = obj["metadata"]
    return Identity(group, obj["kind"], metadata.get("namespace") or "", metadata["name"])


def kind_of(obj: Object) -> str:
    """Return the kind of an object in all its versions, such as Deployment.apps."""
    group = obj["apiVersion"].rpartition("/")[0]
    return f"{obj['kind']}.{group}" if group else str(obj["kind"])


class _Loader(SafeLoader):
    """Rejects duplicate keys: they come from two documents without a separator."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        given = set()
        for key, _ in node.value:
            if key.value in given:
                problem = f"duplicate key {key.value}"
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
    # The API gets JSON, where a bare date is text.
    documents = json.loads(json.dumps(documents, default=str))
    return [_checked(doc, f"{source}: document {n}") for n, doc in enumerate(documents, 1) if doc is not None]


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return where the YAML is invalid, with the line unless it may belong to a Secret."""
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
    """Return the objects ready to apply: labelled, tolerant, stamped with hashes and ordered.

    Raises:
        ManifestError: an object is given twice, or a Secret holds a value that is not text.
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
        if obj["kind"] in _MOVING:
            _move_soon(obj)
    _stamp(prepared)
    return prepared


def rank(obj: Object) -> int:
    """Return the position of an object's kind; unlisted kinds, such as custom resources, come last."""
    return _ORDER.index(obj["kind"]) if obj["kind"] in _ORDER else len(_ORDER)


def _encode(secret: Object) -> None:
    """Turn `stringData` into `data`: server-side apply never removes a key of `stringData`."""
    text = secret.pop("stringData", None) or {}
    for key, value in text.items():
        if not isinstance(value, str):
            found = type(value).__name__
            raise ManifestError(f"{identity(secret)}: stringData.{key} is {found}, not text: quote it")
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in text.items()}
    secret["data"] = {**(secret.get("data") or {}), **encoded}


def _move_soon(workload: Object) -> None:
    """Let pods leave a dead node soon, unless they have data there: then they cannot run elsewhere."""
    spec = workload.get("spec") or {}
    spec = (spec.get("jobTemplate") or {}).get("spec") or spec
    pod = (spec.get("template") or {}).get("spec") or {}
    volumes = pod.get("volumes") or []
    stays = spec.get("volumeClaimTemplates") or any(
        volume.keys() & {"hostPath", "persistentVolumeClaim"} for volume in volumes
    )
    if pod and not stays:
        pod["tolerations"] = [*(pod.get("tolerations") or []), *_SOON]


def _stamp(objects: list[Object]) -> None:
    """Annotate every pod template with a hash of itself and of the configuration it uses.

    A changed ConfigMap or Secret then restarts the pods that use it, and the annotation of a pod identifies
    its manifest.
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
        content_of_pod = [identity(obj), _before_update(obj, template), used]
        digest = hashlib.sha256(json.dumps(content_of_pod, sort_keys=True).encode())
        metadata = template["metadata"] = dict(template.get("metadata") or {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), HASH: digest.hexdigest()[:16]}


def _before_update(obj: Object, template: Object) -> Object:
    """Return a pod template as it was applied before the program of updates has changed its images.

    That has not changed the hash in the cluster.
    """
    image = (obj["metadata"].get("annotations") or {}).get(UPDATED_FROM)
    if not image:
        return template
    pod = dict(template["spec"])
    for kind in ("initContainers", "containers"):
        if kind in pod:
            pod[kind] = [{**each, "image": image} for each in pod[kind]]
    return {**template, "spec": pod}


def _is_reloaded(obj: Object) -> bool:
    return (obj["metadata"].get("annotations") or {}).get(RELOADED) == "true"


def _references(node: Any) -> Iterator[tuple[str, str]]:
    """Find the ConfigMaps and Secrets that a pod template uses, as (kind, name)."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _REFERENCES and isinstance(value, dict):
                yield _REFERENCES[key], str(value.get("name") or value.get("secretName"))
            yield from _references(value)


def template_hash(workload: Object) -> str:
    """Return the hash of a workload's pod template, or an empty text."""
    return pod_hash(workload["spec"]["template"])


def pod_hash(pod: Object) -> str:
    """Return the hash of a pod or a pod template, or an empty text."""
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    return str(annotations.get(HASH, ""))


def needs(workload: Object) -> set[str]:
    """Return the names of the workloads in its namespace without which a workload may crash."""
    return set(((workload["metadata"].get("annotations") or {}).get(NEEDS) or "").split(",")) - {""}


def is_ours(obj: Object) -> bool:
    """Return whether this project applied an object; a controller may copy our labels to other objects."""
    fields = obj["metadata"].get("managedFields") or []
    return any(entry.get("manager") == MANAGER and entry.get("operation") == "Apply" for entry in fields)


def owner_application(obj: Object) -> str:
    """Return the application that an object in the cluster belongs to, or an empty text."""
    labels = obj["metadata"].get("labels") or {}
    return str(labels.get(PART_OF, "")) if labels.get(MANAGED_BY) == MANAGER else ""


def without_server_fields(obj: Object) -> Object:
    """Return an object as its author wrote it, without the fields that the cluster adds."""
    shown = {key: value for key, value in obj.items() if key != "status"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SET_BY_SERVER}
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    shown["metadata"] = metadata
    return shown


def difference(before: Object | None, after: Object | None) -> dict[str, str]:
    """Return the diff of one object for Ansible; None stands for an object that does not exist.

    The values of a Secret are hidden, but the diff marks the ones that change.
    """
    old, new = (without_server_fields(obj) if obj else {} for obj in (before, after))
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
    return str(yaml.dump(obj, Dumper=SafeDumper, width=160)) if obj else ""
