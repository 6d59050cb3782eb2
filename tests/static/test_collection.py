"""What `ansible-galaxy collection build` makes can be installed by another project."""

import itertools
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.static.roles import ROLES, ROOT

OURS_ALONE = (
    "bench",
    "build",
    "collections",
    "dashboards",
    "extensions",
    "lab",
    "molecule",
    "secrets",
    "tests",
    "tools",
    ".",
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of the files in the built collection."""
    out = tmp_path_factory.mktemp("collection")
    build = ["ansible-galaxy", "collection", "build", "--output-path", str(out), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (archive,) = Path(out).glob("homeserver-stack-*.tar.gz")
    with tarfile.open(archive) as tar:
        return {member.name for member in tar.getmembers() if member.isfile()}


def test_holds_every_role(built: set[str]) -> None:
    assert {f"roles/{role.name}/meta/argument_specs.yml" for role in ROLES} <= built


def test_holds_what_the_playbooks_need(built: set[str]) -> None:
    needed = itertools.chain(*(ROOT.glob(p) for p in ("playbooks/*.yml", "plugins/**/*.py", "*/Dockerfile")))

    assert {str(path.relative_to(ROOT)) for path in needed} <= built


def test_holds_nothing_that_is_ours_alone(built: set[str]) -> None:
    assert [name for name in built if name.startswith(OURS_ALONE)] == []
