"""All Kibana objects, and their file."""

import json
from pathlib import Path

from tools.dashboards.kibana import cluster, errors, pipeline, request, traffic
from tools.dashboards.kibana.objects import Json
from tools.dashboards.kibana.page import WAY
from tools.dashboards.kibana.views import VIEWS

FILE = Path(__file__).parents[3] / "roles/elk/files/kibana/homeserver.ndjson"

DASHBOARDS = (traffic, errors, request, cluster, pipeline)


def objects() -> list[Json]:
    """Return every object, after the objects it refers to."""
    return [*VIEWS, WAY, *(found for module in DASHBOARDS for found in module.build())]


def render() -> str:
    """Return the text of the file: one object per line."""
    return "".join(json.dumps(each, ensure_ascii=False, sort_keys=True) + "\n" for each in objects())


def write() -> None:
    """Write the file."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(render())
