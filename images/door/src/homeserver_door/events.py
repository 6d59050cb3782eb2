"""Writes down who comes and goes: a line of JSON in the log, and a count for Prometheus."""

from typing import Any

from django.contrib.auth import signals
from django.http import HttpRequest

from homeserver_door import audit, metrics, sessions

_METHOD = "door_method"


def record(event: str, request: HttpRequest, person: str = "", **details: object) -> None:
    """Write down an event, and from where it came."""
    audit.record(
        event,
        person=person,
        client=request.address,
        user_agent=str(request.META.get("HTTP_USER_AGENT", ""))[:300],
        trace=request.trace,
        **details,
    )


def proves(request: HttpRequest, method: str) -> None:
    """Say by what means the person of this request is about to log in."""
    setattr(request, _METHOD, method)


def failed(request: HttpRequest, method: str, person: str = "") -> None:
    """Write down that somebody could not prove who they are."""
    metrics.LOGINS.labels(method, "failure").inc()
    record("login failed", request, person[:63], method=method)


def denied(request: HttpRequest, reason: str, person: str = "", **details: object) -> None:
    """Write down that a request was refused."""
    metrics.DENIALS.labels(reason).inc()
    record("denied", request, person, reason=reason, **details)


def invited(request: HttpRequest, event: str, person: str = "", **details: object) -> None:
    """Write down what happened with an invitation: it was made, used or refused."""
    metrics.INVITATIONS.labels(event).inc()
    record(f"invitation {event}", request, person, **details)


def connect() -> None:
    """Listen to what Django says."""
    signals.user_logged_in.connect(_logged_in, dispatch_uid="door")
    signals.user_logged_out.connect(_logged_out, dispatch_uid="door")


def _logged_in(request: HttpRequest, user: Any, **_: object) -> None:
    from homeserver_door import sync

    method = getattr(request, _METHOD, "passkey")
    sessions.begin(request)
    metrics.LOGINS.labels(method, "success").inc()
    record("login", request, user.name, method=method)
    sync.clean()


def _logged_out(request: HttpRequest, user: Any, **_: object) -> None:
    if user is not None:
        metrics.LOGOUTS.inc()
        record("logout", request, user.name)
