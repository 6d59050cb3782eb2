import json
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [("GET", "/nowhere", 404, "Not Found"), ("POST", "/", 405, "Method Not Allowed")],
)
def test_an_error_is_a_problem_document_with_ids(
    client: FlaskClient, method: str, path: str, status: int, title: str
) -> None:
    headers = {"traceparent": TRACEPARENT, "X-Request-Id": "abc-1"}
    response = client.open(path, method=method, headers=headers)
    problem = json.loads(response.text)
    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert problem.pop("detail")
    assert re.fullmatch("[0-9a-f]{16}", problem.pop("span_id"))
    assert problem == {
        "type": "about:blank",
        "title": title,
        "status": status,
        "instance": path,
        "request_id": "abc-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def test_an_error_is_a_page_for_a_browser_with_the_id_to_quote(client: FlaskClient) -> None:
    response = client.get("/<b>nowhere", headers={"traceparent": TRACEPARENT, "Accept": BROWSER})
    assert response.status_code == 404
    assert response.content_type == "text/html; charset=utf-8"
    assert "<code>0af7651916cd43dd8448eb211c80319c</code>" in response.text
    assert response.headers["X-Trace-Id"] == "0af7651916cd43dd8448eb211c80319c"
    assert response.headers["Vary"] == "Accept"
    assert "<b>" not in response.text


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/problem+json, text/html"])
def test_an_error_is_a_document_for_a_program(client: FlaskClient, accept: str) -> None:
    response = client.get("/nowhere", headers={"Accept": accept} if accept else {})
    assert response.content_type == "application/problem+json"


def test_a_problem_keeps_the_headers_of_its_error(client: FlaskClient) -> None:
    assert set(client.post("/").headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_an_exception_is_a_500_without_details(app: Flask) -> None:
    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the password is hunter2")

    response = app.test_client().get("/broken")
    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert json.loads(response.text)["title"] == "Internal Server Error"
    assert "hunter2" not in response.text


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, 'quote"', "ä"])
def test_a_request_id_that_is_unsafe_to_log_is_replaced(client: FlaskClient, given: str) -> None:
    headers = {"X-Request-Id": given.encode().decode("latin-1")}
    assert re.fullmatch("[0-9a-f]{32}", client.get("/", headers=headers).headers["X-Request-Id"])


def test_a_valid_request_id_is_kept(client: FlaskClient) -> None:
    assert client.get("/", headers={"X-Request-Id": "req_1.a-B"}).headers["X-Request-Id"] == "req_1.a-B"
