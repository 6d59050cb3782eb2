"""The pages of the documentation, and their examples."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness.roles import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language on a page."""
    fenced = rf"^ *```{language}\n(.*?)^ *```"
    return [
        textwrap.dedent(block) for block in re.findall(fenced, page.read_text(), re.MULTILINE | re.DOTALL)
    ]


def examples(page: Path) -> Iterator[dict[str, Any]]:
    """Return the variables in each YAML block, except inventories and Kubernetes objects."""
    for block in blocks(page, "yaml"):
        content = yaml.safe_load(block)
        if not {"all", "metadata"} & content.keys():
            yield content


def conditional_series() -> dict[str, set[str]]:
    """Return the series that exist only with something, by the alert, from the table in docs/alerts.md."""
    rows = re.findall(
        r"^\| \[(\w+)\]\(\S+\) \|.*\| (`.*`) \|$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE
    )
    return {alert: set(re.findall(r"`([^`]+)`", series)) for alert, series in rows}


def inventories(page: Path) -> Iterator[str]:
    """Return the YAML blocks that are an inventory."""
    yield from (block for block in blocks(page, "yaml") if "all" in yaml.safe_load(block))
