"""Draws what a device shows at a step: a screen with a title and rows. Its colours are in style.css."""

from html import escape
from typing import NamedTuple

_WIDTH, _TOP, _ROW, _GAP = 240, 44, 34, 8


class Row(NamedTuple):
    """A row of a screen.

    Attributes:
        text: What it says.
        kind: `plain`; `more` leads to another screen; `switch` is switched on; `button` is tapped.
        marked: Whether the reader has to use it.
    """

    text: str
    kind: str = "plain"
    marked: bool = False


def screen(title: str, *rows: Row) -> str:
    """Return a screen as SVG. A screen reader says the title and what to use."""
    height = _TOP + len(rows) * (_ROW + _GAP) + _GAP
    use = ", then ".join(row.text for row in rows if row.marked)
    drawn = "".join(_drawn(row, _TOP + number * (_ROW + _GAP)) for number, row in enumerate(rows))
    return (
        f'<svg class="screen" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' aria-label="{escape(f"Picture of the screen {title}: use {use}")}">'
        f'<rect class="frame" x="1" y="1" width="{_WIDTH - 2}" height="{height - 2}" rx="14"/>'
        f"{_text(title, 28, 'title')}{drawn}</svg>"
    )


def _drawn(row: Row, top: int) -> str:
    middle, right = top + _ROW // 2, _WIDTH - 22
    box = (
        f'<rect class="row{" marked" if row.marked else ""}" x="12" y="{top}"'
        f' width="{_WIDTH - 24}" height="{_ROW}" rx="8"/>'
    )
    if row.kind == "button":
        return box + _text(row.text, middle + 4, "tapped")
    text = f'<text x="24" y="{middle + 4}">{escape(row.text)}</text>'
    if row.kind == "more":
        return f'{box}{text}<path class="more" d="M{right - 6} {middle - 5}l6 5l-6 5"/>'
    if row.kind == "switch":
        track = f'<rect class="on" x="{right - 30}" y="{middle - 9}" width="32" height="18" rx="9"/>'
        return f'{box}{text}{track}<circle class="knob" cx="{right - 7}" cy="{middle}" r="7"/>'
    return box + text


def _text(text: str, bottom: int, kind: str) -> str:
    """Return a text in the middle of the screen."""
    return f'<text class="{kind}" x="{_WIDTH // 2}" y="{bottom}" text-anchor="middle">{escape(text)}</text>'
