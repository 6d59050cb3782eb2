"""Full names of images, such as `docker.io/library/traefik:v3.7.13@sha256:…`."""

from __future__ import annotations

from typing import NamedTuple

DOCKER_HUB = "docker.io"


class Reference(NamedTuple):
    """The parts of an image's full name; `tag` and `digest` may be empty."""

    name: str
    tag: str
    digest: str

    @property
    def tagged(self) -> str:
        """The name with its tag, without the digest."""
        return f"{self.name}:{self.tag}" if self.tag else self.name

    @property
    def place(self) -> tuple[str, str]:
        """The registry, and the name there; names on Docker Hub omit the registry and `library/`."""
        first, _, rest = self.name.partition("/")
        if not rest or not (set(first) & set(".:") or first == "localhost"):
            first, rest = DOCKER_HUB, self.name
        return first, f"library/{rest}" if first == DOCKER_HUB and "/" not in rest else rest

    @property
    def full(self) -> str:
        """The name as a mirror has it, with its registry, and its tag and digest."""
        tagged = self._replace(name="/".join(self.place)).tagged
        return f"{tagged}@{self.digest}" if self.digest else tagged

    @property
    def exact(self) -> str:
        """The name that Kubernetes and builders use: a digest replaces the tag."""
        return f"{self.name}@{self.digest}" if self.digest else self.tagged


def parse(reference: str) -> Reference:
    """Split an image's full name."""
    rest, _, digest = reference.partition("@")
    folder, slash, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    return Reference(folder + slash + name, tag, digest)
