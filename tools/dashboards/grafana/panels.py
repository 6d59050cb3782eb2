"""The panel types, each with a uniform style; a panel is a title, a unit and queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import (
    BarGaugeDisplayMode,
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    GraphGradientMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="prometheus")

GOOD, DOUBTFUL, BAD, NEUTRAL = "green", "yellow", "red", "blue"
STATUS_COLOURS = {"2..": GOOD, "3..": NEUTRAL, "4..": DOUBTFUL, "5..": BAD}
"""Colours of HTTP responses, by regular expressions for their status."""

LIMIT = "alert above"
"""The legend of the alert threshold."""

Panel = stat.Panel | bargauge.Panel | timeseries.Panel | table.Panel
P = TypeVar("P", stat.Panel, bargauge.Panel, timeseries.Panel, table.Panel)


@dataclass(frozen=True)
class Query:
    """A query to Prometheus.

    Attributes:
        expr: PromQL; may contain $__rate_interval and the dashboard's variables.
        legend: The name of each series, with its labels as in {{node}}.
        exemplars: Whether to show the traces of single requests, too.
    """

    expr: str
    legend: str = ""
    exemplars: bool = False


@dataclass(frozen=True)
class Scale:
    """The values from which the colour changes; below the first of them it is `base`."""

    base: str = GOOD
    good: float | None = None
    doubtful: float | None = None
    bad: float | None = None

    def steps(self) -> list[Threshold]:
        """Return the steps of the scale for Grafana, in ascending order."""
        limits = [(self.good, GOOD), (self.doubtful, DOUBTFUL), (self.bad, BAD)]
        reached = sorted((value, colour) for value, colour in limits if value is not None)
        return [
            Threshold(color=self.base),
            *(Threshold(value=value, color=colour) for value, colour in reached),
        ]


PLAIN = Scale(base=NEUTRAL)
ANY_IS_DOUBTFUL = Scale(doubtful=1)
ANY_IS_BAD = Scale(bad=1)
ONLY_ALL_IS_GOOD = Scale(base=BAD, good=1)


@dataclass(frozen=True)
class Column:
    """A column of a table: a label of the series, or with `expr` a value for each row.

    Attributes:
        title: Its heading.
        label: The label it shows.
        expr: PromQL whose result has exactly the labels of the table's other columns.
        unit: The unit of the value, as Grafana calls it.
        scale: The colours of the value.
        link: The target of the cell's link.
    """

    title: str
    label: str = ""
    expr: str = ""
    unit: str = "string"
    scale: Scale | None = None
    link: dashboard.DashboardLink | None = None


def threshold(name: str) -> str:
    """Return PromQL for an alert's threshold, as the owner set it."""
    return f"homeserver:alert_threshold:{name}"


def link(title: str, uid: str, **variables: str) -> dashboard.DashboardLink:
    """Link to another dashboard; each variable is set from a label of the clicked series."""
    chosen = [f"var-{variable}=${{__field.labels.{label}}}" for variable, label in variables.items()]
    return _link(title, uid, chosen)


def row_link(title: str, uid: str, **variables: str) -> dashboard.DashboardLink:
    """Link to another dashboard like `link`, from a table: each variable is set from a column of the row."""
    chosen = [f"var-{variable}=${{__data.fields.{column}}}" for variable, column in variables.items()]
    return _link(title, uid, chosen)


def _link(title: str, uid: str, chosen: list[str]) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title).url("&".join([f"/d/{uid}?${{__url_time_range}}", *chosen]))


def number(title: str, unit: str, expr: str, *, scale: Scale = PLAIN, limit: str = "") -> stat.Panel:
    """Show one current value, large, coloured by a scale, or red at or above `limit`, an expression."""
    panel = (
        stat.Panel()
        .color_mode(BigValueColorMode.BACKGROUND if limit or scale is not PLAIN else BigValueColorMode.VALUE)
        .graph_mode(BigValueGraphMode.NONE)
        .thresholds(dashboard.ThresholdsConfig().steps(scale.steps()))
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .span(4)
        .height(4)
    )
    if not limit:
        return _furnished(panel, title, unit, [_now(Query(expr))])
    panel.with_transformation(_red_from_second_query())
    return _furnished(panel, title, unit, [_now(Query(expr)), _now(Query(limit, LIMIT))])


def bars(title: str, unit: str, query: Query, *, limit: str) -> bargauge.Panel:
    """Show current shares of a whole; one turns red at or above `limit`, an expression."""
    panel = (
        bargauge.Panel()
        .min(0)
        .max(1)
        .display_mode(BarGaugeDisplayMode.BASIC)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
        .with_transformation(_red_from_second_query())
        .span(6)
        .height(6)
    )
    return _furnished(panel, title, unit, [_now(query), _now(Query(limit, LIMIT))])


def _red_from_second_query() -> DataTransformerConfig:
    """Make Grafana read a panel's limit from the second query, which it then hides."""
    mapping = {"fieldName": LIMIT, "handlerKey": "threshold1"}
    return DataTransformerConfig(id_val="configFromData", options={"configRefId": "B", "mappings": [mapping]})


def graph(
    title: str,
    unit: str,
    *queries: Query,
    limit: str = "",
    stacked: bool = False,
    colours: Mapping[str, str] = MappingProxyType({}),
) -> timeseries.Panel:
    """Show values over time, with a red line at `limit`, an expression.

    `colours` are for series whose names match a regular expression.
    """
    panel = (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(30 if stacked else 8)
        .gradient_mode(GraphGradientMode.OPACITY)
        .show_points(VisibilityMode.NEVER)
        # Use the same colour for the same name on every panel.
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .axis_soft_min(0)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
        .span(12)
        .height(8)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL).group("A"))
    for name, colour in colours.items():
        panel.override_by_regexp(f"/^{name}$/", [_fixed(colour)])
    targets = [_over_time(query) for query in queries]
    if limit:
        targets.append(_over_time(Query(limit, LIMIT)))
        panel.override_by_name(LIMIT, _limit_line())
    return _furnished(panel, title, unit, targets)


def _fixed(colour: str) -> DynamicConfigValue:
    return DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": colour})


def _limit_line() -> list[DynamicConfigValue]:
    return [
        _fixed(BAD),
        DynamicConfigValue(id_val="custom.fillOpacity", value=0),
        DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [8, 8]}),
        DynamicConfigValue(id_val="custom.stacking", value={"mode": "none", "group": "limit"}),
    ]


def rows(title: str, *columns: Column, sort_by: str) -> table.Panel:
    """Show current values as a table, sorted by the column `sort_by` in descending order."""
    order = common.TableSortByFieldState().display_name(sort_by).desc(True)
    panel = table.Panel().sort_by([order]).filterable(True).span(24).height(8)
    queries = [column.expr for column in columns if column.expr]
    targets = [_now(Query(expr)).format(PromQueryFormat.TABLE) for expr in queries]
    # Grafana names the values by their queries, unless there is only one.
    values = iter(["Value"] if len(queries) == 1 else [f"Value #{_letter(n)}" for n in range(len(queries))])
    fields = {column.label or next(values): column.title for column in columns}
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {field: position for position, field in enumerate(fields)},
                "renameByName": fields,
            },
        )
    )
    for column in columns:
        panel.override_by_name(column.title, _column(column))
    return _furnished(panel, title, units.String, targets)


HOST_COLUMN = Column("Host", label="node", link=row_link("Host", "node", host="Host"))
"""The host of a table's row, which leads to its dashboard."""


def hosts(*columns: Column, sort_by: str) -> table.Panel:
    """Show current values of every host as a table; the expressions of the columns have the label `node`."""
    return rows("Hosts", HOST_COLUMN, *columns, sort_by=sort_by).height(5)


def yes_or_no(title: str, expr: str) -> Column:
    """Tell in a table whether a value is 1, in green, or 0, in red."""
    return Column(title, expr=expr, unit=units.BoolYesNo, scale=ONLY_ALL_IS_GOOD)


def _column(column: Column) -> list[DynamicConfigValue]:
    properties = [DynamicConfigValue(id_val="unit", value=column.unit)]
    if column.scale:
        steps = [step.to_json() for step in column.scale.steps()]
        properties += [
            DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps}),
            DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
        ]
    if column.link:
        properties.append(DynamicConfigValue(id_val="links", value=[column.link.build().to_json()]))
    return properties


def _now(query: Query) -> prometheus.Dataquery:
    return _target(query).instant()


def _over_time(query: Query) -> prometheus.Dataquery:
    return _target(query).range().exemplar(query.exemplars)


def _target(query: Query) -> prometheus.Dataquery:
    return (
        prometheus.Dataquery().datasource(PROMETHEUS).expr(query.expr).legend_format(query.legend or "__auto")
    )


def _letter(position: int) -> str:
    return chr(ord("A") + position)


def _furnished(panel: P, title: str, unit: str, targets: Sequence[prometheus.Dataquery]) -> P:
    """Set the options that every panel has."""
    for position, target in enumerate(targets):
        panel.with_target(target.ref_id(_letter(position)))
    return panel.title(title).unit(unit).datasource(PROMETHEUS)
