"""Reports the environment of a container from an imported compose file."""

import json
import os
import shutil
import socket
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEAT = Path("/pages/beat")
NOTE = Path("/pages/notes/link.md")


class Handler(BaseHTTPRequestHandler):
    """Answers each request with JSON."""

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps({} if self.path == "/healthy" else _facts()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)


def _facts() -> dict[str, Any]:
    status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "capabilities": status["CapEff"],
        "database": _reaches("db", 5432),
        "directory": str(Path.cwd()),
        "environment": {name: os.environ.get(name) for name in ("DATABASE_URL", "GREETING")},
        "hostname": socket.gethostname(),
        "heartbeat": time.time() - float(BEAT.read_text()) if BEAT.exists() else None,
        "note": _note(),
        "media_is_read_only": not os.access("/media", os.W_OK),
        "owns_what_it_chowns": _chowns(),
        "user": os.getuid(),
    }


def _note() -> list[Any]:
    """Return the text that a link leads to, and the owner and mode of its file, if it is there."""
    if not NOTE.exists():
        return []
    about = NOTE.stat()
    return [NOTE.read_text(), about.st_uid, oct(about.st_mode & 0o7777)]


def _reaches(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True


def _chowns() -> bool:
    file = Path("/pages/owned")
    file.touch()
    shutil.chown(file, 1000, 1000)
    return file.stat().st_uid == 1000


ThreadingHTTPServer(("", 80), Handler).serve_forever()
