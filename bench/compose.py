"""The share of compose files that the importer translates, and whose apps Kubernetes accepts.

`HOMESERVER_COMPOSE_FILES` names a directory. Each directory in it is a collection, and may have a file
`variables.env` with lines such as `APP_DATA_DIR={directory}`: `{directory}` and `{name}` stand for the
directory of each compose file, and for its name.
"""

import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import slug, translate
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import (
    ComposeError,
    read_project,
)
from ansible_collections.homeserver.stack.plugins.module_utils.compose.writing import written

from bench.page import Row, row
from harness.acceptance import Acceptance, acceptance, objects_of

VARIABLE = "HOMESERVER_COMPOSE_FILES"
GROUP = "Compose files"
_AT_ONCE = 10  # files whose apps are rendered together, which takes a fifth of the time


class Result(NamedTuple):
    """The importer's answer to a file."""

    clean: bool
    """Whether there is no remark on it."""
    reasons: frozenset[str]
    """The keys that keep it from being imported."""
    stack: str = ""
    """The name of its program."""
    text: str = ""
    """What the import writes."""


def rows(report: Callable[[str], None]) -> Iterator[Row]:
    """Yield the counts of each collection; none without a directory."""
    directory = os.environ.get(VARIABLE, "")
    if not directory:
        report(f"compose: no directory of compose files is named -> {VARIABLE}=<directory>")
        return
    with (
        tempfile.TemporaryDirectory() as running,
        tempfile.TemporaryDirectory() as kept,
        acceptance(Path(running)) as server,
    ):
        for collection in sorted(path for path in Path(directory).iterdir() if path.is_dir()):
            if results := [result(file, collection) for file in _files(collection)]:
                yield from counted(collection.name, results)
                imported = [each for each in results if each.text]
                state = Path(kept) / collection.name
                yield from judged(collection.name, refusals(imported, server, state, report))


def judged(name: str, found: Sequence[Sequence[str]]) -> Iterator[Row]:
    """Yield how many of a collection's imported files Kubernetes accepts, and why not others."""
    what = f"imported compose files of {name}"
    accepted = 100 * sum(not each for each in found) / max(len(found), 1)
    yield row(GROUP, f"{what} accepted by Kubernetes", accepted, "%", more_is_better=True)
    reasons = Counter(reason for each in found for reason in set(map(_kind, each)))
    for reason, count in sorted(reasons.items(), key=lambda each: (-each[1], each[0])):
        yield row(GROUP, f"{what} refused: {reason}", count, "files")


def refusals(
    results: Sequence[Result], server: Acceptance, state: Path, report: Callable[[str], None]
) -> list[list[str]]:
    """Return why a real API server refuses the objects of each file; nothing of those that it accepts."""
    found = []
    for first in range(0, len(results), _AT_ONCE):
        batch = results[first : first + _AT_ONCE]
        together = _refused(batch, server, state)
        # Only then is each looked at alone, which takes longer.
        found += [_refused([each], server, state) if together else [] for each in batch]
        for each, why in zip(batch, found[-len(batch) :], strict=True):
            for reason in why:
                report(f"{each.stack}: {reason}")
    return found


def _refused(results: Sequence[Result], server: Acceptance, state: Path) -> list[str]:
    entries = [entry for each in results for entry in _entries(each, state)]
    try:
        return server.refusals(objects_of(entries, state, ["/"]))
    except (AnsibleError, yaml.YAMLError) as error:
        return [f"it is not rendered: {error}"]


def _entries(each: Result, state: Path) -> list[dict[str, Any]]:
    """Return the entries of a file, as a run of Ansible reads them."""
    file = state / f"{each.stack}.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(each.text)
    (entries,) = DataLoader().load_from_file(str(file), trusted_as_template=True).values()
    return list(entries)


def counted(name: str, results: list[Result]) -> Iterator[Row]:
    """Yield the counts of a collection's files."""
    what = f"compose files of {name}"
    refused = [each for each in results if each.reasons]
    clean = sum(each.clean for each in results)
    yield row(GROUP, f"{what} imported without a remark", clean, "files", more_is_better=True)
    remarked = len(results) - len(refused) - clean
    yield row(GROUP, f"{what} imported with remarks", remarked, "files", more_is_better=True)
    yield row(GROUP, f"{what} not imported", len(refused), "files")
    reasons = Counter(reason for each in refused for reason in each.reasons)
    for reason, count in sorted(reasons.items(), key=lambda each: (-each[1], each[0])):
        yield row(GROUP, f"{what} not imported: {reason}", count, "files")


def result(file: Path, collection: Path) -> Result:
    """Return the importer's answer to a file of a collection."""
    try:
        project = read_project(file, file.parent.name.lower(), variables(file, collection))
    except ComposeError as error:
        return Result(clean=False, reasons=frozenset({_reason(str(error))}))
    # An image's own user is in its registry, which is not asked here.
    imported = translate(project, image_user=lambda _: "0")
    reasons = frozenset(remark.key for remark in imported.impossible)
    stack = slug(project.name)
    text = "" if reasons else written(stack, str(file), imported)
    return Result(not imported.changed and not reasons, reasons, stack, text)


def variables(file: Path, collection: Path) -> dict[str, str]:
    """Return the variables that a collection sets for one of its files."""
    source = collection / "variables.env"
    lines = source.read_text().splitlines() if source.is_file() else []
    pairs = [line.partition("=") for line in lines if re.match(r"[A-Za-z_]\w*=", line)]
    own = {"{directory}": str(file.parent), "{name}": file.parent.name.lower()}
    return {
        key: re.sub(r"\{(directory|name)\}", lambda match: own[match[0]], value) for key, _, value in pairs
    }


def _files(collection: Path) -> list[Path]:
    return sorted(path for end in ("yml", "yaml") for path in collection.rglob(f"docker-compose.{end}"))


def _reason(error: str) -> str:
    """Return the kind of an error, without the names in it."""
    return "a file that it names is missing" if "is not a file" in error else "it is no compose file"


def _kind(refusal: str) -> str:
    """Return the kind of a refusal, without the names and numbers in it."""
    what, _, why = refusal.partition(": ")
    kind = what.removeprefix("a pod of ").partition(" ")[0]
    text = re.sub(r"\S*\"[^\"]*\"|'[^']*'|\[\d+\]|\d+", "", why.partition(" is invalid: ")[2] or why)
    return f"{kind}: {' '.join(text.split())[:100]}".replace("|", "/")
