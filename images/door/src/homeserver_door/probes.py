"""Liveness and readiness."""

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse

from homeserver_door.models import Person


def alive(_request: HttpRequest) -> HttpResponse:
    """Answer that this process does."""
    return HttpResponse("ok\n", content_type="text/plain")


def ready(_request: HttpRequest) -> HttpResponse:
    """Answer whether the database can be read."""
    try:
        Person.objects.exists()
    except DatabaseError as error:
        return HttpResponse(f"{error}\n", content_type="text/plain", status=503)
    return HttpResponse("ready\n", content_type="text/plain")
