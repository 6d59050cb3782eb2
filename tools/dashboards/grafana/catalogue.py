"""All dashboards, in Grafana's folders, and their files."""

import json
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import (
    app,
    home_server,
    logs,
    node,
    prometheus,
    storage,
    traces,
    traefik,
    workloads,
)

FILES = Path(__file__).parents[3] / "roles/grafana/files/dashboards"

FOLDERS = {
    "server": (home_server, node, storage),
    "kubernetes": (workloads,),
    "traffic": (traefik, app, traces),
    "monitoring": (prometheus, logs),
}


def render() -> Iterator[tuple[Path, str]]:
    """Return the path and the text of every dashboard's file."""
    for folder, modules in FOLDERS.items():
        for module in modules:
            dashboard = module.build()
            yield FILES / folder / f"{dashboard.uid}.json", as_json(dashboard)


def as_json(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana's JSON."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def write() -> None:
    """Write the files of all dashboards, and delete those of removed dashboards."""
    files = dict(render())
    for path in set(FILES.glob("*/*.json")) - files.keys():
        path.unlink()
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
