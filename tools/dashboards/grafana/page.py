"""The common parts of every dashboard."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    RowPanel,
)

from tools.dashboards.grafana.descriptions import DESCRIPTIONS
from tools.dashboards.grafana.panels import BAD, PROMETHEUS, Panel

TAG = "homeserver"
"""The tag of every dashboard, by which each lists the others."""


def page(
    uid: str,
    title: str,
    description: str,
    sections: Mapping[str, Sequence[Panel]],
    variables: Sequence[dashboard.QueryVariable] = (),
) -> Dashboard:
    """Create a dashboard with these sections, by heading, from top to bottom."""
    builder = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .time("now-6h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_others())
        .annotation(_alerts())
    )
    for variable in variables:
        builder.with_variable(variable)
    for heading, panels in sections.items():
        builder.with_row(dashboard.Row(heading))
        for panel in panels:
            builder.with_panel(panel)
    return _numbered(_described(builder.build()))


def _others() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Dashboards")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .keep_time(True)
        .include_vars(True)
    )


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(PROMETHEUS)
        .enable(True)
        .icon_color(BAD)
        .expr('ALERTS{alertstate="firing", severity!="none"}')
    )


def _described(built: Dashboard) -> Dashboard:
    """Set the description of each panel that has none of its own.

    Raises:
        KeyError: there is none.
    """
    for panel in built.panels or []:
        if not isinstance(panel, RowPanel) and not panel.description:
            panel.description = DESCRIPTIONS[built.uid or ""][panel.title or ""]
    return built


def _numbered(built: Dashboard) -> Dashboard:
    """Set each panel's id, which links refer to."""
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number
    return built
