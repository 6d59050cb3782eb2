"""What every dashboard has around its panels."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
)

from dashboards.panels import BAD, PROMETHEUS, Panel

TAG = "homeserver"
"""Carried by every dashboard, which is how each lists the others."""


def page(
    uid: str,
    title: str,
    description: str,
    sections: Mapping[str, Sequence[Panel]],
    variables: Sequence[dashboard.QueryVariable] = (),
) -> Dashboard:
    """Lay out a dashboard: its sections, by their headings, from the top."""
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
    return _numbered(builder.build())


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


def _numbered(built: Dashboard) -> Dashboard:
    """Give each panel the number by which links know it."""
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number
    return built
