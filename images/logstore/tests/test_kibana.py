"""Objects are imported through Kibana's API, and rejected objects are reported."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from homeserver_logstore.__main__ import main
from homeserver_logstore.commands import kibana

from images.disk_cleanup.tests.kubernetes_api import serving
from images.logstore.tests.answering import Answering

STATUS, IMPORT = "/api/status", "/api/saved_objects/_import"
READY = {"status": {"overall": {"level": "available"}}}
DONE = {"success": True, "successCount": 1}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answering]:
    """A fake Kibana, configured in the environment."""
    monkeypatch.setattr(kibana, "_PAUSE", 0.01)
    (tmp_path / "password").write_text("not-a-real-one\n")
    with serving(server := Answering({STATUS: READY, IMPORT: DONE})):
        monkeypatch.setenv("KIBANA_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("KIBANA_USER", "importer")
        monkeypatch.setenv("KIBANA_PASSWORD_FILE", str(tmp_path / "password"))
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with one object."""
    path = tmp_path / "own.ndjson"
    path.write_text(json.dumps({"id": "a", "type": "search"}) + "\n")
    return path


def test_a_file_is_uploaded_and_overwrites_existing_objects(server: Answering, file: Path) -> None:
    assert main(["kibana", str(file)]) == 0

    sent = server.requests[-1]
    assert (sent.method, sent.path) == ("POST", f"{IMPORT}?overwrite=true")
    assert sent.headers["kbn-xsrf"]
    expected = base64.b64encode(b"importer:not-a-real-one").decode()
    assert sent.headers["authorization"] == f"Basic {expected}"
    _, _, boundary = sent.headers["content-type"].partition("boundary=")
    before, content, after = sent.body.split(f"--{boundary}".encode())
    assert before == b""
    assert b'name="file"; filename="own.ndjson"' in content
    assert content.endswith(b"\r\n\r\n" + file.read_bytes() + b"\r\n")
    assert after == b"--\r\n"


def test_an_import_is_recorded(server: Answering, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["kibana", str(file)])

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["file"], line["objects"]) == ("imported", "own.ndjson", 1)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            {
                "success": False,
                "errors": [{"type": "search", "id": "a", "error": {"type": "unsupported_type"}}],
            },
            "own.ndjson: search a: unsupported_type",
        ),
        (
            {
                "success": False,
                "errors": [
                    {
                        "type": "search",
                        "id": "a",
                        "error": {
                            "type": "missing_references",
                            "references": [{"type": "index-pattern", "id": "b"}],
                        },
                    }
                ],
            },
            "own.ndjson: search a: missing_references index-pattern b",
        ),
        (
            {
                "success": False,
                "errors": [
                    {
                        "type": "search",
                        "id": "a",
                        "error": {"type": "unknown", "message": "No.", "statusCode": 4},
                    }
                ],
            },
            "own.ndjson: search a: unknown (No.)",
        ),
        ((400, {"message": "Unexpected token"}), "own.ndjson: Kibana answers 400: Unexpected token"),
    ],
)
def test_rejected_objects_are_reported(
    server: Answering, file: Path, answer: object, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers[IMPORT] = answer

    assert main(["kibana", str(file)]) == 1

    assert capsys.readouterr().err.strip() == message


def test_a_wrong_password_is_reported_at_once(
    server: Answering, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers[STATUS] = (401, {})

    assert main(["kibana", str(file)]) == 1

    assert "wrong user or password" in capsys.readouterr().err
    assert len(server.requests) == 1


def test_a_kibana_that_does_not_become_ready_is_reported(
    server: Answering, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers[STATUS] = {"status": {"overall": {"level": "unavailable"}}}

    assert main(["kibana", str(file), "--wait", "0.1"]) == 1

    assert capsys.readouterr().err.strip().endswith("is unavailable")
    assert len(server.requests) > 1


def test_an_unreachable_kibana_is_reported(
    monkeypatch: pytest.MonkeyPatch, server: Answering, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KIBANA_URL", "http://127.0.0.1:1")

    assert main(["kibana", str(file), "--wait", "0"]) == 1

    assert "does not answer" in capsys.readouterr().err
    assert server.requests == []
