"""The real Filebeat with the role's rendered configuration, reading lines in containerd's format."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness import rendering
from harness.programs import filebeat
from harness.rendering import ROOT
from harness.waiting import wait_until

NODE = "attic"
ADDRESS = "192.0.2.10"
UID = "0d3cbb3d-9ab1-44a5-b1f1-7e2dbcbe0c1f"
WRITTEN = "2026-11-24T21:30:00.{:09d}Z"
LAST = "the last line"

Document = dict[str, Any]


class Role(rendering.Role):
    """The role, for a home with some variables, with its files in a directory of the test."""

    def __init__(self, directory: Path, **variables: Any) -> None:
        super().__init__(
            "elk",
            directory,
            _elk_filebeat_pods=str(directory / "pods"),
            _elk_journal_directory=str(directory / "journal"),
            # The result that its build would return.
            _elk_logstore_image="localhost/homeserver-logstore:1",
            **{"elk_logstash_enabled": False} | variables,
        )

    def configuration(self) -> dict[str, Any]:
        """Return Filebeat's configuration."""
        found: dict[str, Any] = yaml.safe_load(self.value("_elk_filebeat_configuration"))
        return found


def cri(text: str | bytes, *, stream: str = "stdout", number: int = 0, partial: bool = False) -> bytes:
    """Return one line of a container's log file."""
    content = text.encode() if isinstance(text, str) else text
    head = f"{WRITTEN.format(number)} {stream} {'P' if partial else 'F'} "
    return head.encode() + content + b"\n"


def written(text: str | bytes, cut: int = 16384) -> bytes:
    """Return a container's output in containerd's format, which splits long lines."""
    content = text.encode() if isinstance(text, str) else text
    lines = []
    for line in content.split(b"\n"):
        parts = [line[start : start + cut] for start in range(0, len(line), cut)] or [b""]
        lines += [(part, True) for part in parts[:-1]] + [(parts[-1], False)]
    return b"".join(cri(part, number=number, partial=partial) for number, (part, partial) in enumerate(lines))


def log_file(directory: Path, container: str, *, namespace: str = "apps", pod: str = "web-1") -> Path:
    """Return the path of a container's log."""
    path = directory / "pods" / f"{namespace}_{pod}_{UID}" / container / "0.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def stubbed(configuration: dict[str, Any], kubernetes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Replace parts that a test lacks: the pod's metadata comes from a file instead of an API server."""
    others_than_the_last = {"not": {"contains": {"log.file.path": "/last/"}}}
    fields = {"target": "kubernetes", "fields": kubernetes, "when": others_than_the_last}
    added = [{"add_fields": fields}] if kubernetes else []
    others = [each for each in configuration["processors"] if "add_kubernetes_metadata" not in each]
    return configuration | {"processors": added + others, "http": {"enabled": False}}


class Running:
    """A running Filebeat, and the file with its output."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path, log: Path) -> None:
        self.process = process
        self._output = output
        self._log = log

    def documents(self) -> list[Document]:
        """Return the documents so far, without an incomplete line."""
        if not self._output.exists():
            return []
        lines = self._output.read_bytes().split(b"\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait(self, enough: Callable[[list[Document]], bool]) -> list[Document]:
        """Return the documents, once there are enough."""

        def told() -> tuple[int, list[Document], str]:
            documents = self.documents()
            return len(documents), documents[-3:], self._log.read_text()[-3000:]

        wait_until(lambda: enough(self.documents()) or self.process.poll() is not None, told)
        assert self.process.poll() is None, told()
        return self.documents()


@contextmanager
def running(directory: Path, configuration: dict[str, Any]) -> Iterator[Running]:
    """Run Filebeat with that configuration; its registry is kept afterwards."""
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
        "NODE_ADDRESS": ADDRESS,
        "ELASTICSEARCH_USERNAME": "filebeat",
        "ELASTICSEARCH_PASSWORD": "secret",
        "PATH": "/usr/bin:/bin",
    }
    output, log = home / "output.json", home / "log"
    with (
        output.open("ab") as written_to,
        log.open("ab") as stderr,
        subprocess.Popen(command, env=environment, stdout=written_to, stderr=stderr) as process,
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
    """Make it write documents, one per line, instead of sending them."""
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
    """Return Filebeat's documents for the logs of containers, named by namespace and container.

    Args:
        directory: the directory for all files.
        logs: their log files.
        expected: the number of documents to wait for; a surplus is returned, too.
        journal: entries of the host's journal.
        kubernetes: the Kubernetes metadata of all pods.
        variables: the role's variables.
    """
    for (namespace, container), content in logs.items():
        log_file(directory, container, namespace=namespace).write_bytes(content)
    (directory / "journal").mkdir(exist_ok=True)
    lines = "".join(json.dumps(entry) + "\n" for entry in journal)
    (directory / "journal/journal.json").write_text(lines)
    configuration = to_console(stubbed(Role(directory, **variables).configuration(), kubernetes))
    with running(directory, configuration) as filebeat_running:
        filebeat_running.wait(lambda documents: len(documents) >= expected)
        # What is written now arrives after surplus documents would have. The second line ends the first.
        log_file(directory, "last").write_bytes(cri(LAST) * 2)
        documents = filebeat_running.wait(
            lambda documents: any(document.get("message") == LAST for document in documents)
        )
        return [document for document in documents if document.get("message") != LAST]
