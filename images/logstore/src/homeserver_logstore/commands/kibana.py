"""Imports data views, searches and dashboards into Kibana, and overwrites objects with the same ids."""

import argparse
import base64
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from homeserver_logstore import audit

_PAUSE = 2.0
_TIMEOUT = 60.0
"""Timeout of a request, in seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("files", nargs="+", type=Path, help="files with one object per line")
    parser.add_argument(
        "--wait", type=float, default=300, metavar="SECONDS", help="how long Kibana may take to start"
    )


def run(arguments: argparse.Namespace) -> int:
    """Wait for Kibana, and import each file."""
    kibana = Kibana.from_environment()
    flaw = kibana.wait(arguments.wait)
    flaws = (
        [flaw]
        if flaw
        else [f"{path.name}: {each}" for path in arguments.files for each in kibana.import_file(path)]
    )
    sys.stderr.writelines(f"{each}\n" for each in flaws)
    return 1 if flaws else 0


class Kibana:
    """A connection to Kibana as one of its users."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Configure the connection; no request is sent yet."""
        self._url = url.rstrip("/")
        credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        # Kibana only accepts changes with this header, as protection against cross-site requests.
        self._headers = {"Authorization": f"Basic {credentials}", "kbn-xsrf": "homeserver"}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Kibana":
        """Use KIBANA_URL, KIBANA_USER and KIBANA_PASSWORD_FILE."""
        password = Path(environment["KIBANA_PASSWORD_FILE"]).read_text().strip()
        return cls(environment["KIBANA_URL"], environment["KIBANA_USER"], password)

    def wait(self, seconds: float) -> str:
        """Wait until it is ready; return the problem if it is not in time, or rejects this user."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                level = self._request("GET", "api/status")["status"]["overall"]["level"]
                if level in ("available", "degraded"):
                    return ""
                flaw = f"Kibana at {self._url} is {level}"
            except urllib.error.HTTPError as error:
                flaw = f"Kibana at {self._url} answers {error.code}"
                if error.code in (401, 403):
                    return f"{flaw}: wrong user or password"
            except (OSError, ValueError, KeyError, TypeError) as error:
                flaw = f"Kibana at {self._url} does not answer: {getattr(error, 'reason', error)}"
            if time.monotonic() > deadline:
                return flaw
            time.sleep(_PAUSE)

    def import_file(self, path: Path) -> list[str]:
        """Import a file; return what was rejected."""
        boundary = uuid.uuid4().hex
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
            "Content-Type: application/ndjson\r\n\r\n"
        )
        body = head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        try:
            answer = self._request(
                "POST",
                "api/saved_objects/_import?overwrite=true",
                body,
                {"Content-Type": f"multipart/form-data; boundary={boundary}"},
            )
        except urllib.error.HTTPError as error:
            return [f"Kibana answers {error.code}: {_message(error.read())}"]
        except (OSError, ValueError) as error:
            return [f"Kibana does not answer: {getattr(error, 'reason', error)}"]
        audit.record("imported", file=path.name, objects=answer.get("successCount", 0))
        return [_refusal(each) for each in answer.get("errors", [])]

    def _request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        request = urllib.request.Request(  # noqa: S310 (fixed server)
            f"{self._url}/{path}", body, {**self._headers, **(headers or {})}, method=method
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310
            return json.load(answer)


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace").strip()[:300]


def _refusal(error: Mapping[str, Any]) -> str:
    """Describe the error of one object in a line."""
    why = dict(error.get("error", {}))
    kind = why.pop("type", "unknown")
    if missing := why.get("references"):
        kind += " " + ", ".join(f"{each['type']} {each['id']}" for each in missing)
    elif "message" in why:
        kind += f" ({why['message']})"
    return f"{error.get('type')} {error.get('id')}: {kind}"
