"""The start page: what this person may open, and whether it answers."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from homeserver_door import events
from homeserver_door.config import ADMINS, EVERYONE, PUBLIC, Home, Page, Person
from homeserver_door.health import Health, Known

_HEALTH = Health()
_OTHER = "Pages"


@dataclass(frozen=True)
class Tile:
    """A page as it is shown.

    Attributes:
        title: Its name.
        url: Its address.
        host: Its host, for a reader.
        state: `up`, `down`, or `unknown`; empty where nothing watches it.
    """

    title: str
    url: str
    host: str
    state: str


def page(request: HttpRequest) -> HttpResponse:
    """Show the start page."""
    now: Home = request.home
    name = visitor(request)
    person = now.people.get(name)
    if name and person is None:
        # The gate has not yet noticed that this person is gone.
        request.visitor = name
        raise PermissionDenied
    known = _HEALTH.known(now.prometheus)
    is_admin = person is not None and ADMINS in person.groups
    values = {
        "person": person,
        "is_admin": is_admin,
        "groups": grouped(now, person, known),
        "alerts": known.alerts if known and is_admin else (),
        "calm": bool(known and is_admin and not known.alerts),
        "blind": bool(now.prometheus and is_admin and not known),
    }
    return render(request, "door/start.html", values)


def visitor(request: HttpRequest) -> str:
    """Return the name that the gate sends; empty if nobody has logged in."""
    claimed = str(request.META.get("HTTP_X_AUTH_REQUEST_PREFERRED_USERNAME", ""))
    if claimed and not request.home.trusts(str(request.META.get("REMOTE_ADDR", ""))):
        events.denied(request, "forged header", claimed=claimed[:63])
        return ""
    return claimed


def grouped(now: Home, person: Person | None, known: Known | None) -> dict[str, list[Tile]]:
    """Return the pages that a person may open, under their headings."""
    found: dict[str, list[Tile]] = {}
    for each in now.pages:
        if may_open(each, person):
            found.setdefault(each.group or _OTHER, []).append(_tile(each, now, known))
    return found


def may_open(each: Page, person: Person | None) -> bool:
    """Return whether a person may open a page; None is anybody."""
    if PUBLIC in each.access:
        return True
    return person is not None and (EVERYONE in each.access or bool(set(each.access) & set(person.groups)))


def _tile(each: Page, now: Home, known: Known | None) -> Tile:
    state = ""
    if each.probe and now.prometheus:
        up = known.up.get(each.probe) if known else None
        state = "unknown" if up is None else "up" if up else "down"
    return Tile(each.title, each.url, urlsplit(each.url).netloc, state)
