"""A filter that draws a QR code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"qr_code": qr_code}


def qr_code(text: str) -> str:
    """Draw a text as a QR code, an SVG element for HTML. It is readable even if a quarter is damaged."""
    # Each task that uses a filter of the collection loads all its filter files.
    import segno  # noqa: PLC0415

    return str(segno.make_qr(text, error="q").svg_inline(scale=4))
