"""Which family of browser sent a request: one of a few words, so that it can be a label."""

import re

# In this order, because they imitate each other: Edge says Chrome and Safari too, Chrome says Safari too, and
# a robot may say any of them. What is built on one of them, such as Opera on Chrome, counts as that one.
_PATTERNS = {
    # Every browser's name has begun with Mozilla, or Opera, since the nineties: what does not is a program.
    # A Cubot is a phone.
    "bot": r"^(?!mozilla/|opera/|$)|(?<!\bcu)bot|crawl|spider|headless|lighthouse",
    "edge": r"\bedg(e|a|ios)?/",
    "firefox": r"\b(firefox|fxios)/",
    "chrome": r"\b(chrome|crios)/",
    "safari": r"\bsafari/",
}
# Filebeat has the same rules, of ASCII alone: roles/elk/files/filebeat/ecs.js. One table tests both.
_EXPRESSIONS = {name: re.compile(pattern, re.IGNORECASE | re.ASCII) for name, pattern in _PATTERNS.items()}
FAMILIES = (*_PATTERNS, "other")


def family(user_agent: str) -> str:
    """`bot`, `edge`, `firefox`, `chrome`, `safari`, or `other` for what is none of them or says nothing."""
    return next((name for name, pattern in _EXPRESSIONS.items() if pattern.search(user_agent)), "other")
