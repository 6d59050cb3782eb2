"""Pods of a home that write log lines, and whether these arrive."""

import json
import sys
import uuid
from collections import Counter
from typing import Any

from harness.home import Kubectl, eventually
from harness.logs import Logs

PAGE = 10_000

# Writes numbered lines at a constant rate.
PROGRAM = """
import json, sys, time
mark, lines, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
started = time.monotonic()
for number in range(lines):
    line = {"message": f"numbered {mark}", "level": "info", "number": number}
    print(json.dumps(line), flush=number % 100 == 0)
    time.sleep(max(0, started + seconds * number / lines - time.monotonic()) if number % 100 == 0 else 0)
"""


def write_lines(kubectl: Kubectl, lines: int, seconds: float, **annotations: str) -> str:
    """Start a pod that writes numbered lines over these seconds; return its name, which is in each line."""
    mark = f"m{uuid.uuid4().hex}"
    start_python(kubectl, mark, [PROGRAM, mark, str(lines), str(seconds)], **annotations)
    return mark


def start_python(kubectl: Kubectl, name: str, arguments: list[str], **annotations: str) -> None:
    """Start a pod that runs a program once; the annotations are those for Filebeat."""
    # This image has Python, and is on the machine already.
    kubectl.apply(_pod(kubectl.image("apps", "hello"), name, arguments, annotations))


def remove(kubectl: Kubectl, *names: str) -> None:
    """Remove pods, if they are still there."""
    for name in names:
        kubectl(f"-n default delete pod {name} --wait=false --ignore-not-found")


def _pod(image: str, name: str, arguments: list[str], annotations: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app.kubernetes.io/name": "writer"},
            "annotations": {f"co.elastic.logs/{key}": value for key, value in annotations.items()},
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "writer", "image": image, "command": ["python3", "-c", *arguments]}],
        },
    }


def _numbers(logs: Logs, mark: str) -> list[int]:
    """Return the number of every line with a mark, page by page."""
    numbers: list[int] = []
    after: list[Any] = []
    while True:
        body = {
            "query": {"match_phrase": {"message": mark}},
            "sort": [{"@timestamp": "asc"}, {"log.offset": "asc"}],
            "size": PAGE,
            "_source": ["json.number"],
        } | ({"search_after": after} if after else {})
        hits = logs.ask("logs-app/_search", body)["hits"]["hits"]
        numbers += [hit["_source"]["json"]["number"] for hit in hits]
        if len(hits) < PAGE:
            return numbers
        after = hits[-1]["sort"]


def count(logs: Logs, mark: str) -> int:
    """Return how many lines with a mark were found."""
    return int(logs.ask("logs-app/_count", {"query": {"match_phrase": {"message": mark}}})["count"])


def all_there(logs: Logs, mark: str, lines: int, seconds: float) -> None:
    """Wait until all lines with a mark are found; check that each is there, and once."""
    assert eventually(lambda: count(logs, mark) >= lines, seconds), f"{count(logs, mark)} of {lines}"
    found = Counter(_numbers(logs, mark))
    sys.stdout.write(f"{lines} lines: {lines - len(found)} lost, {found.total() - len(found)} twice\n")
    assert sorted(found) == list(range(lines))
    # A line is sent again when its response was lost, and then rejected because of its id.
    assert found.total() == lines


def _filebeat(kubectl: Kubectl) -> str:
    pods = kubectl.get("-n logging-host pods -l app.kubernetes.io/name=filebeat")["items"]
    return str(pods[0]["metadata"]["name"])


def duplicates(kubectl: Kubectl) -> int:
    """Return how many lines Filebeat sent again that Elasticsearch had already."""
    path = f"/api/v1/namespaces/logging-host/pods/{_filebeat(kubectl)}:5066/proxy/stats"
    events = json.loads(kubectl(f"get --raw {path}"))["libbeat"]["output"]["events"]
    return int(events.get("duplicates", 0))
