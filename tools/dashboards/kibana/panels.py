"""The panel types, each a Vega-Lite specification with a query to Elasticsearch.

Kibana replaces the words in percent signs with the time range and filters of the dashboard.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.dashboards.kibana import fields
from tools.dashboards.kibana.descriptions import DESCRIPTIONS
from tools.dashboards.kibana.objects import Json, compact, visualization

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

GOOD, NEUTRAL, DOUBTFUL, BAD = "#54b399", "#6092c0", "#d6bf57", "#e7664c"
STATUS_COLOURS = {"1xx": NEUTRAL, "2xx": GOOD, "3xx": NEUTRAL, "4xx": DOUBTFUL, "5xx": BAD}

_STATUS_CLASS = "floor(toNumber({}) / 100) + 'xx'"


@dataclass(frozen=True)
class By:
    """A field to group lines by, and the number of its values to show.

    Attributes:
        status_classes: The field is an HTTP status, of which only the first digit is shown.
    """

    field: str
    title: str
    most: int = 10
    status_classes: bool = False

    @property
    def terms(self) -> Json:
        """Return the terms aggregation."""
        return {"terms": {"field": self.field, "size": self.most}}

    def name(self, bucket: str) -> Json:
        """Return the transformation that names a bucket."""
        key = f"{bucket}.key"
        calculation = _STATUS_CLASS.format(key) if self.status_classes else f"toString({key})"
        return {"calculate": calculation, "as": "name"}

    @property
    def colour(self) -> Json:
        """Return the colour encoding."""
        encoding: Json = {"field": "name", "type": "nominal", "title": self.title}
        if self.status_classes:
            encoding["scale"] = {"domain": list(STATUS_COLOURS), "range": list(STATUS_COLOURS.values())}
        return encoding


@dataclass(frozen=True)
class Lines:
    """The lines of a panel: those in these indices that match all conditions."""

    indices: str
    where: tuple[Json, ...] = ()


STATUS = By(fields.STATUS, "Status", most=40, status_classes=True)


def term(field: str, *values: str) -> Json:
    """Match lines with one of these values."""
    return {"terms": {field: list(values)}}


def exists(field: str) -> Json:
    """Match lines that have the field."""
    return {"exists": {"field": field}}


FAILED = {"range": {fields.STATUS: {"gte": 500}}}
ERRORS = term(fields.LEVEL, "error", "critical", "fatal", "alert", "emergency", "panic")
UNPARSED = term(fields.TAGS, *fields.NOT_READ)


def over_time(name: str, title: str, lines: Lines, by: By) -> Json:
    """Show the number of lines over time, as bars."""
    aggregation = _per_interval({"by": by.terms})
    transform: list[Json] = [
        {"flatten": ["by.buckets"], "as": ["part"]},
        by.name("datum.part"),
        {"calculate": "datum.part.doc_count", "as": "lines"},
    ]
    encoding = {
        "x": _TIME_AXIS,
        "y": {"aggregate": "sum", "field": "lines", "type": "quantitative", "title": None},
        "color": by.colour,
        "tooltip": [
            _WHEN,
            {"field": "name", "type": "nominal", "title": by.title},
            {"aggregate": "sum", "field": "lines", "type": "quantitative", "title": "Number"},
        ],
    }
    data = _data(lines, {"over_time": aggregation}, "aggregations.over_time.buckets")
    return _panel(
        name, title, data, transform, {"mark": {"type": "bar", "tooltip": True}, "encoding": encoding}
    )


def ranking(name: str, title: str, lines: Lines, of: By, by: By) -> Json:
    """Show the values with the most lines, divided by a second field, as horizontal bars."""
    aggregation = {**of.terms, "aggs": {"by": by.terms}}
    transform: list[Json] = [
        {"calculate": "toString(datum.key)", "as": "of"},
        {"flatten": ["by.buckets"], "as": ["part"]},
        by.name("datum.part"),
        {"calculate": "datum.part.doc_count", "as": "lines"},
    ]
    number = {"aggregate": "sum", "field": "lines", "type": "quantitative", "title": None}
    encoding = {
        "y": {"field": "of", "type": "nominal", "title": None, "sort": "-x", "axis": {"labelLimit": 260}},
        "x": number,
        "color": by.colour,
        "tooltip": [
            {"field": "of", "type": "nominal", "title": of.title},
            {"field": "name", "type": "nominal", "title": by.title},
            {**number, "title": "Number"},
        ],
    }
    data = _data(lines, {"of": aggregation}, "aggregations.of.buckets")
    return _panel(
        name, title, data, transform, {"mark": {"type": "bar", "tooltip": True}, "encoding": encoding}
    )


def grid(name: str, title: str, lines: Lines, across: By, down: By) -> Json:
    """Show the number of lines for each combination of two fields, as a heat map."""
    aggregation = {**down.terms, "aggs": {"by": across.terms}}
    transform: list[Json] = [
        {"calculate": "toString(datum.key)", "as": "down"},
        {"flatten": ["by.buckets"], "as": ["part"]},
        across.name("datum.part"),
        {"calculate": "datum.part.doc_count", "as": "lines"},
    ]
    encoding = {
        "y": {"field": "down", "type": "nominal", "title": down.title, "axis": {"labelLimit": 260}},
        "x": {"field": "name", "type": "nominal", "title": across.title, "axis": {"labelAngle": 0}},
        "color": {"field": "lines", "type": "quantitative", "title": "Number", "scale": {"scheme": "reds"}},
        "tooltip": [
            {"field": "down", "type": "nominal", "title": down.title},
            {"field": "name", "type": "nominal", "title": across.title},
            {"field": "lines", "type": "quantitative", "title": "Number"},
        ],
    }
    data = _data(lines, {"down": aggregation}, "aggregations.down.buckets")
    return _panel(
        name, title, data, transform, {"mark": {"type": "rect", "tooltip": True}, "encoding": encoding}
    )


def time_to_answer(name: str, title: str, lines: Lines) -> Json:
    """Show the 50th, 95th and 99th percentile of response times."""
    percents = {50: "50.0", 95: "95.0", 99: "99.0"}
    aggregation = _per_interval(
        {"within": {"percentiles": {"field": fields.DURATION, "percents": list(percents)}}}
    )
    transform: list[Json] = [
        *(
            {"calculate": f"datum.within.values['{key}'] / 1e9", "as": f"{percent} of 100"}
            for percent, key in percents.items()
        ),
        {"fold": [f"{percent} of 100" for percent in percents], "as": ["name", "seconds"]},
    ]
    encoding = {
        "x": _TIME_AXIS,
        "y": {"field": "seconds", "type": "quantitative", "title": "Seconds"},
        "color": {"field": "name", "type": "nominal", "title": "Answered"},
        "tooltip": [
            _WHEN,
            {"field": "name", "type": "nominal", "title": "Answered"},
            {"field": "seconds", "type": "quantitative", "title": "Seconds", "format": ".3f"},
        ],
    }
    data = _data(lines, {"over_time": aggregation}, "aggregations.over_time.buckets")
    return _panel(
        name, title, data, transform, {"mark": {"type": "line", "tooltip": True}, "encoding": encoding}
    )


def slowest(name: str, title: str, lines: Lines, of: By) -> Json:
    """Show the 95th percentile of response times, slowest first."""
    within = {"within": {"percentiles": {"field": fields.DURATION, "percents": [95]}}}
    transform: list[Json] = [
        {"calculate": "toString(datum.key)", "as": "of"},
        {"calculate": "datum.within.values['95.0'] / 1e9", "as": "seconds"},
    ]
    encoding = {
        "y": {"field": "of", "type": "nominal", "title": None, "sort": "-x", "axis": {"labelLimit": 260}},
        "x": {"field": "seconds", "type": "quantitative", "title": "Seconds"},
        "tooltip": [
            {"field": "of", "type": "nominal", "title": of.title},
            {"field": "seconds", "type": "quantitative", "title": "Seconds", "format": ".3f"},
            {"field": "doc_count", "type": "quantitative", "title": "Requests"},
        ],
    }
    data = _data(lines, {"of": {**of.terms, "aggs": within}}, "aggregations.of.buckets")
    mark = {"type": "bar", "tooltip": True, "color": NEUTRAL}
    return _panel(name, title, data, transform, {"mark": mark, "encoding": encoding})


def newest(name: str, title: str, lines: Lines, of: By) -> Json:
    """Show the age in minutes of each value's last line."""
    last = {"last": {"max": {"field": fields.TIME}}}
    transform: list[Json] = [
        {"calculate": "toString(datum.key)", "as": "of"},
        {"calculate": "(now() - datum.last.value) / 60000", "as": "minutes"},
    ]
    encoding = {
        "y": {"field": "of", "type": "nominal", "title": None},
        "x": {"field": "minutes", "type": "quantitative", "title": "Minutes ago"},
        "tooltip": [
            {"field": "of", "type": "nominal", "title": of.title},
            {"field": "last.value", "type": "temporal", "title": "Last line", "format": _CLOCK},
        ],
    }
    data = _data(lines, {"of": {**of.terms, "aggs": last}}, "aggregations.of.buckets")
    mark = {"type": "bar", "tooltip": True, "color": NEUTRAL}
    return _panel(name, title, data, transform, {"mark": mark, "encoding": encoding})


def moments(name: str, title: str, lines: Lines, down: str, shown: Mapping[str, str]) -> Json:
    """Show single lines as dots over time; `shown` are the tooltip's fields, by heading."""
    columns = [down, *shown.values()]
    transform: list[Json] = [{"calculate": f"toDate(datum.fields['{fields.TIME}'][0])", "as": "when"}]
    names = {field: f"value{number}" for number, field in enumerate(columns)}
    transform += [
        # A line may lack some of the fields.
        {"calculate": f"datum.fields['{field}'] ? toString(datum.fields['{field}'][0]) : ''", "as": name}
        for field, name in names.items()
    ]
    encoding = {
        "x": {**_TIME_AXIS, "field": "when"},
        "y": {"field": names[down], "type": "nominal", "title": None, "axis": {"labelLimit": 260}},
        "color": {"field": names[down], "type": "nominal", "legend": None},
        "tooltip": [
            {"field": "when", "type": "temporal", "title": "Time", "format": "%H:%M:%S.%L"},
            *({"field": names[field], "type": "nominal", "title": title} for title, field in shown.items()),
        ],
    }
    body = {
        "size": 500,
        "_source": False,
        "fields": [{"field": fields.TIME, "format": "strict_date_time"}, *columns],
        "sort": [{fields.TIME: "desc"}],
        "query": _query(lines),
    }
    data = {"url": {"index": lines.indices, "body": body}, "format": {"property": "hits.hits"}}
    mark = {"type": "point", "filled": True, "size": 80, "tooltip": True}
    return _panel(name, title, data, transform, {"mark": mark, "encoding": encoding})


def text(name: str, title: str, markdown: str) -> Json:
    """Show a text."""
    parameters = {"markdown": markdown, "fontSize": 12, "openLinksInNewTab": False}
    return visualization(name, title, DESCRIPTIONS[name], "markdown", parameters)


_CLOCK = "%Y-%m-%d %H:%M:%S"
_TIME_AXIS: Json = {"field": "key", "type": "temporal", "title": None}
_WHEN: Json = {"field": "key", "type": "temporal", "title": "Time", "format": _CLOCK}


def _per_interval(parts: Json) -> Json:
    interval = {"%autointerval%": True}
    histogram = {"field": fields.TIME, "fixed_interval": interval, "min_doc_count": 1}
    return {"date_histogram": histogram, "aggs": parts}


def _query(lines: Lines) -> Json:
    return {
        "bool": {
            "must": ["%dashboard_context-must_clause%"],
            "filter": [
                "%dashboard_context-filter_clause%",
                {"range": {fields.TIME: {"%timefilter%": True}}},
                *lines.where,
            ],
            "must_not": ["%dashboard_context-must_not_clause%"],
        }
    }


def _data(lines: Lines, aggregations: Json, answer: str) -> Json:
    body = {"size": 0, "query": _query(lines), "aggs": aggregations}
    return {"url": {"index": lines.indices, "body": body}, "format": {"property": answer}}


def _panel(name: str, title: str, data: Json, transform: list[Json], picture: Json) -> Json:
    specification = {
        "$schema": SCHEMA,
        "data": data,
        "transform": transform,
        **picture,
        "config": {"view": {"stroke": None}},
    }
    return visualization(name, title, DESCRIPTIONS[name], "vega", {"spec": compact(specification)})
