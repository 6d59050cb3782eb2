"""The browser family of a request: one of a few values, so that it can be a metric label."""

import re

# The order matters because browsers imitate each other: Edge also names Chrome and Safari, Chrome also names
# Safari, and a bot may name any of them. A derived browser, such as Opera, counts as its base (Chrome).
_PATTERNS = {
    # Every browser's user agent starts with Mozilla or Opera. Anything else is a program.
    # A Cubot is a phone.
    "bot": r"^(?!mozilla/|opera/|$)|(?<!\bcu)bot|crawl|spider|headless|lighthouse",
    "edge": r"\bedg(e|a|ios)?/",
    "firefox": r"\b(firefox|fxios)/",
    "chrome": r"\b(chrome|crios)/",
    "safari": r"\bsafari/",
}
# Filebeat has the same rules, for ASCII only: roles/elk/files/filebeat/ecs.js. One table tests both.
_EXPRESSIONS = {name: re.compile(pattern, re.IGNORECASE | re.ASCII) for name, pattern in _PATTERNS.items()}
FAMILIES = (*_PATTERNS, "other")


def family(user_agent: str) -> str:
    """Return `bot`, `edge`, `firefox`, `chrome`, `safari`, or `other` if unknown or empty."""
    return next((name for name, pattern in _EXPRESSIONS.items() if pattern.search(user_agent)), "other")
