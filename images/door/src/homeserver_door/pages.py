"""What all pages share: what their templates know, and the pages for errors."""

from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from homeserver_door import events
from homeserver_door.config import Home

_SCRIPT = "text/javascript; charset=utf-8"
_FILES = {
    "style.css": ("homeserver_door", "files/style.css", "text/css; charset=utf-8"),
    "invitation.js": ("homeserver_door", "files/invitation.js", _SCRIPT),
    "icon.svg": ("homeserver_door", "files/icon.svg", "image/svg+xml"),
    "mfa/js/webauthn.js": ("allauth.mfa", "static/mfa/js/webauthn.js", _SCRIPT),
    "mfa/js/webauthn-json.js": (
        "allauth.mfa",
        "static/mfa/js/webauthn-json.js",
        _SCRIPT,
    ),
    "account/js/onload.js": (
        "allauth.account",
        "static/account/js/onload.js",
        _SCRIPT,
    ),
}


def context(request: HttpRequest) -> dict[str, Any]:
    """Return what every template knows."""
    now: Home = request.home
    leave = f"{now.issuer}/logout/"
    if request.get_host() == now.home_host:
        leave = f"/oauth2/sign_out?rd={quote(leave, safe='')}"
    return {"home": now, "trace": request.trace, "leave": leave}


def static(_request: HttpRequest, name: str) -> HttpResponse:
    """Serve a file of the pages."""
    if name not in _FILES:
        raise Http404
    content, kind = _content(name)
    return HttpResponse(content, content_type=kind, headers={"Cache-Control": "public, max-age=3600"})


@cache
def _content(name: str) -> tuple[bytes, str]:
    package, path, kind = _FILES[name]
    return files(package).joinpath(path).read_bytes(), kind


def manifest(request: HttpRequest) -> JsonResponse:
    """Describe the start page for a phone's home screen."""
    icon = {"src": "/static/icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any"}
    return JsonResponse(
        {
            "name": request.home.domain,
            "short_name": "Home",
            "start_url": "/",
            "display": "standalone",
            "background_color": "#16181d",
            "theme_color": "#16181d",
            "icons": [icon],
        },
        content_type="application/manifest+json",
    )


def error(request: HttpRequest, status: int, title: str, *texts: str, person: str = "") -> HttpResponse:
    """Return the page for an error.

    Args:
        request: What was asked.
        status: The status code.
        title: What happened.
        texts: What to do, in paragraphs.
        person: Who is logged in, if that is known.
    """
    values = {"title": title, "texts": texts, "person": person}
    return render(request, "door/error.html", values, status=status)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Return the page for somebody who may not open a page."""
    del exception
    who = _who(request)
    events.denied(request, "forbidden", who, path=request.path)
    return error(
        request, 403, "This page is not for you", "It is open to other people of this home.", person=who
    )


def forgery(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Return the page for a form that did not come from here, or that is too old."""
    events.denied(request, "csrf", _who(request), path=request.path, detail=reason)
    return error(request, 403, "That form has expired", "Please go back, load the page again, and repeat it.")


def missing(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Return the page for an address that does not exist."""
    del exception
    return error(request, 404, "There is no such page", "The address may be mistyped, or the page has moved.")


def too_many(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Return the page for somebody who asks too often."""
    del exception
    events.denied(request, "rate", _who(request), path=request.path)
    return error(request, 429, "Too many attempts", "Please wait a few minutes, then try again.")


def broken(request: HttpRequest) -> HttpResponse:
    """Return the page for a mistake of this program."""
    text = "That is a mistake of this page, not of yours. Please try again."
    return error(request, 500, "Something went wrong", text)


def _who(request: HttpRequest) -> str:
    if name := getattr(request, "visitor", ""):
        return str(name)
    user = getattr(request, "user", None)
    return str(user.name) if user is not None and user.is_authenticated else ""
