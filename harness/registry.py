"""A registry on this host: Distribution's, behind a line that may be slow and a front that may be closed."""

import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO

import bcrypt
import requests
from testinfra.host import Host

from harness import programs
from harness.home import Home
from harness.waiting import wait_for_port

PRIVATE = "private/"
"""A part of the names of the images that are served only with the login."""
USER, PASSWORD = "owner", "not-a-secret"
_OCI = "application/vnd.oci.image"
_CHUNK = 2**16
_PORT = 5005  # on a machine
_NOT_PASSED_ON = ("connection", "transfer-encoding")


@dataclass(frozen=True)
class Answer:
    """What the registry answered to a request.

    Attributes:
        path: the path asked for.
        status: the status code.
        at: when, in seconds since the epoch.
    """

    path: str
    status: int
    at: float


@dataclass
class Registry:
    """A running registry.

    Attributes:
        port: where machines reach it, in plain HTTP.
        answers: all its answers through that port, in order.
    """

    port: int
    _open: str
    _private: str
    answers: list[Answer] = field(default_factory=list)

    def push(self, archive: Path, name: str) -> str:
        """Add an image, from an archive in the format of `docker save`, by its name without the registry.

        Returns:
            Its digest.
        """
        repository, _, tag = name.rpartition(":")
        url = f"{self.backend(name)}/v2/{repository}"
        with tarfile.open(archive) as tar:
            (entry,) = json.load(_member(tar, "manifest.json"))
            manifest = {
                "schemaVersion": 2,
                "mediaType": f"{_OCI}.manifest.v1+json",
                "config": _upload(url, _member(tar, entry["Config"]), f"{_OCI}.config.v1+json"),
                "layers": [_upload_layer(url, _member(tar, layer)) for layer in entry["Layers"]],
            }
        headers = {"Content-Type": manifest["mediaType"]}
        done = _send("PUT", f"{url}/manifests/{tag}", data=json.dumps(manifest), headers=headers)
        return done.headers["Docker-Content-Digest"]

    def tag(
        self, repository: str, base: str, tag: str, command: list[str], entrypoint: list[str] | None = None
    ) -> None:
        """Add an image with the layers of another one in its repository, and another command.

        With an entrypoint, its program is another one even if a pod has its own arguments.
        """
        url = f"{self.backend(repository)}/v2/{repository}"
        headers = {"Accept": f"{_OCI}.manifest.v1+json", "Content-Type": f"{_OCI}.manifest.v1+json"}
        manifest = _send("GET", f"{url}/manifests/{base}", headers=headers).json()
        configuration = _send("GET", f"{url}/blobs/{manifest['config']['digest']}").json()
        configuration["config"] |= {"Cmd": command} | ({"Entrypoint": entrypoint} if entrypoint else {})
        content = io.BytesIO(json.dumps(configuration).encode())
        manifest["config"] = _upload(url, content, f"{_OCI}.config.v1+json")
        _send("PUT", f"{url}/manifests/{tag}", data=json.dumps(manifest), headers=headers)

    def backend(self, name: str) -> str:
        """Return the address of the program that has this image."""
        return self._private if f"/{PRIVATE}" in f"/{name}" else self._open


class _Line:
    """A line that all answers share."""

    def __init__(self, megabits_per_second: float) -> None:
        self._rate = megabits_per_second * 1e6 / 8
        self._lock = threading.Lock()
        self._free_at = 0.0

    def carry(self, content: bytes) -> bytes:
        """Return the content when it has arrived."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + len(content) / self._rate
            wait = self._free_at - time.monotonic()
        time.sleep(max(wait, 0))
        return content


@contextmanager
def serving(
    port: int = 0, megabits_per_second: float = float("inf"), unavailable_seconds: float = 0
) -> Iterator[Registry]:
    """Run a registry until the block ends.

    Args:
        port: where to listen, on all addresses; 0 for any.
        megabits_per_second: the speed of its line.
        unavailable_seconds: how long it answers 503, from the first request on.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logins = directory / "htpasswd"
        logins.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()}\n")
        htpasswd = {"htpasswd": {"realm": "private", "path": str(logins)}}
        registry = Registry(
            port,
            stack.enter_context(_running(directory / "open", {})),
            stack.enter_context(_running(directory / "private", htpasswd)),
        )
        stack.enter_context(_in_front(registry, _Line(megabits_per_second), unavailable_seconds))
        yield registry


@contextmanager
def mirrored(registry: Registry, home: Home, host: Host) -> Iterator[str]:
    """Let a machine get images of its mirror from this registry, until the block ends.

    Yields:
        The address of the registry on the machine, where its answers are believed without TLS.
    """
    address = f"127.0.0.1:{_PORT}"
    hosts = f"/var/snap/microk8s/current/args/certs.d/{home.variables['homeserver_image_mirror']}"
    text = f'[host."http://{address}"]\n  capabilities = ["pull", "resolve"]\n'
    host.check_output(
        f"systemd-run --unit=lab-registry --socket-property=ListenStream={address}"
        f" /lib/systemd/systemd-socket-proxyd {home.tests}:{registry.port}"
    )
    try:
        host.check_output(f"mkdir -p {hosts} && printf %s '{text}' > {hosts}/hosts.toml")
        yield f"http://{address}"
    finally:
        host.run(f"rm -r {hosts}; systemctl stop lab-registry.socket lab-registry.service")


@contextmanager
def _running(directory: Path, auth: dict[str, dict[str, str]]) -> Iterator[str]:
    """Run Distribution's program; give its address."""
    directory.mkdir()
    port = programs.free_port()
    address = f"127.0.0.1:{port}"
    configuration = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
        "http": {"addr": address},
        **({"auth": auth} if auth else {}),
    }
    file = directory / "config.json"
    file.write_text(json.dumps(configuration))
    with (directory / "log").open("w") as log:
        environment = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
        command = [str(programs.registry()), "serve", str(file)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        wait_for_port(port, process, (directory / "log").read_text)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _in_front(registry: Registry, line: _Line, unavailable_seconds: float) -> Iterator[None]:
    """Pass requests on, unless it is too early."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = time.time()
            first = registry.answers[0].at if registry.answers else now
            if now - first < unavailable_seconds:
                registry.answers.append(Answer(self.path, 503, now))
                self.send_error(503)
                return
            address = registry.backend(self.path.removeprefix("/v2/")).removeprefix("http://")
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request(self.command, self.path, headers=dict(self.headers))
            self._pass_on(connection.getresponse())
            connection.close()

        def do_HEAD(self) -> None:
            self.do_GET()

        def _pass_on(self, answer: http.client.HTTPResponse) -> None:
            registry.answers.append(Answer(self.path, answer.status, time.time()))
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            self.end_headers()
            while chunk := answer.read(_CHUNK):
                self.wfile.write(line.carry(chunk))

        def log_message(self, *_: object) -> None:
            """Do not log requests; they are kept as answers."""

    server = ThreadingHTTPServer(("", registry.port), Handler)
    registry.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file, name
    return file


def _upload_layer(url: str, layer: IO[bytes]) -> dict[str, object]:
    """Upload a layer, compressed as in any registry."""
    with tempfile.TemporaryFile() as compressed:
        with gzip.GzipFile(fileobj=compressed, mode="wb", compresslevel=1, mtime=0) as target:
            shutil.copyfileobj(layer, target, _CHUNK)
        return _upload(url, compressed, f"{_OCI}.layer.v1.tar+gzip")


def _upload(url: str, content: IO[bytes], kind: str) -> dict[str, object]:
    """Upload a blob and return its descriptor."""
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"  # type: ignore[arg-type]
    content.seek(0)
    upload = _send("POST", f"{url}/blobs/uploads/").headers["Location"]
    _send("PUT", upload, data=content, params={"digest": digest})
    return {"mediaType": kind, "size": size, "digest": digest}


def _send(method: str, url: str, **arguments: object) -> requests.Response:
    done = requests.request(method, url, auth=(USER, PASSWORD), timeout=60, **arguments)  # type: ignore[arg-type]
    done.raise_for_status()
    return done
