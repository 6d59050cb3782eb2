"""What every dashboard of Kibana's has around its panels."""

from collections.abc import Sequence

from kibana.objects import PREFIX, WIDTH, Control, Json, Panel, dashboard
from kibana.panels import text

TITLES = {
    "traffic": "Traffic",
    "errors": "Errors",
    "request": "One request",
    "cluster": "Cluster logs",
    "pipeline": "Pipeline health",
}

WAY = text("way", "", " · ".join(f"[{title}](#/view/{PREFIX}{name})" for name, title in TITLES.items()))
"""Leads from each dashboard to all."""

HALF = WIDTH // 2


def page(
    name: str,
    description: str,
    rows: Sequence[Sequence[Panel]],
    controls: Sequence[Control] = (),
    *,
    since: str = "now-24h",
) -> list[Json]:
    """Give a dashboard, and before it what is on it."""
    shown = [panel.shown for row in rows for panel in row]
    above = [Panel(WAY, height=3)]
    return [*shown, dashboard(name, TITLES[name], description, [above, *rows], controls, since=since)]
