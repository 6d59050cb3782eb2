"""Every browser family gets the page: from the app in-process, or from a running one.

APP_URL selects a running app. Its certificate is verified with the authority in the file APP_CA, and its
host name resolves to APP_ADDRESS.
"""

import os
import socket

import pytest
import requests

from homeserver_app import create_app
from homeserver_app.settings import Settings

from .agents import AGENTS

URL = os.environ.get("APP_URL", "")
ADDRESS = os.environ.get("APP_ADDRESS", "")


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    if ADDRESS:
        resolve = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", lambda _host, *rest, **how: resolve(ADDRESS, *rest, **how))


@pytest.mark.parametrize("browser", AGENTS)
def test_the_greeting_is_a_page(browser: str) -> None:
    headers = {"User-Agent": AGENTS[browser], "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    if URL:
        response = requests.get(URL, headers=headers, verify=os.environ.get("APP_CA") or True, timeout=10)
        status, kind, text = response.status_code, response.headers["Content-Type"], response.text
    else:
        answer = create_app(Settings.from_environment(os.environ)).test_client().get("/", headers=headers)
        status, kind, text = answer.status_code, answer.content_type, answer.text
    assert (status, kind) == (200, "text/html; charset=utf-8")
    assert "<h1>" in text
