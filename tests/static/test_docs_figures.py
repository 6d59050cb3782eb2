"""Figures in the docs are those of the benchmark."""

import re

import pytest

from harness.roles import ROOT

BENCHMARK = (ROOT / "docs/benchmark.md").read_text()
# Where a figure stands in a doc, the row it comes from, how many of the row's unit it counts in, and the
# share by which it may differ.
FIGURES = (
    ("install.md", r"the whole machine uses\s+([\d.]+) GiB", "memory of the whole machine", 1024, 0.02),
    ("metrics.md", r"server has about ([\d,]+) series", "Prometheus: series", 1, 0.1),
    ("benchmark.md", r"a new home's ([\d,]+);", "Prometheus: series", 1, 0.1),
    ("install.md", r"first run takes about (.+?) minutes", "`site.yml`, first run", 60, 0.2),
    ("install.md", r"second run takes about (.+?) minute\b", "`site.yml`, second run", 60, 0.2),
)
WORDS = {"two and a half": 2.5, "two": 2, "half a": 0.5}


def _number(text: str) -> float:
    return WORDS.get(text) or float(text.replace(",", ""))


@pytest.mark.parametrize(("doc", "where", "row", "unit", "share"), FIGURES)
def test_a_figure_is_that_of_the_benchmark(doc: str, where: str, row: str, unit: int, share: float) -> None:
    (stated,) = re.findall(where, (ROOT / "docs" / doc).read_text())
    (measured,) = re.findall(rf"^\| {re.escape(row)} \| ([\d.]+)", BENCHMARK, re.MULTILINE)

    assert _number(stated) == pytest.approx(float(measured) / unit, rel=share)
