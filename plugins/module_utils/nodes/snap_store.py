"""Snaps from a store, with the assertions that snapd needs to trust them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, NamedTuple

from ..registry.downloads import (
    Checksum,
    DownloadError,
    Web,
)

SERIES = "16"
_FIELDS = "architecture,base,channel,confinement,download,revision,type,version"
# snapd includes these accounts, and rejects others with the same name.
_KNOWN_ACCOUNTS = {"canonical", "generic"}


class Snap(NamedTuple):
    """A revision of a snap for one architecture."""

    name: str
    version: str
    revision: int
    confinement: str
    base: str
    url: str
    sha3_384: str

    @property
    def stem(self) -> str:
        """The prefix of its file names."""
        return f"{self.name}_{self.revision}"


class Store:
    """The snap store, or a substitute."""

    def __init__(self, web: Web, url: str) -> None:
        """Use a URL: that of the store, except for tests and proxies."""
        self._web = web
        self._url = url.rstrip("/")

    def find(self, name: str, channel: str, architecture: str) -> Snap:
        """Return the snap in a channel such as `1.35/stable`.

        Raises:
            DownloadError: the channel has no snap, or the store does not answer.
        """
        url = f"{self._url}/v2/snaps/info/{name}?architecture={architecture}&fields={_FIELDS}"
        series = {"Snap-Device-Series": SERIES}
        told = self._web.get(url, lambda headers: self._web.ask(url, {**series, **headers})).json()
        track, _, risk = channel.rpartition("/")
        for entry in told["channel-map"]:
            offered = entry["channel"]
            wanted = (track or "latest", risk, architecture)
            if (offered["track"], offered["risk"], offered["architecture"]) == wanted:
                return _snap(name, entry)
        raise DownloadError(
            f"the store has no {name} in {channel} for {architecture} -> choose another channel"
        )

    def save(self, snap: Snap, folder: Path) -> tuple[Path, Path]:
        """Download a snap and its assertions, and return their files.

        Raises:
            DownloadError: a file is missing or does not match its checksum.
        """
        file, assertions = (folder / f"{snap.stem}.{ending}" for ending in ("snap", "assert"))
        self._web.fetch(snap.url, file, Checksum("sha3_384", snap.sha3_384))
        if not assertions.exists():
            unfinished = assertions.with_name(f"{assertions.name}.part")
            unfinished.write_text("\n".join(self._assertions(snap)))
            unfinished.replace(assertions)
        return file, assertions

    def _assertions(self, snap: Snap) -> list[str]:
        """Return the assertions that snapd needs, each after those it depends on."""
        digest = base64.urlsafe_b64encode(bytes.fromhex(snap.sha3_384)).decode().rstrip("=")
        revision = self._assertion("snap-revision", digest)
        declaration = self._assertion("snap-declaration", SERIES, _header(revision, "snap-id"))
        publishers = dict.fromkeys((_header(declaration, "publisher-id"), _header(revision, "developer-id")))
        accounts = [self._assertion("account", each) for each in publishers if each not in _KNOWN_ACCOUNTS]
        last = [*accounts, declaration, revision]
        keys: dict[str, str] = {}
        for assertion in last:
            self._add_keys(assertion, keys)
        return [*keys.values(), *last]

    def _add_keys(self, assertion: str, keys: dict[str, str]) -> None:
        """Add the key that signed an assertion, except snapd's own keys, which sign themselves."""
        name = _header(assertion, "sign-key-sha3-384")
        if name in keys:
            return
        key = self._assertion("account-key", name)
        if _header(key, "sign-key-sha3-384") != name:
            self._add_keys(key, keys)
            keys[name] = key

    def _assertion(self, kind: str, *key: str) -> str:
        url = "/".join((self._url, "v2/assertions", kind, *key))
        accepted = {"Accept": "application/x.ubuntu.assertion"}
        return self._web.get(url, lambda headers: self._web.ask(url, {**accepted, **headers})).text


def _snap(name: str, entry: dict[str, Any]) -> Snap:
    # A snap without a base depends on core; a base has no dependency.
    base = entry.get("base") or ("core" if entry.get("type", "app") == "app" else "")
    download = entry["download"]
    return Snap(
        name,
        entry["version"],
        entry["revision"],
        entry["confinement"],
        base,
        download["url"],
        download["sha3-384"],
    )


def _header(assertion: str, name: str) -> str:
    head = assertion.partition("\n\n")[0].splitlines()
    found = (line.partition(": ")[2] for line in head if line.startswith(f"{name}: "))
    value = next(found, "")
    if not value:
        raise DownloadError(f"the store returned an assertion without {name}: {head[:1]}")
    return value
