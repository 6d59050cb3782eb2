"""Makes mistakes one at a time, runs the tests that cover each, and names those that no test catches.

It works in copies of the tree, which it removes. A mistake is caught when a test fails; the tests must
pass without one.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tools.mutants.areas import AREAS, BY_SCENARIO, ROOT
from tools.mutants.mistakes import Mistake

FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


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

    def judge(self, mutant: Mutant, seconds: float) -> Verdict:
        """Make the mistake, run the tests until one fails, and undo it."""
        area, path = AREAS[mutant.area], self._root / mutant.file
        right = path.read_text()
        path.write_text(mutant.mistake.made_in(right))
        try:
            if area.prepare and self._run(area.prepare, seconds).returncode:
                return Verdict(mutant, "the generator itself")
            tests = ["pytest", "-q", "-x", "-p", "no:cacheprovider", *area.tests(mutant.file)]
            done = self._run(tests, seconds)
            failed = FAILED.findall(done.stdout)
            return Verdict(mutant, failed[0] if failed else "collection" if done.returncode else "")
        except subprocess.TimeoutExpired:
            return Verdict(mutant, "", late=True)
        finally:
            path.write_text(right)
            if area.prepare:
                self._run(area.prepare, seconds)

    def _run(self, command: tuple[str, ...] | list[str], seconds: float) -> subprocess.CompletedProcess[str]:
        """Run a command; if it takes too long, end it with every program that it started.

        Raises:
            subprocess.TimeoutExpired: It took too long.
        """
        with subprocess.Popen(
            command,
            cwd=self._root,
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


def all_mutants() -> list[Mutant]:
    """Return every mistake that can be made, in a fixed order."""
    return [
        Mutant(name, str(path.relative_to(ROOT)), mistake)
        for name, area in AREAS.items()
        for path in area.files()
        for mistake in area.find(path.read_text())
    ]


def chosen(mutants: list[Mutant], number: int, seed: int) -> list[Mutant]:
    """Choose some, as many of each kind of mistake as there are, as far as that goes."""
    dice = random.Random(seed)  # noqa: S311 (no secret is made of it)
    kinds: dict[tuple[str, str], list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        kinds[mutant.area, mutant.mistake.kind].append(mutant)
    for each in kinds.values():
        dice.shuffle(each)
    found: list[Mutant] = []
    while len(found) < min(number, len(mutants)):
        for each in kinds.values():
            if each and len(found) < number:
                found.append(each.pop())
    return found


def judged(mutants: list[Mutant], jobs: int, seconds: float) -> list[Verdict]:
    """Judge each in a copy of the tree, several at once, and show what comes of it."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory, ThreadPoolExecutor(jobs) as pool:
        copies: Queue[Copy] = Queue()
        for number in range(jobs):
            copies.put(Copy(Path(directory) / str(number)))

        def judge(mutant: Mutant) -> Verdict:
            copy = copies.get()
            try:
                verdict = copy.judge(mutant, seconds)
            finally:
                copies.put(copy)
            outcome = verdict.caught_by or ("TOO LATE" if verdict.late else "SURVIVED")
            print(f"{outcome:<70} {mutant}", flush=True)
            return verdict

        return list(pool.map(judge, mutants))


def report(verdicts: list[Verdict]) -> str:
    """Return the survivors, the share that was caught in each area, and what scenarios cover."""
    survivors = [str(verdict.mutant) for verdict in verdicts if not verdict.caught_by]
    made = Counter(verdict.mutant.area for verdict in verdicts)
    caught = Counter(verdict.mutant.area for verdict in verdicts if verdict.caught_by)
    shares = [f"{area:<12}{caught[area]:4} of {number:4}" for area, number in made.items()]
    total = f"{'all':<12}{caught.total():4} of {made.total():4}, {100 * caught.total() // made.total()} %"
    scenarios = [f"{pattern:<48}{scenario}" for pattern, scenario in BY_SCENARIO.items()]
    return "\n".join(
        ["", "Survivors:", *survivors, "", "Caught:", *shares, total, "", "Left to scenarios:", *scenarios]
    )


def main() -> int:
    """Judge a sample."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("--sample", type=int, default=50, help="how many mistakes (50)")
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
    verdicts = judged(sample, arguments.jobs, arguments.seconds)
    print(report(verdicts))
    return int(sum(bool(verdict.caught_by) for verdict in verdicts) < 0.9 * len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
