"""Search engines on this machine, in which tests index and search.

Elasticsearch is the one in the lab's pods. OpenSearch only replaces it for its ingest processors, which that
one lacks: a pipeline has the same result in both.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from harness.programs import elasticsearch, free_port, opensearch
from harness.waiting import wait_for_port

_HEAP = "512m"
# A server of some minutes does not earn back the time of Java's second compiler.
_SHORT_LIVED = "-XX:TieredStopAtLevel=1"
# Neither runs as root. In this user namespace root is another user, who can still read root's files.
_NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if not os.geteuid() else ()
_OPEN_TO_ALL = {"xpack.security.enabled": False}


@dataclass(frozen=True)
class Engine:
    """A running engine. The test's end removes it with all its data.

    Attributes:
        url: Its URL.
        directory: The directory with its `config`, `data` and `logs`.
    """

    url: str
    directory: Path

    def ask(self, path: str, body: object = None, method: str = "GET", **how: Any) -> Any:
        """Return the successful response to a request, decoded from JSON.

        Args:
            path: The path, such as `logs-app/_search`.
            body: Encoded as JSON, except a string, which is sent unchanged.
            method: GET, PUT, POST or DELETE.
            how: Arguments of `requests`: auth, params, verify.
        """
        answer = requests.request(
            method,
            f"{self.url}/{path}",
            data=body if isinstance(body, str) else None,
            json=None if isinstance(body, str) else body,
            headers={"Content-Type": "application/x-ndjson" if isinstance(body, str) else "application/json"},
            timeout=60,
            **how,
        )
        assert answer.ok, f"{answer.status_code}: {answer.text}"
        return answer.json()


@contextmanager
def elasticsearch_running(
    directory: Path,
    settings: Mapping[str, object] = _OPEN_TO_ALL,
    files: Mapping[str, str] | None = None,
    scheme: str = "http",
    java: Sequence[str] = (),
) -> Iterator[Engine]:
    """Run Elasticsearch on one node until the block ends.

    Args:
        directory: For all its files, empty or missing; a previously used one still has its data.
        settings: Values for elasticsearch.yml, which override a test's defaults; None removes a setting.
            Without any, it needs no password.
        files: Files of its configuration, by name: `roles.yml`, `users`, certificates and so on.
        scheme: https if the settings enable TLS.
        java: Options of Java, besides the size of the heap.
    """
    home = elasticsearch()
    configuration = directory / "config"
    shutil.copytree(home / "config", configuration, dirs_exist_ok=True)
    for name, content in (files or {}).items():
        (configuration / name).parent.mkdir(parents=True, exist_ok=True)
        (configuration / name).write_text(content)
    port = free_port()
    all_settings = _of_a_test(directory, port) | dict(settings)
    present = {name: value for name, value in all_settings.items() if value is not None}
    (configuration / "elasticsearch.yml").write_text(yaml.safe_dump(present))
    environment = {
        "ES_PATH_CONF": str(configuration),
        "CLI_JAVA_OPTS": _SHORT_LIVED,
        "ES_JAVA_OPTS": " ".join((f"-Xms{_HEAP} -Xmx{_HEAP}", _SHORT_LIVED, *java)),
    }
    with _running(home / "bin/elasticsearch", directory, environment, port):
        yield Engine(f"{scheme}://127.0.0.1:{port}", directory)


@contextmanager
def opensearch_running(directory: Path) -> Iterator[Engine]:
    """Run OpenSearch until the block ends, for its `_ingest/pipeline/_simulate`; it needs no password.

    Args:
        directory: For all its files, empty or missing.
    """
    home, java = opensearch()
    configuration = directory / "config"
    shutil.copytree(home / "config", configuration)
    # It expects a path relative to its working directory.
    (directory / "agent").symlink_to(home / "agent")
    options = configuration / "jvm.options"
    # This Java lacks the module for vector comparisons. A log beside the program would spoil its cache entry.
    for given, own in {
        "20-:--add-modules=jdk.incubator.vector": "",
        "logs/gc.log": f"{directory}/gc.log",
    }.items():
        options.write_text(options.read_text().replace(given, own))
    port = free_port()
    (configuration / "opensearch.yml").write_text(yaml.safe_dump(_of_a_test(directory, port)))
    environment = {
        "OPENSEARCH_PATH_CONF": str(configuration),
        "OPENSEARCH_JAVA_HOME": str(java),
        "OPENSEARCH_JAVA_OPTS": f"-Xms{_HEAP} -Xmx{_HEAP} {_SHORT_LIVED}",
    }
    (directory / "data").mkdir()
    with _running(home / "bin/opensearch", directory, environment, port):
        yield Engine(f"http://127.0.0.1:{port}", directory)


def _of_a_test(directory: Path, port: int) -> dict[str, object]:
    return {
        "cluster.name": "test",
        "node.name": "test",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": port,
        "transport.port": free_port(),
        "path.data": str(directory / "data"),
        "path.logs": str(directory / "logs"),
        # The tests do not depend on the free space of this machine's disk.
        "cluster.routing.allocation.disk.threshold_enabled": False,
    }


@contextmanager
def _running(program: Path, directory: Path, environment: Mapping[str, str], port: int) -> Iterator[None]:
    (directory / "logs").mkdir(exist_ok=True)
    with (directory / "output").open("ab") as output:
        process = subprocess.Popen(
            [*_NOT_ROOT, program],
            # Unless it is told otherwise, the garbage collector's log goes to the working directory.
            cwd=directory,
            env=os.environ | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        # It may require a password or TLS.
        wait_for_port(port, process, lambda: (directory / "output").read_text()[-3000:])
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)
