"""Stand-ins for what a bundle is downloaded from: a snap store, a registry and a web server, with faults."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ROOT_KEY, STORE_KEY = "key-of-the-root", "key-of-the-store"


@dataclass
class Site:
    """A web server, and what it was asked.

    Attributes:
        port: where it listens.
        pages: the kind and the content of what it has, by path.
        asked: the path and the range of each request.
        cut: after how many bytes the next answer for a path breaks off.
        failing: how many more requests for a path it answers with 503.
        token: what it wants to be told about images, if anything.
    """

    port: int = 0
    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    cut: dict[str, int] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    token: str = ""

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self, part: str = "") -> list[str]:
        """Return what was asked for with this in its path."""
        return [path for path, _ in self.asked if part in path]

    def add_snap(self, name: str, channel: str, content: bytes, base: str | None, architecture: str) -> str:
        """Offer a snap with its assertions; return the path of its file."""
        file = f"/download/{name}_{architecture}.snap"
        self.pages[file] = ("application/octet-stream", content)
        digest = hashlib.sha3_384(content)
        track, _, risk = channel.rpartition("/")
        entry = {
            "channel": {"architecture": architecture, "track": track, "risk": risk},
            "download": {"url": f"{self.url}{file}", "sha3-384": digest.hexdigest()},
            "revision": len(content),
            "version": f"{name}-1",
            "confinement": "classic" if name == "microk8s" else "strict",
            **({"base": base, "type": "app"} if base is not None else {"type": "base"}),
        }
        info = f"/v2/snaps/info/{name}"
        known = json.loads(self.pages.get(info, ("", b'{"channel-map": []}'))[1])
        known["channel-map"].append(entry)
        self.pages[info] = ("application/json", json.dumps(known).encode())
        key = base64.urlsafe_b64encode(digest.digest()).decode()
        self._assert(f"snap-revision/{key}", "snap-revision", {"snap-id": name, "developer-id": "canonical"})
        self._assert(f"snap-declaration/16/{name}", "snap-declaration", {"publisher-id": "canonical"})
        self._assert(f"account-key/{STORE_KEY}", "account-key", {"account-id": "canonical"}, ROOT_KEY)
        self._assert(f"account-key/{ROOT_KEY}", "account-key", {"account-id": "canonical"}, ROOT_KEY)
        return file

    def _assert(self, path: str, kind: str, headers: dict[str, str], key: str = STORE_KEY) -> None:
        lines = {"type": kind, **headers, "sign-key-sha3-384": key}
        text = "\n".join(f"{name}: {value}" for name, value in lines.items())
        self.pages[f"/v2/assertions/{path}"] = (
            "application/x.ubuntu.assertion",
            f"{text}\n\nAcLB\n".encode(),
        )

    def add_image(self, name: str, tag: str, layers: dict[str, bytes]) -> str:
        """Offer an image with a layer for each architecture; return the digest of its index."""
        manifests = []
        for architecture, layer in layers.items():
            config = json.dumps({"architecture": architecture, "os": "linux"}).encode()
            manifest = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": self._put(name, "blobs", CONFIG, config),
                "layers": [self._put(name, "blobs", LAYER, layer)],
            }
            described = self._put(name, "manifests", MANIFEST, json.dumps(manifest).encode())
            manifests.append({**described, "platform": {"os": "linux", "architecture": architecture}})
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
        digest: str = self._put(name, "manifests", INDEX, index)["digest"]
        self.pages[f"/v2/{name}/manifests/{tag}"] = (INDEX, index)
        return digest

    def _put(self, name: str, folder: str, kind: str, content: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.pages[f"/v2/{name}/{folder}/{digest}"] = (kind, content)
        return {"mediaType": kind, "size": len(content), "digest": digest}


@contextmanager
def serving() -> Iterator[Site]:
    """Run a web server until the block ends."""
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            wanted = self.headers.get("Range", "")
            site.asked.append((path, wanted))
            if site.failing.get(path, 0):
                site.failing[path] -= 1
                self.send_error(503)
            elif path == "/token":
                granted = {"token": site.token} if "scope=repository" in query else {}
                self._send(200, "application/json", json.dumps(granted).encode(), {})
            elif site.token and self._is_closed(path):
                challenge = f'Bearer realm="{site.url}/token",service="images",scope="repository:any:pull"'
                self._send(401, "text/plain", b"who are you?", {"WWW-Authenticate": challenge})
            elif path in site.pages:
                kind, content = site.pages[path]
                begin = int(wanted.removeprefix("bytes=").partition("-")[0] or 0)
                more = {"Content-Range": f"bytes {begin}-{len(content) - 1}/{len(content)}"} if wanted else {}
                self._send(206 if wanted else 200, kind, content[begin:], more, site.cut.pop(path, None))
            else:
                self.send_error(404)

        def _is_closed(self, path: str) -> bool:
            folders = ("/manifests/", "/blobs/")
            asks_for_image = any(folder in path for folder in folders)
            return asks_for_image and self.headers.get("Authorization") != f"Bearer {site.token}"

        def _send(
            self, status: int, kind: str, content: bytes, headers: dict[str, str], cut: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": len(content), **headers}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(content[:cut])

        def log_message(self, *_: object) -> None:
            """Do not log requests; they are kept."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_port
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
