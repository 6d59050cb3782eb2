"""Errors as problem documents (RFC 9457) that carry the ids to look them up by."""

import json

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.sansio.response import Response

from homeserver_app import tracing

MEDIA_TYPE = "application/problem+json"


def install(app: Flask) -> None:
    """Answer every HTTP error, and every exception as error 500, with a problem document."""
    app.register_error_handler(HTTPException, _problem)


def _problem(error: HTTPException) -> Response:
    response = error.get_response()
    response.content_type = MEDIA_TYPE
    response.set_data(json.dumps(_document(error)))
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
