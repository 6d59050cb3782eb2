"""Makes mistakes one at a time, runs the tests that cover each, and names those that no test catches.

It works in copies of the tree, which it removes. First it runs all these tests without a mistake: they must
pass. A mistake is caught when one of them fails.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tools.mutants.areas import AREAS, BY_SCENARIO, ROOT
from tools.mutants.mistakes import Mistake

# The names of tests in pytest's summary, without their parameters.
PASSED = re.compile(r"^PASSED ([^\s\[]+)", re.MULTILINE)
FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)
PYTEST = ("pytest", "-q", "-p", "no:cacheprovider")
# So many of each area, or all that it has.
LEAST = 10


class BaselineError(Exception):
    """The tests do not pass without a mistake."""


@dataclass(frozen=True)
class Mutant:
    """A mistake in a file.

    Attributes:
        file: The file, from the project's root.
    """

    area: str
    file: str
    mistake: Mistake

    def __str__(self) -> str:
        shown = self.mistake.shown((ROOT / self.file).read_text())
        return f"{self.file}:{self.mistake.start + 1}: {self.mistake.kind}: {shown}"


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant.

    Attributes:
        caught_by: The test that failed; empty if none did.
        late: Whether the tests took too long.
    """

    mutant: Mutant
    caught_by: str
    late: bool = False


class Copy:
    """A copy of the tree to make mistakes in."""

    def __init__(self, directory: Path) -> None:
        """Copy what git tracks or would track."""
        self._root = directory
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            source, target = ROOT / name, directory / name
            if source.is_symlink() or source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)
        (directory / ".venv").symlink_to((ROOT / ".venv").resolve())
        self._environment = os.environ | {
            "PATH": f"{directory / '.venv/bin'}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def passing(self, tests: set[str], directory: str) -> frozenset[str]:
        """Run tests without a mistake, and return their names and those of their files.

        Raises:
            BaselineError: One of them does not pass.
        """
        done = self._run([*PYTEST, "-rpfE", *sorted(tests)], None, directory)
        if done.returncode:
            raise BaselineError(PASSED.sub("", done.stdout))
        names = PASSED.findall(done.stdout)
        return frozenset(names) | {name.partition("::")[0] for name in names}

    def judge(self, mutant: Mutant, passing: frozenset[str], seconds: float) -> Verdict:
        """Make the mistake, run the tests until one fails that passes without it, and undo it."""
        area, path = AREAS[mutant.area], self._root / mutant.file
        right = path.read_text()
        path.write_text(mutant.mistake.made_in(right))
        try:
            if area.prepare and self._run(area.prepare, seconds).returncode:
                return Verdict(mutant, "the generator itself")
            done = self._run([*PYTEST, "-x", *area.tests(mutant.file)], seconds, area.directory)
            failed = FAILED.findall(done.stdout)
            by = [name for name in failed if name in passing]
            return Verdict(mutant, by[0] if by else "collection" if done.returncode and not failed else "")
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "", late=True)
        finally:
            path.write_text(right)
            if area.prepare:
                self._run(area.prepare, seconds)

    def _run(
        self, command: Sequence[str], seconds: float | None, directory: str = "."
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; if it takes too long, end it with every program that it started.

        Raises:
            subprocess.TimeoutExpired: It took too long.
        """
        with subprocess.Popen(
            command,
            cwd=self._root / directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return subprocess.CompletedProcess(command, process.returncode, output)


@functools.cache
def all_mutants() -> tuple[Mutant, ...]:
    """Return every mistake that can be made, in a fixed order."""
    return tuple(
        Mutant(name, str(path.relative_to(ROOT)), mistake)
        for name, area in AREAS.items()
        for path in area.files()
        for mistake in area.find(path.read_text())
        if f"{path.relative_to(ROOT)}: {mistake.kind}" not in BY_SCENARIO
    )


def shares(sizes: Mapping[str, int], number: int) -> dict[str, int]:
    """Return how many to choose of each area: by its size, but not too few."""
    whole = sum(sizes.values())
    return {area: min(size, max(LEAST, number * size // whole)) for area, size in sizes.items()}


def chosen(mutants: Sequence[Mutant], number: int, seed: int) -> list[Mutant]:
    """Choose some of each area, there as many of each kind of mistake as there are, as far as that goes."""
    dice = random.Random(seed)  # noqa: S311 (no secret is made of it)
    found: list[Mutant] = []
    for area, share in shares(Counter(mutant.area for mutant in mutants), number).items():
        kinds: dict[str, list[Mutant]] = defaultdict(list)
        for mutant in mutants:
            if mutant.area == area:
                kinds[mutant.mistake.kind].append(mutant)
        found += _in_turn(list(kinds.values()), share, dice)
    return found


def _in_turn(kinds: list[list[Mutant]], number: int, dice: random.Random) -> list[Mutant]:
    dice.shuffle(kinds)
    for kind in kinds:
        dice.shuffle(kind)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*kinds))
    return list(itertools.islice(filter(None, turns), number))


def judged(mutants: Sequence[Mutant], jobs: int, seconds: float) -> list[Verdict]:
    """Judge each in a copy of the tree, several at once, and show what comes of it.

    Raises:
        BaselineError: A test does not pass without a mistake.
    """
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory, ThreadPoolExecutor(jobs) as pool:
        copies: Queue[Copy] = Queue()
        for number in range(jobs):
            copies.put(Copy(Path(directory) / str(number)))
        tests: dict[str, set[str]] = defaultdict(set)
        for mutant in mutants:
            area = AREAS[mutant.area]
            tests[area.directory] |= set(area.tests(mutant.file))
        passing = frozenset().union(*(copies.queue[0].passing(tests[place], place) for place in tests))

        def judge(mutant: Mutant) -> Verdict:
            copy = copies.get()
            try:
                verdict = copy.judge(mutant, passing, seconds)
            finally:
                copies.put(copy)
            outcome = verdict.caught_by or ("TOO LATE" if verdict.late else "SURVIVED")
            print(f"{outcome:<70} {mutant}", flush=True)
            return verdict

        return list(pool.map(judge, mutants))


def report(verdicts: list[Verdict]) -> str:
    """Return the survivors, the share that was caught in each area, and what scenarios cover."""
    survivors = [str(verdict.mutant) for verdict in verdicts if not verdict.caught_by]
    found = caught(verdicts)
    lines = [
        f"{area:<12}{number:4} of {made:4}, {100 * number // made} %"
        for area, (number, made) in found.items()
    ]
    scenarios = [f"{pattern:<48}{test}" for pattern, test in BY_SCENARIO.items()]
    return "\n".join(
        ["", "Survivors:", *survivors, "", "Caught:", *lines, "", "Left to scenarios:", *scenarios]
    )


def caught(verdicts: list[Verdict]) -> dict[str, tuple[int, int]]:
    """Return how many mistakes of each area were caught, and how many were made."""
    areas = dict.fromkeys(verdict.mutant.area for verdict in verdicts)
    of = {
        area: [bool(verdict.caught_by) for verdict in verdicts if verdict.mutant.area == area]
        for area in areas
    }
    return {area: (sum(found), len(found)) for area, found in of.items()}


def main() -> int:
    """Judge a sample."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument(
        "--sample", type=int, default=150, help=f"how many mistakes, at least {LEAST} of each area (150)"
    )
    parser.add_argument("--area", choices=AREAS, help="only one kind of files")
    parser.add_argument("--seed", type=int, default=1, help="which mistakes (1)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--seconds", type=float, default=400, help="for the tests of one mistake (400)")
    parser.add_argument("--list", action="store_true", help="show the mistakes and make none")
    arguments = parser.parse_args()
    mutants = [mutant for mutant in all_mutants() if arguments.area in (None, mutant.area)]
    sample = chosen(mutants, arguments.sample, arguments.seed)
    if arguments.list:
        print("\n".join(map(str, sample)), f"\n{len(mutants)} mistakes in all")
        return 0
    try:
        verdicts = judged(sample, arguments.jobs, arguments.seconds)
    except BaselineError as error:
        print(f"{error}\nThese tests fail without a mistake -> make them pass first", file=sys.stderr)
        return 2
    print(report(verdicts))
    return int(any(number < 0.9 * made for number, made in caught(verdicts).values()))


if __name__ == "__main__":
    sys.exit(main())
