"""The share of compose files that the importer translates, of collections in a directory.

`HOMESERVER_COMPOSE_FILES` names the directory. Each directory in it is a collection, and may have a file
`variables.env` with lines such as `APP_DATA_DIR={directory}`: `{directory}` and `{name}` stand for the
directory of each compose file, and for its name.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import translate
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import (
    ComposeError,
    read_project,
)

from bench.page import Row, row

VARIABLE = "HOMESERVER_COMPOSE_FILES"
GROUP = "Compose files"


class Result(NamedTuple):
    """The importer's answer to a file."""

    clean: bool
    """Whether there is no remark on it."""
    reasons: frozenset[str]
    """The keys that keep it from being imported."""


def rows(report: Callable[[str], None]) -> Iterator[Row]:
    """Yield the counts of each collection; none without a directory."""
    directory = os.environ.get(VARIABLE, "")
    if not directory:
        report(f"compose: no directory of compose files is named -> {VARIABLE}=<directory>")
        return
    for collection in sorted(path for path in Path(directory).iterdir() if path.is_dir()):
        if results := [result(file, collection) for file in _files(collection)]:
            yield from counted(collection.name, results)


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
    return Result(clean=not imported.changed and not reasons, reasons=reasons)


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
