"""PromQL, as far as the tests read it: which metrics does an expression ask for?"""

import re

_KEYWORDS = {"and", "bool", "inf", "nan", "offset", "or", "unless"}
_NOT_METRICS = re.compile(
    r'"[^"]*"'  # texts
    r"|\{[^}]*\}"  # selectors
    r"|\[[^\]]*\]"  # times
    r"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)"
)


def metrics(expression: str) -> set[str]:
    """Return the names of the metrics and recorded series in an expression."""
    named = re.findall(r'__name__=~?"([a-z_]+)', expression)
    bare = _NOT_METRICS.sub(" ", expression)
    words = re.findall(r"(?<![\w:.$])([a-zA-Z_][\w:]*)\b(?!\s*\()", bare)
    return {word for word in words if word.lower() not in _KEYWORDS} | set(named)
