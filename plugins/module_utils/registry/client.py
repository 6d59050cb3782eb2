"""Images in registries, through the HTTP API of OCI's Distribution Specification.

skopeo and crane are no Python packages: an owner would have to install one on the control machine.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from .downloads import (
    Checksum,
    DownloadError,
    Web,
)
from .image_reference import (
    DOCKER_HUB,
    parse,
)

if TYPE_CHECKING:
    import requests

Login = Mapping[str, str]
"""A `registry` with its `username` and `password`."""

_INDICES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Content(NamedTuple):
    """A manifest or an index, as the registry has it."""

    digest: str
    kind: str
    body: bytes

    @property
    def fields(self) -> Any:
        """Its parsed content."""
        return json.loads(self.body)

    def described(self, **more: Any) -> dict[str, Any]:
        """Return its descriptor for an index."""
        return {"mediaType": self.kind, "digest": self.digest, "size": len(self.body), **more}


class Found(NamedTuple):
    """An image for one platform; `top` is the target of its name, which may cover many platforms."""

    reference: str
    top: Content
    manifest: Content

    @property
    def blobs(self) -> list[dict[str, Any]]:
        """The descriptors of its configuration and layers."""
        fields = self.manifest.fields
        return [fields["config"], *fields["layers"]]


class Registries:
    """A client for registries, or their mirrors."""

    def __init__(self, web: Web, mirrors: Mapping[str, str], logins: Iterable[Login]) -> None:
        """Use the mirror's URL for each registry that has one, and each registry's login."""
        self._web = web
        self._mirrors = mirrors
        self._logins = {login["registry"]: login for login in logins}
        self._granted: dict[str, str] = {}
        """The Authorization headers, by the URL of the image's repository."""

    def find(self, reference: str, platform: str) -> Found:
        """Return the image of a name for a platform such as `linux/arm64`.

        Raises:
            DownloadError: there is none.
        """
        image = parse(reference)
        top = self._manifest(reference, image.digest or image.tag or "latest")
        if top.kind not in _INDICES:
            return Found(reference, top, top)
        system, _, architecture = platform.partition("/")
        for entry in top.fields["manifests"]:
            fits = entry.get("platform", {})
            if (fits.get("os"), fits.get("architecture")) == (system, architecture):
                return Found(reference, top, self._manifest(reference, entry["digest"]))
        raise DownloadError(
            f"there is no {reference} for {platform} -> leave out this platform or this image"
        )

    def digest(self, reference: str) -> str:
        """Return the digest of a name, for all platforms.

        Raises:
            DownloadError: there is none.
        """
        repository, which = self._repository(reference), parse(reference).tag or "latest"
        url = f"{repository}/manifests/{which}"
        accepted = {"Accept": ", ".join((*_INDICES, *_MANIFESTS))}
        # Docker Hub limits how often a manifest is read, but not requests for its digest.
        answer = self._web.get(
            url, lambda headers: self._ask(url, repository, {**accepted, **headers}, "HEAD")
        )
        digest = answer.headers.get("Docker-Content-Digest", "")
        return digest if _DIGEST.fullmatch(digest) else self._manifest(reference, which).digest

    def user(self, reference: str, platform: str = "linux/amd64") -> str:
        """Return the user that an image starts as, such as `1000:1000` or `node`; empty for root.

        Raises:
            DownloadError: there is no such image.
        """
        found = self.find(reference, platform)
        repository = self._repository(reference)
        url = f"{repository}/blobs/{found.blobs[0]['digest']}"
        configuration = self._web.get(url, lambda headers: self._ask(url, repository, headers)).json()
        return str(configuration.get("config", {}).get("User") or "")

    def save(self, found: Found, archive: Path, scratch: Path) -> None:
        """Write an image as an archive in OCI's layout.

        Raises:
            DownloadError: a part of it is missing or does not match its digest.
        """
        files = {blob["digest"]: scratch / blob["digest"].replace(":", "-") for blob in found.blobs}
        repository = self._repository(found.reference)
        for digest, file in files.items():
            algorithm, _, value = digest.partition(":")
            url = f"{repository}/blobs/{digest}"
            self._web.fetch(url, file, Checksum(algorithm, value), partial(self._ask, url, repository))
        unfinished = archive.with_name(f"{archive.name}.part")
        with tarfile.open(unfinished, "w") as tar:
            _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
            _add(tar, "index.json", _index(found))
            for content in {found.top.digest: found.top, found.manifest.digest: found.manifest}.values():
                _add(tar, _place(content.digest), content.body)
            for digest, file in files.items():
                with file.open("rb") as stream:
                    member = tarfile.TarInfo(_place(digest))
                    member.size = file.stat().st_size
                    tar.addfile(member, stream)
        unfinished.replace(archive)
        for file in files.values():
            file.unlink()

    def _manifest(self, reference: str, which: str) -> Content:
        repository = self._repository(reference)
        url = f"{repository}/manifests/{which}"
        accepted = {"Accept": ", ".join((*_INDICES, *_MANIFESTS))}
        answer = self._web.get(url, lambda headers: self._ask(url, repository, {**accepted, **headers}))
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        if which.startswith("sha256:") and digest != which:
            raise DownloadError(f"{url} has the digest {digest} -> the registry is broken; ask another")
        return Content(digest, answer.headers.get("Content-Type", "").partition(";")[0], answer.content)

    def _repository(self, reference: str) -> str:
        registry, name = parse(reference).place
        return f"{self._url(registry)}/v2/{name}"

    def _url(self, registry: str) -> str:
        default = "https://registry-1.docker.io" if registry == DOCKER_HUB else f"https://{registry}"
        return self._mirrors.get(registry, default).rstrip("/")

    def _ask(
        self, url: str, repository: str, headers: Mapping[str, str], method: str = "GET"
    ) -> requests.Response:
        """Send a request about a repository, with the required Authorization header."""
        answer = self._web.ask(url, {**headers, **self._authorization(repository)}, method)
        if answer.status_code != http.client.UNAUTHORIZED:
            return answer
        self._granted[repository] = self._grant(answer.headers.get("WWW-Authenticate", ""), repository)
        again = self._web.ask(url, {**headers, **self._authorization(repository)}, method)
        if again.status_code == http.client.UNAUTHORIZED:
            raise DownloadError(f"{repository} is not public -> set its login in homeserver_registry_logins")
        return again

    def _authorization(self, repository: str) -> dict[str, str]:
        granted = self._granted.get(repository)
        return {"Authorization": granted} if granted else {}

    def _grant(self, challenge: str, repository: str) -> str:
        """Return the Authorization header: a password, or a token that was issued for one or anonymously."""
        login = self._login(repository)
        if not challenge.lower().startswith("bearer"):
            return login
        fields = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        name = repository.partition("/v2/")[2]
        query = {
            "service": fields.get("service", ""),
            "scope": fields.get("scope", f"repository:{name}:pull"),
        }
        url = f"{fields['realm']}?{urlencode(query)}"
        given = {"Authorization": login} if login else {}
        told = self._web.get(url, lambda headers: self._web.ask(url, {**headers, **given})).json()
        return f"Bearer {told.get('token') or told['access_token']}"

    def _login(self, repository: str) -> str:
        for registry, login in self._logins.items():
            if repository.startswith(f"{self._url(registry)}/v2/"):
                pair = f"{login['username']}:{login['password']}".encode()
                return f"Basic {base64.b64encode(pair).decode()}"
        return ""


def _index(found: Found) -> bytes:
    """Return the index of an archive; a name with a digest must refer to the content with this digest."""
    image = parse(found.reference)
    top = found.top if image.digest else found.manifest
    names = {"io.containerd.image.name": image.tagged, "org.opencontainers.image.ref.name": image.tagged}
    return json.dumps({"schemaVersion": 2, "manifests": [top.described(annotations=names)]}).encode()


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
