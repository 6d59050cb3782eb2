"""The path of a log line from a container to Elasticsearch, and how far a line has come."""

import json
import socket
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

from homeserver_logstore.client import Elasticsearch, RefusedError

Stats = dict[str, Any]

_TIMEOUT = 5.0


class Found(NamedTuple):
    """The location of a line in Elasticsearch."""

    where: str
    document: dict[str, Any]


def find(elasticsearch: Elasticsearch, marker: str) -> Found | None:
    """Search for the line that contains this unique word.

    Raises:
        RefusedError: Elasticsearch rejected the search.
        UnreachableError: It does not respond.
    """
    query = {"query": {"match_phrase": {"message": marker}}, "size": 1}
    try:
        hits = elasticsearch.post("logs-*/_search", query, ignore_unavailable=True)["hits"]["hits"]
    except RefusedError as error:
        if error.status == 404:
            return None
        raise
    return Found(hits[0]["_index"], hits[0]["_source"]) if hits else None


class Hop(NamedTuple):
    """The event counters of one hop; empty if the hop does not respond."""

    taken: int
    given: int


class Way:
    """The hops between a container's log file and Elasticsearch."""

    def __init__(self, filebeat: str, logstash: str, node: str) -> None:
        """Define the hops.

        Args:
            filebeat: Host and port of the Filebeats' metrics; the host has an address for each.
            logstash: The URL of Logstash's metrics; empty if there is no Logstash.
            node: The node on which the line is written, which selects the Filebeat.
        """
        self._filebeat = filebeat
        self._logstash = logstash
        self._node = node
        self._before = (self.filebeat(), self.logstash())

    def filebeat(self) -> Hop | None:
        """Return what this node's Filebeat has read and what was acknowledged."""
        for url in self._filebeats():
            about, stats = _read(f"{url}/"), _read(f"{url}/stats")
            if about and stats and about.get("name") == self._node:
                libbeat = stats.get("libbeat", {})
                return Hop(
                    int(libbeat.get("pipeline", {}).get("events", {}).get("published", 0)),
                    int(libbeat.get("output", {}).get("events", {}).get("acked", 0)),
                )
        return None

    def logstash(self) -> Hop | None:
        """Return what Logstash has received and what it has sent."""
        stats = _read(f"{self._logstash}/_node/stats/events") if self._logstash else None
        events = (stats or {}).get("events", {})
        return Hop(int(events.get("in", 0)), int(events.get("out", 0))) if stats else None

    def last_seen(self) -> str:
        """Return where a missing line, written after this object was created, was last seen."""
        filebeat_before, logstash_before = self._before
        filebeat, logstash = self.filebeat(), self.logstash()
        receiver = "Logstash" if self._logstash else "Elasticsearch"
        if filebeat is None:
            return f"in the log file of its container: no Filebeat answers on the node {self._node}"
        if filebeat.taken <= (filebeat_before or Hop(0, 0)).taken:
            return "in the log file of its container: Filebeat has read nothing since"
        if filebeat.given <= (filebeat_before or Hop(0, 0)).given:
            return f"in Filebeat, which has read it: {receiver} has accepted nothing from it since"
        if self._logstash:
            if logstash is None:
                return "in Filebeat, which has sent it: Logstash does not answer"
            if logstash.given <= (logstash_before or Hop(0, 0)).given:
                return "in Logstash, which has received it: Elasticsearch has accepted nothing from it since"
        return (
            f"on its way to Elasticsearch: {receiver if self._logstash else 'Filebeat'} has sent lines since"
        )

    def _filebeats(self) -> Iterator[str]:
        host, _, port = self._filebeat.rpartition(":")
        try:
            found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except OSError:
            return
        for _, _, _, _, address in found:
            name = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
            yield f"http://{name}:{port}"


def _read(url: str) -> Stats | None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:  # noqa: S310 (fixed server)
            read: Stats = json.load(answer)
    except (OSError, ValueError):
        return None
    return read
