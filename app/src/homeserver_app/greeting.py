"""The greeting, as HTML for people or as JSON for programs."""

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from prometheus_client import Counter
from werkzeug.exceptions import NotAcceptable

HTML = "text/html"
JSON = "application/json"


def blueprint(text: str, greetings: Counter) -> Blueprint:
    """Create the blueprint that returns `text` and counts greetings by format."""
    pages = Blueprint("greeting", __name__)

    @pages.get("/")
    def greet() -> Response:
        wanted = request.accept_mimetypes.best_match((HTML, JSON)) if request.accept_mimetypes else HTML
        if wanted is None:
            raise NotAcceptable(f"The greeting is available as {HTML} or {JSON}.")
        if wanted == JSON:
            response = jsonify(message=text)
        else:
            response = make_response(render_template("greeting.html", greeting=text))
        response.vary.add("Accept")
        greetings.labels(format="json" if wanted == JSON else "html").inc()
        return response

    return pages
