"""What allauth asks about people, keys and claims."""

from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.core import context
from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from homeserver_door import home
from homeserver_door.models import Person
from homeserver_door.sync import SCOPES


class Account(DefaultAccountAdapter):
    """Nobody signs up, and nobody is led elsewhere."""

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        """Return that nobody may sign up: the configuration says who there is."""
        return False

    def is_safe_url(self, url: str) -> bool:
        """Return whether a login may lead to this URL: to a page of the login, or to the start page."""
        if url.startswith("/"):
            return bool(url_has_allowed_host_and_scheme(url, None))
        hosts = {home.current().home_host}
        return urlsplit(url).netloc in hosts and bool(
            url_has_allowed_host_and_scheme(url, hosts, require_https=True)
        )

    def get_login_redirect_url(self, _request: HttpRequest) -> str:
        """Return where a login leads that nothing else asked for."""
        return home.current().start

    def get_client_ip(self, request: HttpRequest) -> str:
        """Return the address of the client."""
        return str(request.address)


class Passwords(AuthenticationBackend):
    """Passwords open nothing unless the home allows them, and only with an authenticator app."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Person | None:
        """Return the person whose password this is."""
        if not home.current().passwords:
            return None
        found: Person | None = super().authenticate(request, **credentials)
        return found if found and found.has(Authenticator.Type.TOTP) else None


class Keys(DefaultMFAAdapter):
    """Passkeys belong to the host of the login."""

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the host and the name that passkeys belong to."""
        now = home.current()
        return {"id": now.login_host, "name": now.domain}

    def get_totp_issuer(self) -> str:
        """Return the name in an authenticator app."""
        return home.current().domain

    def generate_authenticator_name(self, _user: Person, _type: Authenticator.Type) -> str:
        """Return a name for a new passkey: that of the device."""
        return device_name(str(context.request.META.get("HTTP_USER_AGENT", "")))


class Provider(DefaultOIDCAdapter):
    """Claims are what the configuration says at the moment."""

    scope_display: ClassVar = {
        "openid": "your name in this home",
        "profile": "your name in this home",
        "email": "your email address",
        "groups": "your groups",
    }

    def get_issuer(self) -> str:
        """Return the URL of the login."""
        return home.current().issuer

    def get_user_sub(self, _client: Any, user: Person) -> str:
        """Return the lasting name of a person, which also survives the loss of the database."""
        return str(user.name)

    def get_user_by_sub(self, _client: Any, sub: str) -> Person | None:
        """Return a person by that name."""
        found = Person.objects.filter(name=sub).first()
        return found if found and found.is_active else None

    def get_claims(
        self,
        _purpose: str,
        user: Person,
        client: Any,
        scopes: Iterable[str],
        **_: Any,
    ) -> dict[str, Any]:
        """Return the claims that a client gets about a person."""
        claims: dict[str, Any] = {"sub": self.get_user_sub(client, user)}
        if "profile" in scopes:
            claims |= {"name": user.name, "preferred_username": user.name}
        if "email" in scopes and user.email:
            # An owner wrote it into the configuration.
            claims |= {"email": user.email, "email_verified": True}
        if "groups" in scopes:
            claims["groups"] = list(user.groups)
        return claims

    def populate_server_metadata(self, data: dict[str, Any]) -> None:
        """Say what this provider supports, which is less than allauth does."""
        data["scopes_supported"] = list(SCOPES)
        data["response_types_supported"] = ["code"]
        data["grant_types_supported"] = [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ]


def device_name(user_agent: str) -> str:
    """Return a name for a device that its owner recognizes."""
    for mark, name in (
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "Chromebook"),
        ("Windows", "Windows"),
        ("Macintosh", "Mac"),
        ("Linux", "Linux"),
    ):
        if mark in user_agent:
            return name
    return "Device"
