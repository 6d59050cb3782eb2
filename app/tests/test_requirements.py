"""The image holds what requirements.txt names and nothing else: so it must name all that is needed."""

from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .server import APP


def pinned() -> dict[str, Requirement]:
    lines = (line for line in (APP / "requirements.txt").read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


def needed_by(name: str) -> set[str]:
    needs = map(Requirement, requires(name) or [])
    return {
        canonicalize_name(need.name)
        for need in needs
        if not need.marker or need.marker.evaluate({"extra": ""})
    }


def test_every_package_has_one_exact_version() -> None:
    assert all(str(requirement.specifier).startswith("==") for requirement in pinned().values())


def test_whatever_a_package_needs_is_there_too() -> None:
    missing = {name: needed_by(name) - pinned().keys() for name in pinned()}
    assert not {name: needs for name, needs in missing.items() if needs}
