"""Who gets which login of a registry."""

import base64
import http.server
from collections.abc import Iterator
from typing import ClassVar

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.registry.client import Registries
from ansible_collections.homeserver.stack.plugins.module_utils.registry.downloads import DownloadError, Web

from harness.traefik import serving

HOSTS = ("host.test", "host.test:5000", "host.tes")


class Closed(http.server.BaseHTTPRequestHandler):
    """A registry that asks for a password and takes none; it is one of those hosts, by the path."""

    heard: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        """Note what was told to which host."""
        host = self.path.split("/")[1]
        told = self.headers.get("Authorization", "").removeprefix("Basic ")
        self.heard.append((host, base64.b64decode(told).decode()))
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="closed"')
        self.end_headers()


@pytest.fixture
def url() -> Iterator[str]:
    """Where that registry is."""
    Closed.heard.clear()
    with serving(Closed) as url:
        yield url


@pytest.mark.parametrize("known", HOSTS)
@pytest.mark.parametrize("asked", HOSTS)
def test_a_login_is_told_to_its_own_registry_alone(url: str, known: str, asked: str) -> None:
    mirrors = {host: f"{url}/{host}" for host in HOSTS}
    login = {"registry": known, "username": "ada", "password": "not-a-secret"}

    with pytest.raises(DownloadError, match="is not public"):
        Registries(Web(print), mirrors, [login]).find(f"{asked}/app:1", "linux/amd64")

    told = {host for host, given in Closed.heard if given == "ada:not-a-secret"}
    assert told == ({asked} if known == asked else set())
