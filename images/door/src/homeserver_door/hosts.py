"""Gives each request the pages of its host, and each response its headers."""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse

from homeserver_door import home, metrics, pages
from homeserver_door.config import Home

_LOGIN, _HOME = "homeserver_door.urls.login", "homeserver_door.urls.home"
_INNER = re.compile(r"/(healthz|readyz|\.well-known/.*|identity/o/api/.*)")
"""What probes and clients in the cluster ask, by whatever name they know this pod."""
_WITH_PASSWORDS = ("/keys/totp/", "/password/", "/invitation/password/")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_UNKNOWN_CLIENT = "0.0.0.0"  # noqa: S104 -- it is shown, nothing listens on it


class Hosts:
    """Middleware; the first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        now = home.current()
        # Traefik has ended TLS, and forwards nothing else.
        request.META["wsgi.url_scheme"] = "https"
        request.home = now
        request.trace = _trace(request)
        request.address = client_address(request, now)
        host = str(request.META.get("HTTP_HOST", "")).lower().removesuffix(":443")
        request.META["HTTP_HOST"] = now.home_host if host == now.home_host else now.login_host
        request.urlconf = _HOME if host == now.home_host else _LOGIN
        with metrics.SECONDS.labels("home" if request.urlconf == _HOME else "login").time():
            response = self._next(request) if _open(request.path, host, now) else pages.missing(request)
        _secure(response, now)
        return response


def _open(path: str, host: str, now: Home) -> bool:
    """Return whether a host has this path at all."""
    if path.startswith(_WITH_PASSWORDS) and not now.passwords:
        return False
    return host in (now.login_host, now.home_host) or bool(_INNER.fullmatch(path))


def client_address(request: HttpRequest, now: Home) -> str:
    """Return the address of the client: Traefik names it last, and nobody else is believed."""
    peer = str(request.META.get("REMOTE_ADDR", "")) or _UNKNOWN_CLIENT
    named = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).rpartition(",")[2].strip()
    return named if now.trusts(peer) and re.fullmatch(r"[0-9a-fA-F.:]{2,45}", named) else peer


def _trace(request: HttpRequest) -> str:
    found = _TRACE.fullmatch(str(request.META.get("HTTP_TRACEPARENT", "")))
    return found[1] if found else ""


def _secure(response: HttpResponse, now: Home) -> None:
    """Add headers that restrict what a browser allows these pages to do."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"manifest-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action {_targets(now)}"
    )
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
    response.headers.setdefault("Cache-Control", "no-store")


def _targets(now: Home) -> str:
    """Return where a form may lead: after a login, a browser is redirected to the page that asked for it."""
    uris = [urlsplit(uri) for client in now.clients.values() for uri in client.redirect_uris]
    return " ".join(
        ["'self'", now.start.rstrip("/"), *sorted({f"{uri.scheme}://{uri.netloc}" for uri in uris})]
    )
