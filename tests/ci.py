"""Runs everything that CI runs. Parts run side by side; each starts once the parts it needs have passed.

The build and the scenarios show what they print at once. Processor time decides how long it takes. A home on
two cores that has to share them misses its probes, so one scenario runs at a time, and the rest in the
background, on what processor time it leaves. Once no part is left for that, a second scenario runs. The app's
tests measure time, so they do not run in the background. A table of all parts with their seconds comes last.

A test that is skipped fails the run, unless tests/skips.yml says why.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness.background import in_background
from lab.build import cache_root
from tests import lanes

ROOT = Path(__file__).parents[1]
FAILURE = re.compile(r"(FAILED|ERROR) \S+::")  # in pytest's summaries
SKIPPED = re.compile(r"SKIPPED \[\d+\] (?P<file>[^:]+)(:\d+)?(?P<reason>: .*)")
OUTCOMES = re.compile(r"(\d+) (passed|failed|skipped|errors?)\b")


@dataclass
class Part:
    """One command, and what came of it.

    Attributes:
        name: As it stands in the table.
        command: Program and arguments, run in the project's root.
        unless: Content that it need not run for again once it has passed here; None to run it always.
        after: A part that has to be fine before.
        live: Whether it shows what it prints at once.
        background: Whether others come first where there is too little processor time for all.
        lane: The lane that it is, if any.
    """

    name: str
    command: Sequence[str]
    unless: str | None = None
    after: "Part | None" = None
    live: bool = False
    background: bool = False
    seconds: float = 0
    outcome: str = "not run"
    tests: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    ended: bool = False
    lane: lanes.Lane | None = None

    @property
    def is_fine(self) -> bool:
        """Whether it passed, now or before."""
        return self.outcome.startswith("passed")


def content_of(*patterns: str) -> str:
    """Return a hash of the tracked files that match, with their modes, and of what this host runs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    )
    names = sorted(name for name in listed.stdout.decode().split("\0") if (ROOT / name).is_file())
    digest = hashlib.sha256(f"{os.uname()} {_systemd()} {sys.version}".encode())
    for name in names:
        mode = (ROOT / name).lstat().st_mode
        digest.update(f"{name}\0{mode:o}\0".encode() + (ROOT / name).read_bytes())
    return digest.hexdigest()[:16]


def _systemd() -> str:
    """Return the version of systemd-nspawn; empty before the first build, which installs it."""
    program = shutil.which("systemd-nspawn")
    return subprocess.check_output([program, "--version"], text=True) if program else ""


def lane(one: lanes.Lane) -> Part:
    """Return the part that runs a lane."""
    return Part(one.name, ["make", "lane", f"LANE={one.name}"], after=BUILD, live=True, lane=one)


def chosen_lanes() -> tuple[lanes.Lane, ...]:
    """Return the lanes of this run: all, the one that is named, or the one whose turn it is."""
    if os.environ.get("ALL"):
        return lanes.LANES
    name = os.environ.get("LANE")
    return (lanes.named(name) if name else lanes.of_this_commit(),)


BUILD = Part("build", [sys.executable, "-m", "lab", "build"], live=True)
# The first that is ready begins first, so the longest come first.
MACHINES = (
    BUILD,
    Part("house", ["make", "molecule"], after=BUILD, live=True),
)
# Whatever the lab's tests of machines read.
LAB = (
    *("lab", "harness/waiting.py", "requirements*.txt", "pyproject.toml", "Makefile"),
    "roles/common/vars/main/versions.yml",
)
BESIDE = (
    Part("app", ["make", "app-test"]),
    Part("unit", ["make", "fast-test"], background=True),
    Part("lint", ["make", "lint"], background=True),
    # Its machines are bare.
    Part("lab", ["make", "lab-test"], unless=content_of(*LAB), after=BUILD, background=True),
)
DAY = 24 * 60 * 60  # seconds for which a part need not run again


class Run:
    """Runs parts."""

    def __init__(self) -> None:
        """Nothing has run yet."""
        self._output = threading.Lock()
        self._changed = threading.Condition()

    def everything(self) -> bool:
        """Run all parts, print the table, and tell whether all is fine."""
        machines = [*MACHINES, *map(lane, chosen_lanes())]
        parts = [*machines, *BESIDE]
        beside = list(BESIDE)
        first = self._started(machines)
        for worker in (self._started(beside), self._started(beside)):
            worker.join()
        self._work(machines)
        first.join()
        self._show(table(parts))
        return all(part.is_fine for part in parts)

    def _started(self, waiting: list[Part]) -> threading.Thread:
        """Start to run them, beside others."""
        worker = threading.Thread(target=self._work, args=(waiting,))
        worker.start()
        return worker

    def _work(self, waiting: list[Part]) -> None:
        """Run one part after another that nobody else has taken."""
        while part := self._next(waiting):
            try:
                if part.unless and _passed_today(part):
                    part.outcome = f"passed before, with the same content ({part.unless})"
                elif not part.after or part.after.is_fine:
                    self._run(part)
            finally:
                with self._changed:
                    part.ended = True
                    self._changed.notify_all()

    def _next(self, waiting: list[Part]) -> Part | None:
        """Take the first part that waits for no other; wait until there is one."""
        with self._changed:
            while waiting:
                for part in waiting:
                    if not part.after or part.after.ended:
                        waiting.remove(part)
                        return part
                self._changed.wait()
        return None

    def _run(self, part: Part) -> None:
        """Run a part, show what it prints, and note what came of it."""
        began = time.monotonic()
        try:
            process = self._begun(part)
        except OSError as error:
            part.outcome = f"FAILED ({error})"
            return
        lines = []
        for line in process.stdout or ():
            lines.append(line)
            if part.live:
                self._show(f"{part.name}: {line}")
        part.seconds = time.monotonic() - began
        part.tests = counted(lines)
        unexplained = unexplained_skips(lines)
        part.failures = [line for line in lines if FAILURE.match(line)] + unexplained
        if process.wait():
            part.outcome = f"FAILED (exit code {process.returncode})"
        elif unexplained:
            part.outcome = "FAILED (skipped tests that tests/skips.yml does not list)"
        else:
            part.outcome = "passed"
            self._note(part)
        if not part.live:
            self._show(f"\n==== {part.name}: {part.outcome}\n", *lines)

    def _begun(self, part: Part) -> subprocess.Popen[str]:
        return subprocess.Popen(
            in_background(part.command) if part.background else part.command,
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "200"},  # pytest cuts the reason of a failure to this width
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

    def _note(self, part: Part) -> None:
        """Note for later runs that it has passed."""
        if part.unless:
            _stamp(part).touch()
        if part.lane:
            part.lane.passed(part.seconds)

    def _show(self, *lines: str) -> None:
        with self._output:
            sys.stdout.writelines(lines)
            sys.stdout.flush()


def _stamp(part: Part) -> Path:
    stamps = cache_root() / "passed"
    stamps.mkdir(parents=True, exist_ok=True)
    return stamps / f"{part.name}-{part.unless}"


def _passed_today(part: Part) -> bool:
    stamp = _stamp(part)
    return stamp.exists() and time.time() - stamp.stat().st_mtime < DAY


def unexplained_skips(lines: Sequence[str]) -> list[str]:
    """Return pytest's lines about skipped tests that tests/skips.yml does not list."""
    known = [re.compile(entry["skipped"]) for entry in yaml.safe_load((ROOT / "tests/skips.yml").read_text())]
    found = filter(None, map(SKIPPED.match, lines))
    return [
        skip[0]
        for skip in found
        if not any(each.fullmatch(Path(skip["file"]).name + skip["reason"]) for each in known)
    ]


def counted(lines: Sequence[str]) -> Counter[str]:
    """Add up what the test runners said at their ends, such as `12 passed, 1 skipped in 3.40s`."""
    tests: Counter[str] = Counter()
    for line in lines:
        if re.search(r" in \d+(\.\d+)?s\b", line):
            tests.update({name.rstrip("s"): int(number) for number, name in OUTCOMES.findall(line)})
    return tests


def table(parts: Sequence[Part]) -> str:
    """Return the failed tests, a row for each part and each lane, and a count of all tests."""
    failures = [line.rstrip() for part in parts for line in part.failures]
    rows = [f"{part.name:<16}{part.seconds:6.0f} s  {part.outcome}" for part in parts]
    run = {part.lane for part in parts}
    others = [f"{other.name:<16}  not run: {other.last}" for other in lanes.LANES if other not in run]
    tests = sum((part.tests for part in parts), Counter())
    wrong = sum(not part.is_fine for part in parts)
    failed = max(tests["failed"] + tests["error"], wrong)
    last = f"{tests['passed']} passed, {failed} failed, {tests['skipped']} skipped"
    return "\n".join(["", *failures, "", *rows, "", *others, "", last, ""])


if __name__ == "__main__":
    sys.exit(0 if Run().everything() else 1)
