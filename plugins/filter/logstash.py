"""The filters that find what is wrong with Logstash's filters, and give a key the form that it reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ansible.errors import AnsibleFilterError

# What may hold a brace that is none: text, a comment; and a brace.
_TOKEN = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\#[^\n]*|[{}"']""")


def logstash_flaw(filters: str) -> str:
    """Say what keeps Logstash from reading these as filters, nothing if it can read them.

    Args:
        filters: What is to stand between the braces of a section `filter`.
    """
    depth = 0
    for found in _TOKEN.finditer(filters):
        token = found.group()
        line = filters.count("\n", 0, found.start()) + 1
        if token in ("'", '"'):
            return f"line {line}: the text that begins with {token} does not end"
        depth += {"{": 1, "}": -1}.get(token, 0)
        if depth < 0:
            return f"line {line}: a }} ends what no {{ has begun"
    if depth:
        return f"{depth} {{ without its }}"
    if _reads(filters):
        return ""
    for line, statement in _statements(filters):
        if not _reads(statement):
            return f"line {line}: {statement.strip().splitlines()[0]}"
    return f"line 1: {filters.strip().splitlines()[0]}"


def _statements(filters: str) -> Iterator[tuple[int, str]]:
    """Each filter, with the number of its first line; a condition and what belongs to it is one."""
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
    try:
        from logstash_pipeline_parser import Pipeline  # noqa: PLC0415 (only who has filters needs it)
    except ImportError as error:
        missing = "logstash-pipeline-parser is missing: pip install -r requirements.txt"
        raise AnsibleFilterError(missing) from error
    try:
        sections = Pipeline(f"filter {{\n{filters}\n}}\n").parse()
    except Exception:
        return False
    return [section[0] for section in sections] == ["filter"]


def pkcs8(key: str) -> str:
    """Return a private key, given as PEM, in the only form that Logstash reads."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 (only Logstash needs it)

    private = serialization.load_pem_private_key(key.encode(), None)
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {"logstash_flaw": logstash_flaw, "pkcs8": pkcs8}
