"""What tests do with a door in their own process: as a browser of somebody, and as a client."""

import base64
import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.http import HttpResponse
from django.test import Client
from homeserver_door import home
from homeserver_door.models import Invitation, Person

from images.door.tests.authenticator import Authenticator
from images.door.tests.served import CALLBACK, HOME, LOGIN, Mounted

VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
AUTHORIZE = {
    "client_id": "gate",
    "response_type": "code",
    "scope": "openid profile email groups",
    "state": "a-state",
    "redirect_uri": CALLBACK,
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@dataclass
class Browser:
    """A browser, with cookies of its own, behind Traefik.

    Attributes:
        address: Its address.
        client: What asks.
    """

    address: str = "192.168.1.50"
    client: Client = field(default_factory=lambda: Client(enforce_csrf_checks=True))

    def get(self, path: str, host: str = LOGIN, **headers: str) -> HttpResponse:
        """Open a page."""
        return self.client.get(path, headers=self._headers(host) | headers)

    def post(self, path: str, values: dict[str, str] | None = None, **headers: str) -> HttpResponse:
        """Send a form, with the token of a page that was open before."""
        token = self.client.cookies["__Host-csrf"].value if "__Host-csrf" in self.client.cookies else ""
        form = {"csrfmiddlewaretoken": token} | (values or {})
        return self.client.post(
            path, form, headers=self._headers(LOGIN) | {"origin": f"https://{LOGIN}"} | headers
        )

    def accept(self, code: str, key: Authenticator) -> HttpResponse:
        """Accept an invitation with a new passkey; return the last response."""
        self.get("/invitation/")
        answer = self.post("/invitation/", {"code": code})
        if answer.status_code != 302:
            return answer
        options = options_of(self.get("/invitation/passkey/"))["creation_options"]
        return self.post("/invitation/passkey/", {"name": "Phone", "credential": key.create(options)})

    def log_in(self, key: Authenticator, **values: str) -> HttpResponse:
        """Log in with a passkey."""
        self.get("/login/")
        options = self.get("/keys/webauthn/login/", accept="application/json").json()["request_options"]
        return self.post("/keys/webauthn/login/", {"credential": key.get(options)} | values)

    def person(self) -> str:
        """Return who is logged in here; empty for nobody."""
        page = self.get("/")
        found = re.search(r"<h1>(.*)</h1>", page.content.decode())
        return found[1] if page.status_code == 200 and found else ""

    def authorize(self, **changed: str | None) -> HttpResponse:
        """Ask for a code, with some other parameters; None leaves one out."""
        values = {key: value for key, value in (AUTHORIZE | changed).items() if value is not None}
        return self.get(f"/identity/o/authorize?{urlencode(values)}")

    def _headers(self, host: str) -> dict[str, str]:
        return {"host": host, "x-forwarded-for": self.address}


@dataclass
class Inside:
    """The door.

    Attributes:
        mounted: Its directories.
    """

    mounted: Mounted

    def invitation(self, name: str) -> str:
        """Invite a person; return the code."""
        return Invitation.make(Person.objects.get(name=name))[1]

    def enter(self, name: str) -> tuple[Browser, Authenticator]:
        """Let a person in for the first time."""
        browser, key = Browser(), Authenticator()
        answer = browser.accept(self.invitation(name), key)
        assert answer.status_code == 302, answer.content.decode()
        assert browser.person() == name
        return browser, key

    def token(self, code: str, **changed: str) -> HttpResponse:
        """Redeem a code, as the gate does within the cluster."""
        values = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "client_id": "gate",
            "client_secret": self.mounted.secrets["gate"],
            "code_verifier": VERIFIER,
        }
        return self.api("token", **{key: value for key, value in (values | changed).items() if value})

    def api(self, path: str, **values: str) -> HttpResponse:
        """Ask as a program in the cluster."""
        kind = "application/x-www-form-urlencoded"
        body = urlencode(values)
        return Client().post(f"/identity/o/api/{path}", body, kind, headers={"host": "door.door:8080"})

    def refresh(self, token: str) -> HttpResponse:
        """Ask for new tokens."""
        return self.token(
            "", grant_type="refresh_token", refresh_token=token, redirect_uri="", code_verifier=""
        )

    def userinfo(self, token: str) -> HttpResponse:
        """Ask for the owner of an access token."""
        headers = {"host": "10.1.2.3:8080", "authorization": f"Bearer {token}"}
        return Client().get("/identity/o/api/userinfo", headers=headers)

    def start(self, name: str = "", **headers: str) -> HttpResponse:
        """Open the start page as a person who passed the gate."""
        named = {"x-auth-request-preferred-username": name} if name else {}
        return Client().get("/", headers={"host": HOME} | named | headers)

    def change(self, **changed: Any) -> None:
        """Change the configuration."""
        self.mounted.write(**changed)
        home.current()


def options_of(page: HttpResponse) -> Any:
    """Return what a page gives to the script for passkeys."""
    found = re.search(r'<script id="js_data" type="application/json">(.*?)</script>', page.content.decode())
    assert found, page.content.decode()
    return json.loads(found[1])


def code_of(answer: HttpResponse) -> str:
    """Return the code in the redirect to a client."""
    assert answer.status_code == 302, answer.content.decode()
    location = answer["Location"]
    assert location.startswith(f"{CALLBACK}?"), location
    return str(parse_qs(urlsplit(location).query)["code"][0])


def text_of(page: HttpResponse) -> str:
    """Return what a page shows."""
    body = re.sub(r"<(style|script).*?</\1>", "", page.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
