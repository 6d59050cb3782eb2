"""Draws how what a home takes grows with what it holds, from the rows of the page."""

import re
from collections.abc import Iterable
from statistics import median
from typing import Any

import vl_convert

from bench.page import Row

# Such as: memory, at 10 apps
_POINT = re.compile(r"(?P<what>.+), at (?P<count>\d+) (?P<things>.+)")
_COLUMNS = 3
_SIZE = {"width": 220, "height": 140}  # pixels


def picture(rows: Iterable[Row]) -> str:
    """Return one curve for each thing that was measured at several sizes, as SVG; nothing without any."""
    panels: dict[tuple[str, str, str], list[dict[str, float]]] = {}
    for each in rows:
        if point := _POINT.fullmatch(each.what):
            panel = (point["what"].replace("`", ""), point["things"], each.unit)
            panels.setdefault(panel, []).append({"count": int(point["count"]), "value": median(each.values)})
    curves = {panel: points for panel, points in panels.items() if len(points) > 1}
    if not curves:
        return ""
    drawing = {
        "background": "white",
        "columns": _COLUMNS,
        "concat": [_panel(*panel, points) for panel, points in curves.items()],
    }
    return str(vl_convert.vegalite_to_svg(drawing, vl_version="5.20"))


def _panel(what: str, things: str, unit: str, points: list[dict[str, float]]) -> dict[str, Any]:
    return {
        **_SIZE,
        "title": what,
        "data": {"values": points},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "count", "type": "quantitative", "title": things},
            "y": {"field": "value", "type": "quantitative", "title": unit or None, "scale": {"zero": True}},
        },
    }
