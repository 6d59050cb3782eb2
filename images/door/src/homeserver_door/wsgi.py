"""What gunicorn serves."""

import os
from collections.abc import Callable, Iterable
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "homeserver_door.settings")

from django.core.wsgi import get_wsgi_application

_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer a request. Traefik has ended TLS, and forwards no other requests."""
    environ["wsgi.url_scheme"] = "https"
    answer: Iterable[bytes] = _django(environ, start_response)
    return answer
