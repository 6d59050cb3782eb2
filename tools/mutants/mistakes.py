"""The mistakes: each function finds the places of one kind in a file, and what to write there instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One changed place.

    Attributes:
        kind: The mistake in words.
        start: Where the changed lines begin, from 0.
        end: The first line after them.
        lines: What is there instead.
    """

    kind: str
    start: int
    end: int
    lines: tuple[str, ...]

    def made_in(self, text: str) -> str:
        """Return the text with the mistake."""
        lines = text.splitlines(keepends=True)
        return "".join([*lines[: self.start], *(f"{line}\n" for line in self.lines), *lines[self.end :]])

    def shown(self, text: str) -> str:
        """Return the changed line before and after."""
        before = text.splitlines()[self.start : self.end]
        after = self.lines[0].strip() if self.lines else "(dropped)"
        more = f" and {len(before) - 1} more lines" if len(before) > 1 else ""
        return f"{before[0].strip()}{more} -> {after}"


Finder = Callable[[str], Iterator[Mistake]]


def _replacing(kind: str, pattern: str, replace: Callable[[re.Match[str]], str]) -> Finder:
    """Find the lines with a pattern, and replace what it matches."""
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Mistake]:
        for number, line in enumerate(text.splitlines()):
            if line.lstrip().startswith(("#", "{#")):
                continue
            changed = compiled.sub(replace, line, count=1)
            if changed != line:
                yield Mistake(kind, number, number + 1, (changed,))

    return find


def _dropping(kind: str, pattern: str, *, block: bool = False, having: str = "") -> Finder:
    """Find the lines with a pattern, and drop them; a block goes with all that is indented below it.

    What it has is in its first two lines.
    """
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Mistake]:
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if compiled.match(line):
                end = _end_of_block(lines, number) if block else number + 1
                if having in "".join(lines[number : min(number + 2, end)]):
                    yield Mistake(kind, number, end, ())

    return find


def _end_of_block(lines: list[str], start: int) -> int:
    indent = len(lines[start]) - len(lines[start].lstrip())
    end = start + 1
    while end < len(lines) and lines[end].strip() and not lines[end].startswith("{%"):
        if len(lines[end]) - len(lines[end].lstrip()) <= indent:
            break
        end += 1
    return end


def _swapping(kind: str, pattern: str) -> Finder:
    """Replace what a pattern's group matches by the next different match in the file."""
    compiled = re.compile(pattern)

    def find(text: str) -> Iterator[Mistake]:
        names = sorted({found[1] for found in compiled.finditer(text)})
        for number, line in enumerate(text.splitlines()):
            found = compiled.search(line)
            if found and len(names) > 1:
                other = names[(names.index(found[1]) + 1) % len(names)]
                changed = line[: found.start(1)] + other + line[found.end(1) :]
                yield Mistake(kind, number, number + 1, (changed,))

    return find


def options(defaults: Mapping[str, object]) -> Finder:
    """Find the lines of Jinja that read an option, and write its default there."""
    values = {name: _in_jinja(value) for name, value in defaults.items()}
    read = "|".join(sorted(name for name, value in values.items() if value))
    names = re.compile(rf"(?<![\w.'\"])({read})(?![\w'\"])(?! is (?:not )?defined)")

    def find(text: str) -> Iterator[Mistake]:
        for number, line in enumerate(text.splitlines()):
            if re.search(r"\{\{|\{%| when: ", line):
                changed = names.sub(lambda found: f"({values[found[1]]})", line)
                if changed != line:
                    yield Mistake("an option replaced by its default", number, number + 1, (changed,))

    return find


def _in_jinja(value: object) -> str:
    """Return an option's value as an expression; nothing for a text that has expressions in it."""
    if isinstance(value, str) and "{{" in value:
        whole = re.fullmatch(r"\{\{ ((?:(?!\}\}).)*) \}\}", value)
        return whole[1] if whole else ""
    return repr(value)


_UNIT = {"ms": "s", "s": "m", "m": "h", "h": "d", "d": "h", "w": "d"}
_SIZE = {"Mi": "Gi", "Gi": "Mi", "GB": "MB"}
_FLIPPED = {"true": "false", "false": "true"}
_ACTION = {"keep": "drop", "drop": "keep"}
_COMPARED = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}

_DROPPED_RULE = _dropping("a rule of a policy dropped", r" +- (from|to|ports):", block=True)
_OPENED_PEER = _dropping("a peer of a policy opened", r" +podSelector:$", block=True)
_OPENED_PORT = _dropping("the ports of a policy opened", r" {6}ports:$", block=True)
_WRONG_PORT = _replacing("another port", r"(?<=port: )\d+|(?<=Port: )\d+", lambda m: str(int(m[0]) + 1))
_DROPPED_PEER = _dropping("a peer of a policy dropped", r" +- (namespaceSelector|podSelector):", block=True)


def _in_policies(finder: Finder) -> Finder:
    """Look only into the documents that are network policies."""

    def find(text: str) -> Iterator[Mistake]:
        documents = re.split(r"(?m)^---$", text)
        inside: list[range] = []
        line = 0
        for document in documents:
            length = document.count("\n")
            if "kind: NetworkPolicy" in document:
                inside.append(range(line, line + length + 1))
            line += length
        yield from (mistake for mistake in finder(text) if any(mistake.start in lines for lines in inside))

    return find


def _dropped_job(text: str) -> Iterator[Mistake]:
    """Drop a scrape job, which ends at an empty line or a condition."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("  - job_name: "):
            ends = (n for n in range(number, len(lines)) if not lines[n] or lines[n].startswith("{% e"))
            yield Mistake("a scrape job dropped", number, next(ends, len(lines)), ())


MANIFESTS: tuple[Finder, ...] = (
    _in_policies(_DROPPED_RULE),
    _in_policies(_DROPPED_PEER),
    _in_policies(_OPENED_PEER),
    _in_policies(_OPENED_PORT),
    _in_policies(_WRONG_PORT),
    _dropping(
        "a line of a security context dropped",
        r" +(readOnlyRootFilesystem|allowPrivilegeEscalation|runAsNonRoot|drop):",
    ),
    _dropping("the token of the account given", r" +automountServiceAccountToken: false"),
    _replacing("another user", r"(runAsUser|runAsGroup|fsGroup): (\d+)", lambda m: f"{m[1]}: {m[2]}1"),
    _swapping("another Secret", r"secretName: ([\w-]+)$"),
    _swapping("another Secret or key", r"^ +(?:name|key): (elasticsearch-\w+|username|password)$"),
    _replacing(
        "another user to ask as", r"value: (logstore|metrics|importer|logstash)$", lambda m: f"{m[0]}s"
    ),
    _replacing("another unit of time", r"(?<=\}\})(ms|s|m|h|d)\b", lambda m: _UNIT[m[0]]),
    _replacing("another unit of size", r"(?<=\}\})(Mi|Gi|GB)\b", lambda m: _SIZE[m[0]]),
    _replacing(
        "a flipped boolean",
        r"\b(removeHeader|readOnly|permanent|send_resolved|continue): (true|false)$",
        lambda m: f"{m[1]}: {_FLIPPED[m[2]]}",
    ),
    _replacing("another path of a probe", r"(?<= path: )/[\w/-]*$", lambda m: f"{m[0].rstrip('/')}/x"),
    _swapping("another path of a probe", r"probe\(app, app\.(\w+)\)"),
    _dropping("a variable of the environment dropped", r" +- \{?name: [A-Z_]+(?!\w)", block=True),
    _dropping("a mount dropped", r" +- \{?name: ", block=True, having="mountPath"),
    _dropping("limits dropped", r" +limits:", block=True),
    _replacing("another limit", r"(?<=  memory: )(\d+)Mi$", lambda m: f"{m[1]}Gi"),
    _replacing("a negated condition", r"\{% if (?!not )(.+?) %\}", lambda m: f"{{% if not ({m[1]}) %}}"),
)

SCRAPING: tuple[Finder, ...] = (
    _dropped_job,
    _replacing("metrics kept or dropped", r"(?<=action: )(keep|drop)$", lambda m: _ACTION[m[0]]),
    _replacing("another port", r"(?<=\$1:)9\d+|(?<=svc:)9\d+", lambda m: str(int(m[0]) + 1)),
    _replacing("another interval", r"(?<=interval: )(\d+)s", lambda m: f"{m[1]}m"),
    _replacing("a path of metrics changed", r"(?<=metrics_path: ).+", lambda m: f"{m[0]}s"),
)

VARIABLES: tuple[Finder, ...] = (
    _swapping("another file of a secret", r"secrets_dir ?(?:\}\}|~ ')/(\w+\.(?:password|token|key))"),
    _swapping("another role of a user", r"roles: \[(\w+)\]"),
    _replacing("another share", r"\* (\d+) // (\d+)", lambda m: f"* {int(m[1]) + 3} // {m[2]}"),
    _replacing("a constant of size", r"1073741824", lambda _: "1048576"),
    _replacing("another schedule", r'"(\d+) (\d+) \* \* \*"', lambda m: f'"{m[2]} {m[1]} * * *"'),
)

SECRETS: tuple[Finder, ...] = (
    _dropping("no_log dropped", r" +no_log: true"),
    _replacing("an option no longer hidden", r"no_log: true", lambda _: "no_log: false"),
)

TASKS: tuple[Finder, ...] = (
    _dropping("when dropped", r" +when:", block=True),
    _dropping("failed_when dropped", r" +failed_when: (?!false)", block=True),
    # Tests are root already, so that only root where it is not wanted is seen.
    _replacing("become root", r"become: false$", lambda _: "become: true"),
    _replacing(
        "a flipped boolean",
        r"\b(run_once|force|any_errors_fatal): (true|false)$",
        lambda m: f"{m[1]}: {_FLIPPED[m[2]]}",
    ),
    _dropping("a check dropped", r" *- name: .*", block=True, having="builtin.assert:"),
)

RULES: tuple[Finder, ...] = (
    _replacing("another wait", r"(?<=for: )(\d+)([smhd])", lambda m: f"{m[1]}{_UNIT[m[2]]}"),
    _replacing("another span of time", r"\[(\d+)([smhd])\]", lambda m: f"[{m[1]}{_UNIT[m[2]]}]"),
    _replacing("a comparison turned round", r"(?<= )(>=|<=|==|!=|>|<)(?= )", lambda m: _COMPARED[m[0]]),
    _replacing("another severity", r"(?<=severity: )\w+", lambda m: "info" if m[0] != "info" else "critical"),
    _replacing("another quantile", r"(?<=quantile\()0\.\d+", lambda _: "0.42"),
    _replacing("unless for and", r"\bunless\b", lambda _: "and"),
    _replacing("another factor", r"(?<=[*/] )(\d+)\b", lambda m: f"{m[1]}0"),
    _replacing("another value of a label", r'(?<==")([a-z]\w+)(?=")', lambda m: f"{m[0]}x"),
)

GENERATORS: tuple[Finder, ...] = (
    _swapping("another unit of a panel", r"\bunits\.(\w+)"),
    _replacing("another span of time", r"\[(\d+)([smhd])\]", lambda m: f"[{m[1]}{_UNIT[m[2]]}]"),
)


def find(text: str, finders: tuple[Finder, ...]) -> list[Mistake]:
    """Return all mistakes that can be made in a file, without those that change nothing."""
    return [mistake for finder in finders for mistake in finder(text) if mistake.made_in(text) != text]
