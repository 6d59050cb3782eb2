"""The baseline: the same snap, images and manifests as site.yml installs, applied directly."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench import remote
from bench.clock import seconds
from bench.remote import KUBECTL
from lab.machine import Machine

_MICROK8S = "/snap/bin/microk8s"
_LAUNCH_CONFIGURATION = "/etc/microk8s.yaml"
_MAKE_DIRECTORY = "install --directory --owner=%u --group=%g --mode=%a %n"
_OURS = "app.kubernetes.io/managed-by=homeserver"
_ROLLED_OUT = {
    "deployments": "condition=Available",
    "statefulsets": "jsonpath='{.status.readyReplicas}'=1",
    "daemonsets": "jsonpath='{.status.numberReady}'=1",
}
_APPLY_FIRST = ("Namespace", "CustomResourceDefinition")
_OF_A_JOB = tuple(
    f"{prefix}{name}" for prefix in ("", "batch.kubernetes.io/") for name in ("controller-uid", "job-name")
)
_OF_THE_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")


@dataclass(frozen=True)
class Recipe:
    """The objects that site.yml created on a machine, to recreate them on another."""

    address: str  # of the machine, which is in the next
    launch_configuration: str
    directories: str  # the command that creates the host directories that pods write to
    manifests: list[str]  # as JSON, in the order to apply them
    built_images: list[Path]  # archives of images that are not in the bundle


def recipe(machine: Machine, directory: Path) -> Recipe:
    """Read the objects from a machine that site.yml set up; save the image archives in the directory."""
    kinds = remote.run(machine, f"{KUBECTL} api-resources --verbs=list -o name").split()
    listed = remote.run(
        machine, f"{KUBECTL} get {','.join(kinds)} -A -l {_OURS} --show-managed-fields -o json"
    )
    objects = [_manifest(obj) for obj in json.loads(listed)["items"] if _applied_by_us(obj)]
    first = [obj for obj in objects if obj["kind"] in _APPLY_FIRST]
    then = [obj for obj in objects if obj["kind"] not in _APPLY_FIRST]
    return Recipe(
        address=machine.address,
        launch_configuration=remote.run(machine, f"cat {_LAUNCH_CONFIGURATION}"),
        directories=remote.run(
            machine, f"stat --format='{_MAKE_DIRECTORY}' {' '.join(_directories(objects))}"
        ),
        manifests=[
            json.dumps({"apiVersion": "v1", "kind": "List", "items": items}) for items in (first, then)
        ],
        built_images=[
            Path(shutil.copy2(image, directory))
            for image in sorted((machine.directory / ".cache" / "images").glob("*.tar"))
        ],
    )


def measure(machine: Machine, bundle: Path, made_by: Recipe) -> dict[str, float]:
    """Install the baseline on a fresh machine; return the seconds of each step."""
    content = _content(bundle)
    images = _images(bundle, content) + made_by.built_images
    steps: dict[str, Callable[[], None]] = {
        "snap install": lambda: _install(machine, bundle, content, _launched(made_by, machine)),
        "image import": lambda: _import(machine, images),
        "until the node is ready": lambda: _wait_ready(machine),
        "kubectl apply, until rolled out": lambda: _apply(machine, made_by),
    }
    return {name: seconds(step) for name, step in steps.items()}


def join(founder: Machine, machine: Machine, bundle: Path, made_by: Recipe) -> None:
    """Make a fresh machine a worker of the founder's cluster, in the steps that this takes by hand."""
    launched = {**yaml.safe_load(_launched(made_by, machine)), "addons": []}
    content = _content(bundle)
    _install(machine, bundle, content, yaml.safe_dump(launched))
    _import(machine, _images(bundle, content) + made_by.built_images)
    # The firewall of the home admits nobody else to the cluster agent.
    admitted = f"{{ {machine.address} timeout 600s }}"
    remote.run(founder, f"/usr/sbin/nft 'add element inet homeserver joining {admitted}'")
    invitation = json.loads(remote.run(founder, f"{_MICROK8S} add-node --format json"))
    remote.run(machine, f"{_MICROK8S} join {invitation['urls'][0]} --worker")


def _launched(made_by: Recipe, machine: Machine) -> str:
    """Return the launch configuration with the machine's own address."""
    return made_by.launch_configuration.replace(made_by.address, machine.address)


def _content(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle / "bundle.json").read_text())
    return content


def _images(bundle: Path, content: dict[str, Any]) -> list[Path]:
    return [bundle / image["file"] for image in content["images"] if image.get("purpose") != "build"]


def _install(machine: Machine, bundle: Path, content: dict[str, Any], launch_configuration: str) -> None:
    remote.run(machine, f"cat > {_LAUNCH_CONFIGURATION}", launch_configuration)
    for snap in content["snaps"]:
        remote.send(machine, bundle / snap["file"], "/root/one.snap")
        classic = "--classic" if snap["confinement"] == "classic" else ""
        remote.run(machine, f"snap install --dangerous {classic} /root/one.snap")


def _import(machine: Machine, archives: list[Path]) -> None:
    for archive in archives:
        remote.send(machine, archive, "/root/one.tar")
        remote.run(machine, f"{_MICROK8S} ctr images import /root/one.tar")


def _wait_ready(machine: Machine) -> None:
    remote.run(machine, f"{_MICROK8S} status --wait-ready --timeout 300")


def _apply(machine: Machine, made_by: Recipe) -> None:
    remote.run(machine, made_by.directories)
    for manifest in made_by.manifests:
        remote.run(machine, f"{KUBECTL} apply --server-side -f -", manifest)
    for kind, condition in _ROLLED_OUT.items():
        remote.run(machine, f"{KUBECTL} wait {kind} -A -l {_OURS} --for={condition} --timeout=300s")


def _directories(objects: list[dict[str, Any]]) -> set[str]:
    """Return the host directories that Kubernetes would otherwise create for root only."""
    paths = [
        volume["hostPath"]
        for obj in objects
        if "template" in obj.get("spec", {})
        for volume in obj["spec"]["template"]["spec"].get("volumes", [])
        if "hostPath" in volume
    ]
    return {path["path"] for path in paths if path.get("type") == "DirectoryOrCreate"}


def _manifest(obj: dict[str, Any]) -> dict[str, Any]:
    """Return an object without the fields that the API server added."""
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _OF_THE_SERVER}
    if obj["kind"] == "PersistentVolumeClaim":  # it refers to a volume of the other machine
        metadata.pop("annotations", None)
        obj["spec"].pop("volumeName", None)
    if obj["kind"] == "Job":  # it refers to pods of the other machine
        obj["spec"].pop("selector", None)
        for label in _OF_A_JOB:
            obj["spec"]["template"]["metadata"]["labels"].pop(label, None)
    return {key: value for key, value in obj.items() if key != "status"} | {"metadata": metadata}


def _applied_by_us(obj: dict[str, Any]) -> bool:
    """Return whether we applied the object; controllers copy our labels to others."""
    return any(entry["manager"] == "homeserver" for entry in obj["metadata"].get("managedFields", []))
