"""Pages as a browser shows them: headless Chromium, asked over its DevTools protocol.

Playwright would bring Node.js and ask for a browser of its own version, for the dozen commands used here.
"""

import base64
import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from harness.home import Home
from lab.host import ensure_packages

Message = dict[str, Any]
Credentials = tuple[str, str]

_PROGRAMS = ("chromium", "google-chrome")
_PACKAGES = ("chromium", "fonts-liberation")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # it refuses to run as root with one
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container has little of it
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
_PATIENCE = 30.0  # seconds until an answer, or until a page shows what it should
_QUIET = 0.5  # seconds without an event after which a page is complete
_SETTLE = 4.0  # seconds after which it is complete anyway
_TEXT = "document.body ? document.body.innerText : ''"


# Another machine of the lab has come or gone.
_INTERRUPTED = "net::ERR_NETWORK_CHANGED"


class BrowserError(Exception):
    """Chromium, or a page in it, did not do what was asked."""


def install() -> str:
    """Return the browser's program; installs Debian's Chromium if there is none.

    Raises:
        LabError: This is no Debian or Ubuntu, or apt cannot install it.
    """
    there = next(filter(shutil.which, _PROGRAMS), None)
    if not there:
        ensure_packages(_PACKAGES)
    return there or _PROGRAMS[0]


def home_options(address: str, domain: str, certificates: Sequence[Path]) -> list[str]:
    """Return options that find a home by its names, and trust no other certificates than its own."""
    options = [f"--host-resolver-rules=MAP *.{domain} {address}"]
    # Without files, an authority that every browser trusts has issued them.
    pins = [_pin(file) for file in certificates if file.exists()]
    # To trust the home's authority, Chromium would need a database of its own.
    return [*options, f"--ignore-certificate-errors-spki-list={','.join(pins)}"] if pins else options


def _pin(certificate: Path) -> str:
    """Return the hash of a certificate's key."""
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


def _trust(profile: Path, authorities: Sequence[Path]) -> None:
    """Let a Chromium with this profile trust authorities, as its user does in the settings."""
    ensure_packages(["libnss3-tools"])
    database = profile / ".pki/nssdb"
    database.mkdir(parents=True)
    certutil = ("certutil", "-d", f"sql:{database}")
    subprocess.run([*certutil, "-N", "--empty-password"], check=True)
    for file in authorities:
        subprocess.run([*certutil, "-A", "-n", file.name, "-t", "C,,", "-i", file], check=True)


@contextmanager
def on_a_phone(home: Home, profile: Path, *authorities: Path) -> Iterator["Page"]:
    """Open a tab as wide as a phone, on a device that finds the names of a home, until the block ends.

    Args:
        home: The home.
        profile: A directory for Chromium's files, empty or missing.
        authorities: The certificates of the authorities that the device trusts, besides those of the world.

    Raises:
        LabError: There is no Chromium, or no program to add authorities, and none can be installed.
    """
    _trust(profile, authorities)
    with chromium(profile, home_options(home.address, home.domain, ())) as running, running.page() as page:
        page.resize(390, 844)
        yield page


@contextmanager
def at_home(home: Home, profile: Path) -> Iterator["Browser"]:
    """Run Chromium on a device of this home until the block ends."""
    own = [home.secrets / f"{name}.crt" for name in ("traefik", "welcome")]
    with chromium(profile, home_options(home.address, home.domain, own)) as running:
        yield running


@contextmanager
def chromium(profile: Path, options: Sequence[str] = ()) -> Iterator["Browser"]:
    """Run Chromium until the block ends.

    Args:
        profile: A directory for its files, empty or missing.
        options: Further options of its command line.

    Raises:
        LabError: There is none, and none can be installed.
    """
    profile.mkdir(parents=True, exist_ok=True)
    its_input, our_output = os.pipe()
    our_input, its_output = os.pipe()
    # It reads from descriptor 3 and writes to 4.
    command = ["bash", "-c", f'exec "$@" 3<&{its_input} 4>&{its_output}', "-", install(), *_OPTIONS]
    with (profile / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={profile}", *options, "about:blank"],
            stdout=output,
            stderr=output,
            env=os.environ | {"HOME": str(profile)},
            pass_fds=(its_input, its_output),
            start_new_session=True,
        )
    os.close(its_input)
    os.close(its_output)
    try:
        yield Browser(our_input, our_output, profile / "output")
    finally:
        os.close(our_output)  # which ends it
        os.close(our_input)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Page:
    """A tab, with cookies of its own.

    Attributes:
        browser: Where it is.
        session: What its messages are known by.
        credentials: User and password for basic auth, if any.
        errors: What its console showed as an error so far.
    """

    browser: "Browser"
    session: str
    credentials: Credentials | None
    errors: list[str] = field(default_factory=list)
    _origin: str = ""
    _answered: set[str] = field(default_factory=set)

    def open(self, url: str) -> None:
        """Load a URL.

        Raises:
            BrowserError: Nothing answers there.
        """
        self._origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        deadline = time.monotonic() + _PATIENCE
        while (problem := self.call("Page.navigate", url=url).get("errorText")) == _INTERRUPTED:
            if time.monotonic() > deadline:
                break
            self.browser.pump(1)
        if problem:
            raise BrowserError(f"{url}: {problem}")

    def wait_for(self, *texts: str) -> str:
        """Return all that is shown, once it contains one of the texts and nothing more happens.

        Raises:
            BrowserError: None of them appears.
        """
        deadline = time.monotonic() + _PATIENCE
        while not any(text in (shown := self._shown()) for text in texts):
            if time.monotonic() > deadline:
                awaited = " or ".join(map(repr, texts))
                raise BrowserError(f"{awaited} does not appear; errors: {self.errors}; shown:\n{shown}")
            self.browser.pump(0.2)
        end = time.monotonic() + _SETTLE
        while time.monotonic() < end and self.browser.pump(_QUIET):
            pass
        return self._shown()

    def value(self, expression: str) -> Any:
        """Return the value of an expression in JavaScript."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def resize(self, width: int, height: int) -> None:
        """Show the page in a window of this size."""
        size = {"width": width, "height": height}
        self.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)

    def picture(self, width: int, height: int) -> bytes:
        """Return what is shown, as PNG, in a window of this size."""
        self.resize(width, height)
        self.browser.pump(1)
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def call(self, method: str, **parameters: object) -> Message:
        """Do one thing with this page."""
        return self.browser.call(method, self.session, **parameters)

    def handle(self, method: str, event: Message) -> None:
        """Take note of an event of this page, or answer it."""
        if method == "Runtime.exceptionThrown":
            details = event["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "assert"):
            said = [str(each.get("value", each.get("description", ""))) for each in event["args"]]
            self.errors.append(" ".join(said))
        elif method == "Log.entryAdded" and event["entry"]["level"] == "error":
            self.errors.append(f"{event['entry']['text']} {event['entry'].get('url', '')}".rstrip())
        elif method == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", event)
        elif method == "Fetch.authRequired":
            self._send("Fetch.continueWithAuth", event, authChallengeResponse=self._answer(event))

    def _answer(self, event: Message) -> Message:
        """Return the credentials, once for each request, and to the page's own server alone."""
        request = event["requestId"]
        ours = event["authChallenge"]["origin"] == self._origin
        if not (self.credentials and ours) or request in self._answered:
            return {"response": "CancelAuth"}
        self._answered.add(request)
        user, password = self.credentials
        return {"response": "ProvideCredentials", "username": user, "password": password}

    def _send(self, method: str, event: Message, **parameters: object) -> None:
        self.browser.send(method, self.session, requestId=event["requestId"], **parameters)

    def _shown(self) -> str:
        return str(self.value(_TEXT) or "")


class Browser:
    """A running Chromium."""

    def __init__(self, source: int, sink: int, output: Path) -> None:
        self._source = source
        self._sink = sink
        self._output = output
        self._unread = b""
        self._count = 0
        self._answers: dict[int, Message] = {}
        self._pages: dict[str, Page] = {}

    @contextmanager
    def page(self, credentials: Credentials | None = None) -> Iterator[Page]:
        """Open a tab until the block ends."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self._pages[session] = Page(self, session, credentials)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.call("Fetch.enable", handleAuthRequests=True)
        try:
            yield page
        finally:
            del self._pages[session]
            with contextlib.suppress(BrowserError):
                self.call("Target.disposeBrowserContext", browserContextId=context)

    def call(self, method: str, session: str = "", **parameters: object) -> Message:
        """Do one thing, and return its result.

        Raises:
            BrowserError: It was refused, or there is no answer in time.
        """
        number = self.send(method, session, **parameters)
        deadline = time.monotonic() + _PATIENCE
        while number not in self._answers:
            if time.monotonic() > deadline:
                raise BrowserError(f"no answer to {method} after {_PATIENCE:g} s")
            self.pump(1)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        result: Message = answer["result"]
        return result

    def send(self, method: str, session: str = "", **parameters: object) -> int:
        """Ask for one thing, and return the number of the answer to come."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        unsent = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        try:
            while unsent:
                unsent = unsent[os.write(self._sink, unsent) :]
        except BrokenPipeError:
            raise self._ended() from None
        return self._count

    def pump(self, seconds: float) -> bool:
        """Handle the next events, for which it waits this long, and return whether there were any.

        Raises:
            BrowserError: Chromium has ended.
        """
        if not select.select([self._source], [], [], seconds)[0]:
            return False
        received = os.read(self._source, 1 << 20)
        if not received:
            raise self._ended()
        *messages, self._unread = (self._unread + received).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            elif page := self._pages.get(message.get("sessionId", "")):
                page.handle(message["method"], message["params"])
        return True

    def _ended(self) -> BrowserError:
        return BrowserError(f"Chromium has ended:\n{self._output.read_text(errors='replace')[-2000:]}")
