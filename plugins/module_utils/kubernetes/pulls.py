"""Tracks which images are being pulled. It also runs on hosts, because it opens no connection itself.

The status of a pod shows that a container waits. Only the kubelet's events show an image pull.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

from .rollout import Object, Trouble

_PERIOD = 2.0
"""Seconds between two reads of the events."""
_PATIENCE = 3600.0
"""Seconds one pull may take. containerd cancels a pull that makes no progress for five minutes."""
_PULLING = "Pulling"
_OUTCOMES = ("Pulled", "Failed", "BackOff")
"""Reasons of the events that end a pull."""


class Container(NamedTuple):
    """A container of a pod."""

    pod: str
    """The uid of the pod."""
    name: str


class Events(Protocol):
    """A source of events."""

    def events(self, namespace: str, field_selector: str) -> list[Object]:
        """Return the events of a namespace whose fields match, unordered."""


class Pulls:
    """The pulls of the containers that wait for an image."""

    def __init__(self, cluster: Events):
        """Start without pulls."""
        self._cluster = cluster
        self._looked: dict[str, float] = {}
        self._since: dict[Container, float] = {}

    def look(self, found: Iterable[tuple[Object, Trouble]], now: float) -> set[Container]:
        """Return the containers whose image is being pulled, unless the pull takes too long.

        Args:
            found: pods, each with the trouble of one of its containers.
            now: seconds, of the monotonic clock.
        """
        waiting = {
            Container(pod["metadata"]["uid"], trouble.container): pod["metadata"]["namespace"]
            for pod, trouble in found
            if trouble.image
        }
        self._since = {container: since for container, since in self._since.items() if container in waiting}
        for namespace in set(waiting.values()):
            if now - self._looked.get(namespace, now - _PERIOD) >= _PERIOD:
                self._looked[namespace] = now
                self._follow(namespace, waiting.keys(), now)
        return {container for container, since in self._since.items() if now - since < _PATIENCE}

    def _follow(self, namespace: str, waiting: Iterable[Container], now: float) -> None:
        events = self._cluster.events(namespace, "involvedObject.kind=Pod")
        latest = {container: reason for _, _, container, reason in sorted(_about_images(events))}
        for container in waiting:
            # A pull can outlast its event in Kubernetes: without a new event, it is still running.
            reason = latest.get(container, _PULLING if container in self._since else "")
            if reason == _PULLING:
                self._since.setdefault(container, now)
            else:
                self._since.pop(container, None)


def _about_images(events: Iterable[Object]) -> Iterator[tuple[str, bool, Container, str]]:
    """Yield the events about images: time, whether the pull ended, container and reason."""
    for event in events:
        _, _, name = event["involvedObject"].get("fieldPath", "").partition("{")
        if name and event.get("reason") in (_PULLING, *_OUTCOMES):
            when = event.get("lastTimestamp") or event.get("eventTime") or ""
            container = Container(event["involvedObject"].get("uid", ""), name.rstrip("}"))
            yield when, event["reason"] != _PULLING, container, event["reason"]
