"""The archive of `ansible-galaxy collection build` has all files that users need, and no others."""

import fnmatch
import itertools
import re
import subprocess

import pytest

from harness import collection
from harness.roles import ROOT
from tools import pictures

# An asterisk matches slashes, too.
ALLOWED = (
    "MANIFEST.json",
    "FILES.json",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "requirements.txt",
    "requirements.yml",
    "meta/runtime.yml",
    "docs/*.md",
    *(f"docs/pictures/{name}" for name in pictures.NAMES if (pictures.DIRECTORY / name).exists()),
    "docs/pictures/growth.svg",
    "inventory/example/*.yml",
    "playbooks/*.yml",
    "plugins/*.py",
    "plugins/filter/*.yml",
    "roles/*/README.md",
    "roles/apps/catalogue/*.yml",
    "roles/*/defaults/main.yml",
    "roles/*/meta/main.yml",
    "roles/*/meta/argument_specs.yml",
    "roles/*/meta/component.yml",
    "roles/*/meta/constraints.yml",
    "roles/*/files/*",
    "roles/*/tasks/*.yml",
    "roles/*/templates/*.j2",
    "roles/*/vars/*.yml",
    "images/common/audit.py",
    "app/gunicorn.conf.py",
    "app/requirements.txt",
    "images/devices/requirements.txt",
    "images/door/requirements.txt",
    *(f"images/door/src/*.{ending}" for ending in ("css", "html", "js", "svg", "txt")),
    "app/src/*.html",
    *(f"images/welcome/src/*.{ending}" for ending in ("css", "html", "js")),
    *(
        f"{source}/{part}"
        for source in ("app", "images/*")
        for part in ("Dockerfile", ".dockerignore", "README.md", "src/*.py")
    ),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the built collection."""
    return collection.files(collection.build(tmp_path_factory.mktemp("collection")))


def test_contains_only_allowed_files(built: set[str]) -> None:
    assert [name for name in built if not any(fnmatch.fnmatch(name, pattern) for pattern in ALLOWED)] == []


def test_contains_only_files_that_git_tracks(built: set[str]) -> None:
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    tracked = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")

    assert built - {"MANIFEST.json", "FILES.json"} - set(tracked) == set()


def test_every_allowed_pattern_is_needed(built: set[str]) -> None:
    assert [pattern for pattern in ALLOWED if not fnmatch.filter(built, pattern)] == []


def test_contains_all_required_files(built: set[str]) -> None:
    folders = ("playbooks", "plugins", "roles", "inventory/example", "docs", "app/src", "images/*/src")
    files = itertools.chain.from_iterable(ROOT.glob(f"{folder}/**/*") for folder in folders)
    needed = {str(path.relative_to(ROOT)) for path in files if path.is_file() and path.suffix != ".pyc"}

    assert needed - built == set()


def test_the_required_ansible_is_the_tested_one() -> None:
    (tested,) = re.findall(
        r"^ansible-core==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE
    )
    stated = [ROOT / "meta/runtime.yml", *ROOT.glob("roles/*/meta/main.yml")]

    assert [path for path in stated if f'"{tested}' not in path.read_text().replace(">=", "")] == []
