"""The documentation says what is: its reference is current, its commands are run, its links lead on."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.static.roles import ROOT
from tools import reference

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

# Every command a page tells its reader to type, and who else runs it or why nobody does.
COMMANDS = {
    "make setup": "every other target does",
    "make lab": "does what scenario site does, on a machine that stays",
    "make test": ".ci/run",
    "make help": "below",
    "make bench": "by hand: it takes half an hour, and its result is committed",
    ".venv/bin/ansible-playbook site.yml": "scenario site, with the lab's inventory",
    "kubectl -n monitoring exec alertmanager-0 -- amtool --alertmanager.url=http://localhost:9093 "
    "alert add Test severity=warning": "scenario prometheus",
}


def _commands() -> Iterator[str]:
    for page in PAGES:
        for block in re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            yield from (
                line.partition("  #")[0].strip() for line in block.replace("\\\n", "").splitlines() if line
            )


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _links(page: Path) -> list[str]:
    return [link for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()) if "://" not in link]


def test_the_reference_is_current() -> None:
    assert reference.REFERENCE.read_text() == reference.render(), "make docs"


def test_every_command_is_run_by_somebody() -> None:
    assert set(_commands()) == set(COMMANDS)


def test_make_has_every_target_that_is_told_of() -> None:
    told = {command.split()[1] for command in COMMANDS if command.startswith("make ")}

    assert told <= _targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert [link for link in _links(page) if not (page.parent / link).exists()] == []


def test_help_explains_every_target() -> None:
    explained = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout

    assert {line.split()[0] for line in explained.splitlines()} == _targets()
