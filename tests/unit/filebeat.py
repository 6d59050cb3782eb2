"""The real Filebeat with the configuration that the role renders, on lines as containerd writes them."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.programs import filebeat
from tests.unit import rendering
from tests.unit.rendering import ROOT

SECONDS = 60
NODE = "attic"
UID = "0d3cbb3d-9ab1-44a5-b1f1-7e2dbcbe0c1f"
WRITTEN = "2026-11-24T21:30:00.{:09d}Z"

Document = dict[str, Any]


class Role(rendering.Role):
    """The role, for a home that sets some variables, with its files in a directory of the test."""

    def __init__(self, directory: Path, **variables: Any) -> None:
        super().__init__(
            "elk",
            directory,
            _elk_filebeat_pods=str(directory / "pods"),
            _elk_journal_directory=str(directory / "journal"),
            # What building it would tell.
            _elk_logstore_image="localhost/homeserver-logstore:1",
            **{"elk_logstash_enabled": False} | variables,
        )

    def configuration(self) -> dict[str, Any]:
        """What Filebeat is given."""
        found: dict[str, Any] = yaml.safe_load(self.value("_elk_filebeat_configuration"))
        return found


def cri(text: str | bytes, *, stream: str = "stdout", number: int = 0, partial: bool = False) -> bytes:
    """One line of a container's log file."""
    said = text.encode() if isinstance(text, str) else text
    head = f"{WRITTEN.format(number)} {stream} {'P' if partial else 'F'} "
    return head.encode() + said + b"\n"


def written(text: str | bytes, cut: int = 16384) -> bytes:
    """What containerd makes of a container's output: each line is cut when it is long."""
    said = text.encode() if isinstance(text, str) else text
    lines = []
    for line in said.split(b"\n"):
        parts = [line[start : start + cut] for start in range(0, len(line), cut)] or [b""]
        lines += [(part, True) for part in parts[:-1]] + [(parts[-1], False)]
    return b"".join(cri(part, number=number, partial=partial) for number, (part, partial) in enumerate(lines))


def log_file(directory: Path, container: str, *, namespace: str = "apps", pod: str = "web-1") -> Path:
    """Where a container's log is."""
    path = directory / "pods" / f"{namespace}_{pod}_{UID}" / container / "0.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def stubbed(configuration: dict[str, Any], kubernetes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Exchange at the edges what a test has not: what Kubernetes says of the pod comes from no API server."""
    said = [{"add_fields": {"target": "kubernetes", "fields": kubernetes}}] if kubernetes else []
    others = [each for each in configuration["processors"] if "add_kubernetes_metadata" not in each]
    return configuration | {"processors": said + others, "http": {"enabled": False}}


class Running:
    """A Filebeat, and where it writes what it sends."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, log: Path) -> None:
        self.process = process
        self._output = output
        self._log = log

    def documents(self) -> list[Document]:
        """What it has sent so far, but no half line."""
        if not self._output.exists():
            return []
        lines = self._output.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait(self, enough: Callable[[list[Document]], bool]) -> list[Document]:
        """Return what it has sent, once it is enough."""
        deadline = time.monotonic() + SECONDS
        while not enough(documents := self.documents()):
            assert self.process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < deadline, (
                len(documents),
                documents[-3:],
                self._log.read_text()[-3000:],
            )
            time.sleep(0.2)
        return documents


@contextmanager
def running(directory: Path, configuration: dict[str, Any]) -> Iterator[Running]:
    """Run Filebeat with that configuration; its registry outlives it."""
    (directory / "journal").mkdir(exist_ok=True)
    (directory / "pods").mkdir(exist_ok=True)
    home = directory / "filebeat"
    home.mkdir(exist_ok=True)
    (home / "filebeat.yml").write_text(json.dumps(configuration))
    (home / "filebeat.yml").chmod(0o600)
    (home / "ecs.js").write_text((ROOT / "roles/elk/files/filebeat/ecs.js").read_text())
    command = [str(filebeat()), "-c", str(home / "filebeat.yml"), "--path.home", str(home)]
    command += ["--path.config", str(home), "--path.data", str(home / "data")]
    environment = {
        "NODE_NAME": NODE,
        "ELASTICSEARCH_USERNAME": "filebeat",
        "ELASTICSEARCH_PASSWORD": "secret",
        "PATH": "/usr/bin:/bin",
    }
    output, log = home / "output.json", home / "log"
    with (
        output.open("ab") as written_to,
        log.open("ab") as said,
        subprocess.Popen(command, env=environment, stdout=written_to, stderr=said) as process,
    ):
        try:
            yield Running(process, output, log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def to_console(configuration: dict[str, Any]) -> dict[str, Any]:
    """Let it write documents, one a line, instead of sending them."""
    kept = {key: value for key, value in configuration.items() if not key.startswith("output.")}
    return kept | {"output.console": {"codec.json": {"escape_html": False}, "bulk_max_size": 64}}


def shipped(
    directory: Path,
    logs: dict[tuple[str, str], bytes],
    *,
    expected: int,
    journal: Iterable[Document] = (),
    kubernetes: dict[str, Any] | None = None,
    **variables: Any,
) -> list[Document]:
    """Return what Filebeat makes of the logs of containers, named by namespace and container.

    Args:
        directory: where all of it is.
        logs: their log files.
        expected: so many documents are waited for; then a moment, in which there must be no more.
        journal: entries of the host's journal.
        kubernetes: what Kubernetes says of all of the pods.
        variables: the role's.
    """
    for (namespace, container), content in logs.items():
        log_file(directory, container, namespace=namespace).write_bytes(content)
    (directory / "journal").mkdir(exist_ok=True)
    lines = "".join(json.dumps(entry) + "\n" for entry in journal)
    (directory / "journal/journal.json").write_text(lines)
    configuration = to_console(stubbed(Role(directory, **variables).configuration(), kubernetes))
    with running(directory, configuration) as filebeat_running:
        filebeat_running.wait(lambda documents: len(documents) >= expected)
        time.sleep(2.5)  # in which what is too much would come
        return filebeat_running.documents()
