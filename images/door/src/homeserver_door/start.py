"""The start page."""

from django.http import HttpRequest, HttpResponse

from homeserver_door import pages


def page(request: HttpRequest) -> HttpResponse:
    """Show what this person may open."""
    return pages.error(request, 404, "Nothing is here yet")
