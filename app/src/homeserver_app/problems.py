"""Error responses with ids to look them up: HTML for people, problem documents (RFC 9457) for programs."""

import json

from flask import Flask, g, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.response import Response

from homeserver_app import tracing

MEDIA_TYPE = "application/problem+json"
# If the client accepts several equally, the first one wins.
_OFFERED = (MEDIA_TYPE, "application/json", "text/html")


def install(app: Flask) -> None:
    """Respond to every HTTP error, and to every exception as error 500, with HTML or a problem document."""
    app.register_error_handler(HTTPException, _problem)


def _problem(error: HTTPException) -> Response:
    response = error.get_response()
    document = _document(error)
    if request.accept_mimetypes.best_match(_OFFERED) == "text/html":
        response.content_type = "text/html; charset=utf-8"
        # The id to quote: the trace id finds everything; probes do not have one.
        response.set_data(
            render_template("error.html", id=document.get("trace_id", g.request_id), **document)
        )
    else:
        response.content_type = MEDIA_TYPE
        response.set_data(json.dumps(document))
    response.headers.add("Vary", "Accept")
    return response


def _document(error: HTTPException) -> dict[str, object]:
    return {
        "type": "about:blank",
        "title": error.name,
        "status": error.code,
        "detail": error.description,
        "instance": request.path,
        "request_id": g.request_id,
    } | tracing.current_ids()
