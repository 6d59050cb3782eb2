"""Checks whether Logstash can parse the filters of an owner."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A string or a comment, in which braces have no meaning, or a brace.
_TOKEN = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\#[^\n]*|[{}"']""")


def flaw(filters: str) -> str:
    """Return why Logstash cannot parse these filters; an empty text if it can.

    Args:
        filters: the text between the braces of a section `filter`.
    """
    depth = 0
    for found in _TOKEN.finditer(filters):
        token = found.group()
        line = filters.count("\n", 0, found.start()) + 1
        if token in ("'", '"'):
            return f"line {line}: the text that begins with {token} does not end"
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            return f"line {line}: a }} has no matching {{"
    if depth:
        return f"{depth} {{ without its }}"
    if _reads(filters):
        return ""
    for line, statement in _statements(filters):
        if not _reads(statement):
            return f"line {line}: {statement.strip().splitlines()[0]}"
    return f"line 1: {filters.strip().splitlines()[0]}"


def _statements(filters: str) -> Iterator[tuple[int, str]]:
    """Yield each filter with the number of its first line; a condition with all branches is one filter."""
    start = depth = 0
    for found in _TOKEN.finditer(filters):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        more = re.match(r"\s*else\b", filters[found.end() :])
        if found.group() == "}" and depth == 0 and not more:
            yield _numbered(filters, start, found.end())
            start = found.end()
    if filters[start:].strip():
        yield _numbered(filters, start, len(filters))


def _numbered(filters: str, start: int, end: int) -> tuple[int, str]:
    begin = start + len(filters[start:end]) - len(filters[start:end].lstrip())
    return filters.count("\n", 0, begin) + 1, filters[begin:end]


def _reads(filters: str) -> bool:
    from logstash_pipeline_parser import Pipeline  # noqa: PLC0415 (needed only if there are filters)

    try:
        sections = Pipeline(f"filter {{\n{filters}\n}}\n").parse()
    except Exception:
        return False
    return [section[0] for section in sections] == ["filter"]
