import pytest
from flask.testing import FlaskClient

from homeserver_app import create_app
from homeserver_app.settings import Settings

PAGE = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, PAGE),
        ("*/*", PAGE),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PAGE),
        ("application/json", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
    ],
)
def test_the_greeting_has_the_accepted_format(
    client: FlaskClient, accept: str | None, content_type: str
) -> None:
    response = client.get("/", headers={"Accept": accept} if accept else {})
    assert response.status_code == 200
    assert response.content_type == content_type
    assert response.headers["Vary"] == "Accept"
    assert "Hello from the home server!" in response.text


def test_json_holds_the_message(client: FlaskClient) -> None:
    assert client.get("/", headers={"Accept": "application/json"}).json == {
        "message": "Hello from the home server!"
    }


def test_a_greeting_is_escaped() -> None:
    client = create_app(Settings(greeting="<b>Moin</b> & ahoi")).test_client()
    assert "<h1>&lt;b&gt;Moin&lt;/b&gt; &amp; ahoi</h1>" in client.get("/").text


def test_an_unknown_format_is_refused(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": "image/png"})
    assert response.status_code == 406
    assert response.content_type == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere"])
def test_every_response_has_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
