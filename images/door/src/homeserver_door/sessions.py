"""Ends sessions that are too old, or whose person is gone."""

import time
from collections.abc import Callable

from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse

_BEGAN = "began"


class Ages:
    """Middleware; after that for authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._next = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        if request.session.get(_BEGAN) is not None and _ended(request):
            logout(request)
        return self._next(request)


def begin(request: HttpRequest) -> None:
    """Remember when a session began."""
    request.session[_BEGAN] = time.time()
    request.session.set_expiry(request.home.session_hours * 3600)


def _ended(request: HttpRequest) -> bool:
    age = time.time() - request.session[_BEGAN]
    return bool(age > request.home.session_hours * 3600 or not request.user.is_authenticated)
