"""All objects of Kibana's, and the file they become."""

import json
from pathlib import Path

from kibana import cluster, errors, pipeline, request, traffic
from kibana.objects import Json
from kibana.page import WAY
from kibana.views import VIEWS

FILE = Path(__file__).parent.parent / "roles/elk/files/kibana/homeserver.ndjson"

DASHBOARDS = (traffic, errors, request, cluster, pipeline)


def objects() -> list[Json]:
    """Describe every object; what another names comes before it."""
    return [*VIEWS, WAY, *(found for module in DASHBOARDS for found in module.build())]


def render() -> str:
    """Give the text of the file: an object in each line."""
    return "".join(json.dumps(each, ensure_ascii=False, sort_keys=True) + "\n" for each in objects())


def write() -> None:
    """Make the file what the modules describe."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(render())
