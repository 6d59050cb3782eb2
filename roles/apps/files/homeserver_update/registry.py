"""Asks registries for tags, through the HTTP API of OCI's Distribution Specification.

The client of the collection needs Python packages that a home server does not have.
"""

import base64
import hashlib
import http.client
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from .errors import UpdateError
from .image_reference import DOCKER_HUB, parse

_SECONDS = 30
_PAGE = 1000
_PAGES = 100
_LONGEST = 16 * 2**20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
Login = tuple[str, str]


class Registries:
    """A client of registries, or of their mirrors."""

    def __init__(self, mirrors: Mapping[str, str]) -> None:
        """Use the URL of a registry's mirror, if it has one."""
        self._mirrors = mirrors
        self.logins: dict[str, Login] = {}
        """User and password, by registry."""
        self._granted: dict[str, str] = {}

    def tags(self, image: str) -> list[str]:
        """Return all tags of an image.

        Raises:
            UpdateError: the registry does not tell.
        """
        found: list[str] = []
        repository = self._repository(image)
        url = f"{repository}/tags/list?n={_PAGE}"
        for _ in range(_PAGES):
            content, headers = self._ask(url, image)
            found += [str(each) for each in _fields(content, url).get("tags") or []]
            more = re.search(r'<([^>]+)>\s*;\s*rel="?next', headers.get("Link") or "")
            # Never another server, which would get the login.
            url = urljoin(url, more[1]) if more else ""
            if not url.startswith(f"{repository}/"):
                break
        return found

    def digest(self, image: str) -> str:
        """Return the digest of an image, for all architectures.

        Raises:
            UpdateError: the registry has no such image.
        """
        return self._manifest(image, parse(image).tag)[0]

    def created(self, image: str, digest: str) -> datetime | None:
        """Return when an image was made; None if its registry does not tell.

        Raises:
            UpdateError: the registry has no such image.
        """
        fields = self._manifest(image, digest)[1]
        if inner := [each for each in fields.get("manifests", []) if _is_system(each)]:
            fields = self._manifest(image, str(inner[0]["digest"]))[1]
        if "config" not in fields:
            return None
        url = f"{self._repository(image)}/blobs/{fields['config']['digest']}"
        configuration = _fields(self._ask(url, image)[0], url)
        try:
            # Without fractions of a second, and in UTC.
            made = datetime.strptime(str(configuration["created"])[:19], "%Y-%m-%dT%H:%M:%S")
        except (KeyError, ValueError):
            return None
        # Reproducible builds say 1970.
        return made.replace(tzinfo=timezone.utc) if made.year > 1980 else None  # noqa: UP017 (Python 3.10)

    def _manifest(self, image: str, which: str) -> tuple[str, Any]:
        url = f"{self._repository(image)}/manifests/{which}"
        content, _ = self._ask(url, image)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if _DIGEST.fullmatch(which) and digest != which:
            raise UpdateError(f"{url} has the digest {digest} -> the registry is broken; ask another")
        return digest, _fields(content, url)

    def _repository(self, image: str) -> str:
        registry, name = parse(image).place
        default = "https://registry-1.docker.io" if registry == DOCKER_HUB else f"https://{registry}"
        url = self._mirrors.get(registry, default).rstrip("/")
        if not _is_safe(url):
            raise UpdateError(
                f"{url} has no TLS, so anyone could change its answers -> use https, or localhost"
            )
        return f"{url}/v2/{name}"

    def _ask(self, url: str, image: str) -> tuple[bytes, Mapping[str, str]]:
        """Return the answer to a request about an image, with its headers."""
        repository = self._repository(image)
        headers = {"Accept": ", ".join(_MANIFESTS)}
        try:
            try:
                return _get(url, headers, self._granted.get(repository, ""))
            except urllib.error.HTTPError as refusal:
                if refusal.code != http.client.UNAUTHORIZED:
                    raise
                self._granted[repository] = self._grant(refusal.headers.get("WWW-Authenticate", ""), image)
            return _get(url, headers, self._granted[repository])
        except urllib.error.HTTPError as error:
            raise UpdateError(f"{url} answers {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            raise UpdateError(f"{url} does not answer: {error}") from None

    def _grant(self, challenge: str, image: str) -> str:
        """Return the Authorization header: a password, or a token that was issued for one or anonymously."""
        registry, name = parse(image).place
        login = self.logins.get(registry)
        basic = f"Basic {base64.b64encode(':'.join(login).encode()).decode()}" if login else ""
        if not challenge.lower().startswith("bearer"):
            return basic
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        realm = fields.get("realm", "")
        if not _is_safe(realm):
            raise UpdateError(
                f"{registry} asks for a login at {realm!r}, which has no TLS -> use another registry"
            )
        query = {
            "service": fields.get("service", ""),
            "scope": fields.get("scope", f"repository:{name}:pull"),
        }
        told = _fields(_get(f"{realm}?{urlencode(query)}", {}, basic)[0], realm)
        return f"Bearer {told.get('token') or told.get('access_token')}"


def _is_safe(url: str) -> bool:
    """Return whether nobody between could change an answer, or read a login."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _is_system(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry of an index is an image, not an attestation."""
    return bool((entry.get("platform") or {}).get("os") == "linux")


def _get(url: str, headers: Mapping[str, str], authorization: str) -> tuple[bytes, Mapping[str, str]]:
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 (both schemes are checked)
    if authorization:
        # A redirect leads to another server, which must not get it.
        request.add_unredirected_header("Authorization", authorization)
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read(_LONGEST)
        return content, answer.headers


def _fields(content: bytes, url: str) -> dict[str, Any]:
    try:
        fields = json.loads(content)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise UpdateError(f"{url} answers no JSON object -> is it a registry?")
    return fields
