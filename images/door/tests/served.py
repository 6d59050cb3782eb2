"""The door as it runs in its pod, and what is in its configuration."""

import copy
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from harness.programs import free_port
from harness.waiting import wait_for_port

SOURCE = Path(__file__).parents[1] / "src"
LOGIN, HOME = "login.home.arpa", "home.home.arpa"
CALLBACK = "https://grafana.home.arpa/oauth2/callback"
CONFIG: dict[str, Any] = {
    "domain": "home.arpa",
    "login_host": LOGIN,
    "home_host": HOME,
    "session_hours": 168,
    "people": [
        {"name": "anna", "email": "anna@example.org", "groups": ["admins", "family"]},
        {"name": "ben", "email": "ben@example.org", "groups": ["family"]},
        {"name": "guest", "groups": []},
    ],
    "clients": [
        {"id": "gate", "name": "Pages of the home", "redirect_uris": [CALLBACK], "trusted": True},
        {"id": "wiki", "name": "Wiki", "redirect_uris": ["https://wiki.home.arpa/callback"]},
        {"id": "kubectl", "name": "kubectl", "redirect_uris": [], "public": True},
    ],
    "pages": [
        {"title": "Grafana", "url": "https://grafana.home.arpa/", "access": ["admins"], "group": "Operations",
         "probe": "grafana.home.arpa"},
        {"title": "Photos", "url": "https://photos.home.arpa/", "access": ["family"], "group": "Media"},
        {"title": "Wiki", "url": "https://wiki.home.arpa/", "access": ["everyone"]},
        {"title": "Hello", "url": "https://hello.home.arpa/", "access": ["public"], "group": "Media"},
    ],
    "welcome": "http://home.local/",
    "proxies": ["127.0.0.0/8"],
}  # fmt: skip


def private_key() -> str:
    """Return a private key as the role makes it."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.private_bytes(*pem).decode()


_KEY = private_key()


@dataclass
class Mounted:
    """The directories that the pod mounts.

    Attributes:
        config: The configuration and the secrets.
        data: The database.
        secrets: The secrets of clients, by their ids.
    """

    config: Path
    data: Path
    secrets: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """What tells the program where they are."""
        return {"HOMESERVER_DOOR_CONFIG": str(self.config), "HOMESERVER_DOOR_DATA": str(self.data)}

    def write(self, **changed: Any) -> None:
        """Write a configuration in which some keys are others. It replaces the file, as the kubelet does."""
        new = self.config / "new"
        new.write_text(json.dumps(copy.deepcopy(CONFIG) | changed))
        new.rename(self.config / "config.json")

    def without(self, name: str) -> None:
        """Write a configuration without a person."""
        self.write(people=[each for each in CONFIG["people"] if each["name"] != name])


def mount(directory: Path, **changed: Any) -> Mounted:
    """Make the directories, with a configuration in which some keys are others."""
    config, data = directory / "etc", directory / "data"
    (config / "secrets").mkdir(parents=True)
    data.mkdir()
    clients = {each["id"]: secrets.token_urlsafe(24) for each in CONFIG["clients"] if not each.get("public")}
    files = {"django-key": secrets.token_hex(32), "oidc-key.pem": _KEY}
    for name, content in (files | {f"client-{name}": value for name, value in clients.items()}).items():
        (config / "secrets" / name).write_text(f"{content}\n")
    mounted = Mounted(config, data, clients)
    mounted.write(**changed)
    return mounted


@dataclass
class Running:
    """A running door.

    Attributes:
        mounted: Its directories.
        port: Where it serves.
        metrics: Where it serves metrics.
        process: Its first process.
        log: What it writes.
    """

    mounted: Mounted
    port: int
    metrics: int
    process: subprocess.Popen[bytes]
    log: Path

    def command(self, *arguments: str) -> Any:
        """Run a command of manage.py beside it; return the JSON that it prints."""
        return json.loads(manage(self.mounted, *arguments).stdout)

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


def manage(mounted: Mounted, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of manage.py."""
    command = [sys.executable, "manage.py", *arguments]
    environment = os.environ | mounted.environment
    return subprocess.run(command, cwd=SOURCE, env=environment, check=check, capture_output=True, text=True)


def _of_image() -> dict[str, str]:
    """Return what the image sets that changes how Python behaves."""
    text = (SOURCE.parent / "Dockerfile").read_text()
    return dict(re.findall(r"(PYTHONOPTIMIZE|MALLOC_ARENA_MAX)=(\S+)", text))


@contextmanager
def running(mounted: Mounted, options: Sequence[str] = ()) -> Iterator[Running]:
    """Run the door until the block ends.

    Args:
        mounted: Its directories.
        options: Further options of gunicorn, such as those for TLS.
    """
    port, metrics, log = free_port(), free_port(), mounted.data / "log"
    ports = {"HOMESERVER_DOOR_PORT": str(port), "HOMESERVER_DOOR_METRICS_PORT": str(metrics)}
    environment = os.environ | _of_image() | mounted.environment | ports
    environment |= {"GUNICORN_CMD_ARGS": " ".join(options)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"], cwd=SOURCE, env=environment, stdout=output, stderr=output
        )
    try:
        wait_for_port(port, process, log.read_text)
        wait_for_port(metrics, process, log.read_text)
        yield Running(mounted, port, metrics, process, log)
    finally:
        process.terminate()
        process.wait(timeout=40)
