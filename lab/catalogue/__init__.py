"""Everything the lab builds: the machine's file system, and the bundle that the roles install from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from lab.bundle import bundle
from lab.cache import Part
from lab.catalogue.images import EXAMPLE_IMAGES, MICROK8S_IMAGES, Image, owner_images
from lab.catalogue.programs import (
    CALICO_MANIFEST,
    CLUSTER_PROGRAMS,
    CNI_PROGRAMS,
    COLLECTOR,
    CONTAINERD_PROGRAMS,
    DEBIAN_PROGRAMS,
    EARLIER_KUBERNETES,
    EARLIER_KUBERNETES_PROGRAMS,
    FILEBEAT,
    JAEGER,
    KUBERNETES,
    SUITE,
    module_files,
)
from lab.recipes import debian, snaps

LAB = Path(__file__).parent.parent
VERSIONS = LAB.parent / "roles/common/vars/main/versions.yml"
TRAEFIK_CRDS = "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"


def _rootfs(suite: str) -> Part:
    return Part(
        f"rootfs-{suite}",
        debian.machine,
        settings={
            "suite": suite,
            "packages": [
                *(
                    "systemd",
                    "systemd-sysv",
                    "dbus",
                    "udev",
                    "kmod",
                    "openssh-server",
                    "sudo",
                    "python3",
                    "python3-apt",
                ),
                *(
                    "snapd",
                    "squashfuse",
                    "fuse3",
                    "iproute2",
                    "iputils-ping",
                    "iptables",
                    "nftables",
                    "ipset",
                    "conntrack",
                ),
                *("procps", "ca-certificates", "curl", "less", "restic", "avahi-daemon", "avahi-utils"),
            ],
            "overlay": "guest",
            "commands": [
                "useradd --create-home --shell /bin/bash --groups sudo owner",
                # On Debian 13, this is a link to the file that systemd reads.
                "sh -c 'echo LANG=C.UTF-8 >/etc/default/locale'",
                # Each machine generates its own.
                "sh -c 'rm --force /etc/machine-id /etc/ssh/ssh_host_*'",
            ],
        },
        files=(LAB / "guest",),
    )


# The Debian releases for machines.
ROOTFS = {suite: _rootfs(suite) for suite in (SUITE, "trixie")}


def _snap(
    part: str, meta: Mapping[str, str], overlay: str, needs: tuple[Part, ...], **content: Mapping[str, str]
) -> Part:
    return Part(
        part,
        snaps.snap,
        settings={"meta": meta, "overlay": overlay, "parts": {}, "links": {}, **content},
        files=(LAB / overlay,),
        needs=needs,
    )


def _microk8s_snap(part: str, version: str, programs: Part) -> Part:
    return _snap(
        part,
        {"name": "microk8s", "version": version},
        "snap",
        needs=(programs, CONTAINERD_PROGRAMS, CNI_PROGRAMS, DEBIAN_PROGRAMS, CALICO_MANIFEST),
        parts={
            "bin": "containerd/",
            "bin/kubernetes": f"{programs.name}/kubernetes",
            "bin/etcd": f"{programs.name}/etcd",
            "opt/cni/bin": "cni/",
            "usr": "debian-programs/root/usr",
            "upstream/calico/calico-vxlan.yaml": "calico-manifest/calico-vxlan.yaml",
        },
        links={
            f"bin/{name}": "kubernetes"
            for name in (
                *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
                *("kubelet", "kubectl"),
            )
        },
    )


# The snaps that snapd requires before it installs another one. Nothing in them runs: name and version are
# enough.
SNAPD_SNAP = _snap("snapd-snap", {"name": "snapd", "version": "2-lab"}, "recipes/snapd", needs=())
BASE_SNAP = _snap("base-snap", {"name": "core22", "version": "22-lab"}, "recipes/core22", needs=())
MICROK8S_SNAP = _microk8s_snap("microk8s-snap", KUBERNETES, CLUSTER_PROGRAMS)
EARLIER_MICROK8S_SNAP = _microk8s_snap(
    "earlier-microk8s-snap", EARLIER_KUBERNETES, EARLIER_KUBERNETES_PROGRAMS
)


@dataclass(frozen=True)
class Catalogue:
    """The parts that the lab uses; all others are built for these.

    Attributes:
        bundle: What a home is installed from.
        rootfs: A machine, by the code name of its Debian.
        earlier_bundle: The same home with the minor version of Kubernetes before.
    """

    bundle: Part
    rootfs: Mapping[str, Part]
    earlier_bundle: Part


# No package registry has the pinned version of these.
EARLIER = {"filebeat": FILEBEAT, "jaeger": JAEGER, "opentelemetry_collector": COLLECTOR}


def pinned_versions() -> Any:
    """Return the versions that the collection pins."""
    return yaml.safe_load(VERSIONS.read_text())["homeserver_pinned_versions"]


def lab_images() -> dict[str, str]:
    """Return the images of the lab: those that the collection pins, as far as the lab can build them.

    None has a digest, for the lab's image is another.
    """
    tagged = {name: image.partition("@")[0] for name, image in pinned_versions()["images"].items()}
    return tagged | {
        name: f"{tagged[name].rpartition(':')[0]}:{version}" for name, version in EARLIER.items()
    }


def version_overrides() -> dict[str, dict[str, str]]:
    """Return what a home in the lab sets, to run what the lab has built."""
    pinned = pinned_versions()["images"]
    return {"images": {name: image for name, image in lab_images().items() if image != pinned[name]}}


def traefik_crds() -> Part:
    """Return the part with Traefik's kinds."""
    version = pinned_versions()["manifests"]["traefik_crds"]["version"]
    module = f"github.com/traefik/traefik/v3@{version}"
    return module_files("traefik-crds", module, {"traefik_crds.yml": TRAEFIK_CRDS})


def catalogue() -> Catalogue:
    """Return the parts that the lab builds from this checkout."""
    images = (*MICROK8S_IMAGES, *owner_images(lab_images()), *EXAMPLE_IMAGES)
    contents = {
        "images": [_image_entry(image) for image in images],
        "manifests": [{"name": "traefik_crds", **_from("traefik-crds", "traefik_crds.yml")}],
    }
    needs = (SNAPD_SNAP, BASE_SNAP, traefik_crds(), *(image.part() for image in images))

    def with_snap(name: str, microk8s: Part) -> Part:
        snap_entries = [
            _snap_entry(SNAPD_SNAP, "strict"),
            _snap_entry(BASE_SNAP, "strict"),
            _snap_entry(microk8s, "classic"),
        ]
        return Part(
            name,
            bundle,
            settings={
                "description": "Built for the lab from package registries; not for a server.",
                "architecture": "amd64",
                "contents": {"snaps": snap_entries, **contents},
            },
            needs=(microk8s, *needs),
        )

    return Catalogue(
        bundle=with_snap("bundle", MICROK8S_SNAP),
        rootfs=ROOTFS,
        earlier_bundle=with_snap("earlier-bundle", EARLIER_MICROK8S_SNAP),
    )


def _snap_entry(snap: Part, confinement: str) -> dict[str, str]:
    meta = cast("dict[str, str]", snap.settings["meta"])
    return {**meta, "confinement": confinement, **_from(snap.name, f"{meta['name']}.snap")}


def _from(part: str, file: str) -> dict[str, str]:
    return {"source": f"{part}/{file}", "file": file}


def _image_entry(image: Image) -> dict[str, str]:
    purpose = {"purpose": image.purpose} if image.purpose else {}
    return {
        "reference": image.lab_reference,
        "source": f"{image.name}-image/image.tar",
        "file": f"{image.name}.tar",
        **purpose,
    }
