"""The common parts of every Kibana dashboard."""

from collections.abc import Sequence

from tools.dashboards.kibana import fields, views
from tools.dashboards.kibana.objects import PREFIX, WIDTH, Control, Json, Panel, dashboard
from tools.dashboards.kibana.panels import text

TITLES = {
    "traffic": "Traffic",
    "errors": "Errors",
    "request": "One request",
    "cluster": "Cluster logs",
    "pipeline": "Pipeline health",
}

WAY = text("way", "", " · ".join(f"[{title}](#/view/{PREFIX}{name})" for name, title in TITLES.items()))
"""Links from each dashboard to all others."""

HALF = WIDTH // 2

NODE = Control(fields.HOST, "Node", views.ALL)
"""Chooses the machine that lines are from, be it its own or those of pods there."""


def page(
    name: str,
    description: str,
    rows: Sequence[Sequence[Panel]],
    controls: Sequence[Control] = (),
    *,
    since: str = "now-24h",
) -> list[Json]:
    """Return a dashboard, preceded by its objects."""
    shown = [panel.shown for row in rows for panel in row]
    above = [Panel(WAY, height=3)]
    return [*shown, dashboard(name, TITLES[name], description, [above, *rows], controls, since=since)]
