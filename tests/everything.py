"""Runs everything CI runs: the scenarios on their machine, and beside them what leaves it the cores.

Lint and the fast tests run beside the build: with their engines beside it, a home on two cores misses its
probes. The lab's tests mostly wait, as the home does, so they run beside it. What runs beside is shown in
one piece when it ends. The app's tests measure time, so they run first and alone. A table of all parts with
their seconds comes last.
"""

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.build import cache_root

ROOT = Path(__file__).parents[1]
FAILURE = re.compile(r"(FAILED|ERROR) \S+::")  # in pytest's summaries
OUTCOMES = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


@dataclass
class Part:
    """One command, and what came of it.

    Attributes:
        name: As it stands in the table.
        command: Program and arguments, run in the project's root.
        unless: Content that it need not run for again once it has passed here; None to run it always.
        after: A part of the other kind that has to be fine before.
        behind: A part of the other kind that has to have ended before.
    """

    name: str
    command: Sequence[str]
    unless: str | None = None
    after: "Part | None" = None
    behind: "Part | None" = None
    seconds: float = 0
    outcome: str = "not run"
    tests: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def is_fine(self) -> bool:
        """Whether it passed, now or before."""
        return self.outcome.startswith("passed")

    def is_fine_at_its_end(self) -> bool:
        """Wait until it has run, and tell whether it passed."""
        self.ended.wait()
        return self.is_fine


def content_of(*patterns: str) -> str:
    """Return a hash of the tracked files that match."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    )
    names = sorted(name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file())
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name}\0".encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


ALONE = (Part("app", ["make", "app-test"]),)
BUILD = Part("build", [sys.executable, "-m", "lab", "build"])
UNIT = Part("unit", ["make", "fast-test"])
WITH_MACHINE = (BUILD, Part("scenarios", ["make", "molecule"], behind=UNIT))
BESIDE = (
    Part("lint", ["make", "lint"]),
    UNIT,
    # Its machines are bare.
    Part("lab", ["make", "lab-test"], unless=content_of("lab", "requirements*.txt"), after=BUILD),
)


# What a run says that it leaves out.
APART = "Not run here: the scenario of several machines (make molecule-several)"


class Run:
    """Runs the parts of both kinds side by side."""

    def __init__(self) -> None:
        """Nothing has run yet."""
        self._output = threading.Lock()

    def everything(self) -> bool:
        """Run all parts, print the table, and tell whether all is fine."""
        self._all(ALONE)
        beside = threading.Thread(target=self._all, args=(BESIDE,), kwargs={"beside": True})
        beside.start()
        self._all(WITH_MACHINE)
        beside.join()
        parts = [*ALONE, *BESIDE, *WITH_MACHINE]
        self._show(table(parts))
        return all(part.is_fine for part in parts)

    def _all(self, parts: Sequence[Part], *, beside: bool = False) -> None:
        for part in parts:
            if part.unless and _stamp(part).exists():
                part.outcome = f"passed before, with the same content ({part.unless})"
                continue
            if part.after and not part.after.is_fine_at_its_end():
                continue
            if part.behind:
                part.behind.ended.wait()
            self._run(part, beside=beside)
            if part.is_fine and part.unless:
                _stamp(part).touch()
            if part.name == "build" and not part.is_fine:
                break  # nothing after it can run

    def _run(self, part: Part, *, beside: bool) -> None:
        """Run a part, show what it prints, and note what came of it."""
        began = time.monotonic()
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200"},  # pytest cuts the reason of a failure to this width
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if not beside:
                self._show(line)
        part.outcome = "passed" if process.wait() == 0 else f"FAILED (exit code {process.returncode})"
        part.seconds = time.monotonic() - began
        part.tests = counted(lines)
        part.failures = [line for line in lines if FAILURE.match(line)]
        part.ended.set()
        if beside:
            self._show(f"\n==== {part.name}: {part.outcome}\n", *lines)

    def _show(self, *lines: str) -> None:
        with self._output:
            sys.stdout.writelines(lines)
            sys.stdout.flush()


def _stamp(part: Part) -> Path:
    stamps = cache_root() / "passed"
    stamps.mkdir(parents=True, exist_ok=True)
    return stamps / f"{part.name}-{part.unless}"


def counted(lines: Sequence[str]) -> Counter[str]:
    """Add up what the test runners said at their ends, such as `12 passed, 1 skipped in 3.40s`."""
    tests: Counter[str] = Counter()
    for line in lines:
        if re.search(r" in \d+(\.\d+)?s\b", line):
            tests.update({name.rstrip("s"): int(number) for number, name in OUTCOMES.findall(line)})
    return tests


def table(parts: Sequence[Part]) -> str:
    """Return the failed tests, a row for each part with its seconds and outcome, and a count of all tests."""
    failures = [line.rstrip() for part in parts for line in part.failures]
    rows = [f"{part.name:<12}{part.seconds:6.0f} s  {part.outcome}" for part in parts]
    tests = sum((part.tests for part in parts), Counter())
    wrong = sum(not part.is_fine for part in parts)
    failed = max(tests["failed"] + tests["error"], wrong)
    last = f"{tests['passed']} passed, {failed} failed, {tests['skipped']} skipped"
    return "\n".join(["", *failures, "", *rows, "", APART, "", last, ""])


if __name__ == "__main__":
    sys.exit(0 if Run().everything() else 1)
