"""The image contains exactly the packages in requirements.txt, so the list must be complete."""

from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .server import APP


def pinned() -> dict[str, Requirement]:
    lines = (APP / "requirements.txt").read_text().splitlines()
    named = (Requirement(line.removesuffix(" \\")) for line in lines if not line.startswith(("#", " ")))
    return {canonicalize_name(requirement.name): requirement for requirement in named}


def needed_by(name: str) -> set[str]:
    needs = map(Requirement, requires(name) or [])
    return {
        canonicalize_name(need.name)
        for need in needs
        if not need.marker or need.marker.evaluate({"extra": ""})
    }


def test_every_package_has_one_exact_version() -> None:
    assert all(str(requirement.specifier).startswith("==") for requirement in pinned().values())


def test_dependencies_of_packages_are_listed_too() -> None:
    missing = {name: needed_by(name) - pinned().keys() for name in pinned()}
    assert not {name: needs for name, needs in missing.items() if needs}
