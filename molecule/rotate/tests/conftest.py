"""The order of this scenario's tests, if they run in one session. Molecule sorts their files by name."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the passwords: with a new authority, the first run makes new certificates as well."""
    items.sort(key=lambda item: "passwords" not in item.path.stem)
