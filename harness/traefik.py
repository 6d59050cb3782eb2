"""The real Traefik on loopback, with the role's configuration and routes."""

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from requests.adapters import HTTPAdapter

from harness import waiting
from harness.programs import free_port
from harness.rendering import Object, find
from harness.traefik_role import behind_files, render


@dataclass(frozen=True)
class Traefik:
    """A running Traefik, by the addresses of its entry points and the file it logs to."""

    addresses: dict[str, str]
    log: Path

    @property
    def public(self) -> str:
        """The entry point that clients of the home reach."""
        return "outside" if "outside" in self.addresses else "websecure"

    def url(self, entry_point: str, path: str) -> str:
        """The URL of a path behind an entry point."""
        scheme = "https" if entry_point in ("websecure", "outside") else "http"
        return f"{scheme}://{self.addresses[entry_point]}{path}"

    def get(
        self, path: str, client: str = "127.0.0.1", entry_point: str = "", **options: Any
    ) -> requests.Response:
        """Ask as a client with this address of loopback, by default over HTTPS."""
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, From(client))
            session.trust_env = False
            url = self.url(entry_point or self.public, path)
            return session.get(url, verify=False, timeout=30, allow_redirects=False, **options)

    def status(self, path: str) -> int:
        """What the port for probes and metrics answers."""
        return requests.get(self.url("metrics", path), timeout=30).status_code

    def lines(self, **fields: str) -> list[dict[str, Any]]:
        """The log's lines that have these fields."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if fields.items() <= line.items()]


class From(HTTPAdapter):
    """Connects from a given address."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let all connections come from the address."""
        super().init_poolmanager(*arguments, source_address=(self._address, 0), **options)


@contextmanager
def running(
    directory: Path, configuration: dict[str, Any], probe: str = "/ping", **given: str
) -> Iterator[Traefik]:
    """Run Traefik on free ports of loopback until left, or at given addresses; wait for this probe first."""
    addresses = {name: free_address() for name in configuration["entryPoints"]} | given
    for name, address in addresses.items():
        configuration["entryPoints"][name]["address"] = address
    (directory / "traefik.yaml").write_text(yaml.safe_dump(configuration))
    traefik = Traefik(addresses, directory / "log")
    environment = os.environ | {"CF_DNS_API_TOKEN": "a-secret-that-no-log-may-hold"}
    with (
        traefik.log.open("w") as log,
        subprocess.Popen(
            ["traefik", f"--configfile={directory / 'traefik.yaml'}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        ) as process,
    ):
        try:
            wait_until(lambda: _answers(traefik, probe), traefik, process)
            yield traefik
        finally:
            process.kill()


@contextmanager
def in_front_of(
    app: str, directory: Path, others: Iterable[Object] = (), /, **variables: Any
) -> Iterator[Traefik]:
    """Run Traefik in front of the app at this URL, with the role's routes and one for every other name.

    Routes and middlewares of other roles can be added.
    """
    objects = render(directory, **variables) + [
        each for each in others if each["kind"] in ("IngressRoute", "Middleware")
    ]
    files = find(objects, "ConfigMap", "traefik")["data"]
    configuration = yaml.safe_load(files["traefik.yaml"])
    routes = behind_files(objects, app)
    routes["http"]["routers"]["app"] = {"rule": "PathPrefix(`/`)", "service": "app"}
    (directory / "routes").mkdir()
    (directory / "routes/routes.yaml").write_text(yaml.safe_dump(routes))
    given = {}
    if "outside.yaml" in files:
        given = {"websecure": free_address()}
        outside = files["outside.yaml"].replace("127.0.0.1:8444", given["websecure"])
        (directory / "routes/outside.yaml").write_text(outside)
    configuration["providers"] = {"file": {"directory": str(directory / "routes")}}
    with running(directory, configuration, probe="/ready", **given) as traefik:
        # Its entry points take over their routes one after the other.
        wait_until(lambda: traefik.get("/").status_code != 404, traefik)
        yield traefik


@contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on loopback until left; yield the URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def free_address() -> str:
    """Return an address of loopback with a free port."""
    return f"127.0.0.1:{free_port()}"


def wait_until(
    done: Callable[[], bool], traefik: Traefik, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait until something is so, for a while, and no longer than Traefik runs."""
    waiting.wait_until(lambda: done() or (process and process.poll() is not None), traefik.log.read_text)
    assert process is None or process.poll() is None, traefik.log.read_text()


def _answers(traefik: Traefik, probe: str) -> bool:
    try:
        return traefik.status(probe) == 200
    except requests.ConnectionError:
        return False
