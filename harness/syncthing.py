"""Syncthing's devices: a server of a home, and a computer that runs the same program here."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from harness import programs
from harness.waiting import wait_for_port

_TIMEOUT = 30


@dataclass(frozen=True)
class Device:
    """A device, through its REST API.

    Attributes:
        url: Its page.
        session: What may use the API.
        device: Its ID.
    """

    url: str
    session: requests.Session
    device: str

    def share(self, folder: str, path: str, other: str, address: str = "dynamic") -> None:
        """Add another device by its ID and address, and share a folder with it."""
        self._post("config/devices", json={"deviceID": other, "addresses": [address]})
        devices = [{"deviceID": each} for each in (self.device, other)]
        self._post("config/folders", json={"id": folder, "path": path, "devices": devices})

    def scan(self, folder: str) -> None:
        """Look for changed files now."""
        self._post("db/scan", params={"folder": folder})

    def _post(self, path: str, **arguments: Any) -> None:
        done = self.session.post(f"{self.url}/rest/{path}", timeout=_TIMEOUT, **arguments)
        assert done.ok, done.text


def server(url: str, ca: str, login: tuple[str, str]) -> Device:
    """Return a device as a browser reaches it: with the token that its page gives."""
    session = requests.Session()
    session.verify, session.auth, session.trust_env = ca, login, False
    page = session.get(f"{url}/", timeout=_TIMEOUT)
    assert page.ok, page.text
    (cookie,) = (each for each in session.cookies if each.name.startswith("CSRF-Token-"))
    session.headers[f"X-{cookie.name}"] = str(cookie.value)
    return _with_id(url, session)


def _with_id(url: str, session: requests.Session) -> Device:
    status = session.get(f"{url}/rest/system/status", timeout=_TIMEOUT)
    assert status.ok, status.text
    return Device(url, session, status.json()["myID"])


@contextmanager
def computer(directory: Path) -> Iterator[Device]:
    """Run a device here until the block ends. It asks nobody for other devices."""
    home, port, own = directory / "syncthing", programs.free_port(), programs.free_port()
    program, log = str(programs.syncthing()), directory / "log"
    subprocess.run([program, "generate", f"--home={home}"], check=True, capture_output=True)
    file = home / "config.xml"
    text = file.read_text()
    for name, value in {
        "globalAnnounceEnabled": "false",
        "localAnnounceEnabled": "false",
        "relaysEnabled": "false",
        "natEnabled": "false",
        "crashReportingEnabled": "false",
        "listenAddress": f"tcp://127.0.0.1:{own}",
    }.items():
        text, count = re.subn(f"<{name}>.*?</{name}>", f"<{name}>{value}</{name}>", text)
        assert count, f"{file} has no {name}"
    file.write_text(text)
    (key,) = re.findall(r"<apikey>(\w+)</apikey>", text)
    command = [program, "serve", f"--home={home}", f"--gui-address=127.0.0.1:{port}", "--no-browser"]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, "--no-restart"], stdout=output, stderr=output)
    try:
        wait_for_port(port, process, log.read_text)
        session = requests.Session()
        session.trust_env = False
        session.headers["X-API-Key"] = key
        yield _with_id(f"http://127.0.0.1:{port}", session)
    finally:
        process.terminate()
        process.wait()
