"""The parts of the documentation's pictures that need no home server."""

import re
from pathlib import Path

import pytest

from harness.roles import ROOT
from tools import pictures

OUTPUT = (
    "\x1b[0;32mok: [home]\x1b[0m\n"
    "TASK [Your home server] ****\n"
    "\x1b[0;32mok: [home] => \x1b[0m\n"
    "\x1b[0;32m    msg: |- <&>\x1b[0m\n"
    "PLAY RECAP ****\n"
)


def test_a_terminal_shows_the_end_of_a_run_with_its_colours() -> None:
    svg = pictures.terminal(OUTPUT)

    assert "TASK&#160;[Your&#160;home&#160;server]&#160;****" in svg
    assert "|-&#160;&lt;&amp;&gt;" in svg
    assert svg.count("ok:&#160;[home]") == 1
    colours = re.findall(r"\.site-r\d+ \{ fill: (#\w+)", svg)
    assert len(set(colours)) == 2


def test_a_terminal_loads_nothing() -> None:
    assert "url(" not in pictures.terminal(OUTPUT).replace("url(#", "")


def test_a_picture_replaces_its_placeholder_once_it_exists(tmp_path: Path) -> None:
    text = "Look:\n\n<!-- picture docs/a.png: The page -->\n<!-- picture docs/b.png: Another -->\n"
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.png").touch()

    shown = pictures.with_pictures(text, tmp_path)

    assert shown == "Look:\n\n![The page](docs/a.png)\n<!-- picture docs/b.png: Another -->\n"
    assert pictures.with_pictures(shown, tmp_path) == shown


@pytest.mark.parametrize("name", pictures.NAMES)
def test_every_picture_is_used_once(name: str) -> None:
    assert sum(page.read_text().count(f"pictures/{name}") for page in pictures.PAGES) == 1


def test_pictures_are_known_and_small() -> None:
    files = list((ROOT / "docs/pictures").glob("*"))

    # The benchmark draws one.
    assert {file.name for file in files} <= {*pictures.NAMES, "growth.svg"}
    assert [file.name for file in files if file.stat().st_size > pictures.LARGEST] == []
