"""Saves the objects of the cluster."""

import json
import re
from collections.abc import Iterable

from .atomic import write_atomic
from .errors import BackupError
from .kubectl import SECONDS, KubectlError, node_of
from .kubectl import kubectl as run
from .settings import Object, Settings

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "homeserver"
_TRANSIENT = {
    "controllerrevisions.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "jobs.batch",
    "leases.coordination.k8s.io",
    "pods",
    "replicasets.apps",
    "resourceclaims.resource.k8s.io",
}
_SYSTEM_NAMESPACES = re.compile(r"kube-.*|default")
_MADE_BY_CLUSTER = {
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
    ("Service", "kubernetes"),
}
_SET_BY_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
_ANNOTATIONS_OF_CLUSTER = (
    "control-plane.alpha.kubernetes.io/",
    "deployment.kubernetes.io/revision",
    "deprecated.daemonset.template.generation",
    "kubectl.kubernetes.io/last-applied-configuration",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/",
    "volume.kubernetes.io/",
)


def kubectl(settings: Settings, *arguments: str, seconds: int = SECONDS) -> str:
    """Run kubectl, and return its output.

    Raises:
        BackupError: it fails.
    """
    try:
        return run(settings.kubectl, *arguments, seconds=seconds)
    except KubectlError as error:
        raise BackupError(str(error)) from None


def write_objects(settings: Settings) -> None:
    """Write the list of the cluster's volumes, and the objects that the owner created."""
    place = settings.directory / "cluster"
    place.mkdir(mode=0o700, exist_ok=True)
    found = json.loads(kubectl(settings, "get", "persistentvolumes", "--output=json"))["items"]
    write_atomic(place / "volumes.json", json.dumps(volumes(found), indent=1), 0o600)
    listed = kubectl(
        settings, "api-resources", "--namespaced=true", "--verbs=list,create,delete", "--output=name"
    )
    kinds = [kind for kind in listed.split() if kind not in _TRANSIENT]
    asked = ("get", ",".join(["namespaces", *kinds]), "--all-namespaces", "--output=json")
    items = [
        without_server_fields(each)
        for each in json.loads(kubectl(settings, *asked))["items"]
        if is_made_by_owner(each)
    ]
    write_atomic(
        place / "objects.json",
        json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1),
        0o600,
    )


def volumes(found: Iterable[Object]) -> list[Object]:
    """Describe the bound volumes of the storage class microk8s-hostpath."""
    return [
        {
            "namespace": spec["claimRef"]["namespace"],
            "claim": spec["claimRef"]["name"],
            "volume": each["metadata"]["name"],
            "node": node_of(spec),
            "path": spec["hostPath"]["path"],
            "capacity": spec["capacity"]["storage"],
            "access_modes": spec["accessModes"],
            "storage_class": spec["storageClassName"],
            "labels": each["metadata"].get("labels") or {},
        }
        for each in found
        if (spec := each["spec"]).get("storageClassName") == "microk8s-hostpath"
        and each["status"].get("phase") == "Bound"
        and "hostPath" in spec
    ]


def is_made_by_owner(obj: Object) -> bool:
    """Return whether the owner created an object, not this project, the cluster or a controller."""
    metadata = obj["metadata"]
    if (metadata.get("labels") or {}).get(MANAGED_BY) == MANAGER or metadata.get("ownerReferences"):
        return False
    if obj["kind"] == "Namespace":
        return not _SYSTEM_NAMESPACES.fullmatch(metadata["name"])
    if metadata["namespace"].startswith("kube-") or (obj["kind"], metadata["name"]) in _MADE_BY_CLUSTER:
        return False
    return not str(obj.get("type", "")).startswith("kubernetes.io/service-account-token")


def without_server_fields(obj: Object) -> Object:
    """Return an object without the fields that the cluster adds to it."""
    shown = {key: value for key, value in obj.items() if key != "status"}
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _SET_BY_SERVER}
    annotations = {
        key: value
        for key, value in (metadata.pop("annotations", None) or {}).items()
        if not key.startswith(_ANNOTATIONS_OF_CLUSTER)
    }
    shown["metadata"] = {**metadata, **({"annotations": annotations} if annotations else {})}
    if obj["kind"] == "Service" and obj["spec"].get("clusterIP") != "None":
        # In another cluster, these addresses and ports may be in use.
        left = ("clusterIP", "clusterIPs", "healthCheckNodePort")
        shown["spec"] = {key: value for key, value in obj["spec"].items() if key not in left}
    if obj["kind"] == "Namespace":
        shown.pop("spec", None)
    return shown
