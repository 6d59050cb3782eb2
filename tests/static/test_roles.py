"""Every role has the same shape, and says about itself what is true."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.static.roles import ROLES, Role

SHAPE = {"defaults", "meta", "tasks", "templates", "files", "handlers", "vars"}
# Variables and questions only; there is nothing to take away.
STATELESS = {"common", "preflight"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "path": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
    "raw": object,
}
UNITS = re.compile(
    r"\b(seconds?|minutes?|hours?|days?|bytes?|[KMGT]iB|percent|port|number|how many|millicores|cores?)\b",
    re.IGNORECASE,
)

every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def _walk(parent: str, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield f"{parent}{name}", option
        yield from _walk(f"{parent}{name}.", option.get("options", {}))


def _all_options(role: Role) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry_point, content in role.entry_points.items():
        yield from _walk(f"{entry_point}: ", content.get("options", {}))


def test_there_are_roles() -> None:
    assert {"common", "preflight", "microk8s", "traefik", "flask_app"} <= {role.name for role in ROLES}


@every_role
def test_has_the_same_shape_as_the_others(role: Role) -> None:
    assert {entry.name for entry in role.path.iterdir()} <= SHAPE
    assert (role.path / "defaults/main.yml").is_file()
    assert (role.path / "meta/main.yml").is_file()
    assert (role.path / "meta/argument_specs.yml").is_file()
    assert role.name == "common" or (role.path / "tasks/main.yml").is_file()


@every_role
def test_can_be_taken_away(role: Role) -> None:
    if role.name in STATELESS:
        assert f"{role.name}_state" not in role.options
    else:
        assert role.options[f"{role.name}_state"]["choices"] == ["present", "absent"]
        assert role.defaults[f"{role.name}_state"] == "present"


@every_role
def test_defaults_and_specs_name_the_same_options(role: Role) -> None:
    optional = {name for name, option in role.options.items() if not option.get("required")}

    assert set(role.defaults) == optional


@every_role
def test_public_names_carry_the_roles_prefix(role: Role) -> None:
    prefix = "homeserver_" if role.name == "common" else f"{role.name}_"

    assert [name for name in role.options if not name.startswith(prefix)] == []


@every_role
def test_defaults_are_the_documented_ones(role: Role) -> None:
    documented = {name: option["default"] for name, option in role.options.items() if "default" in option}

    assert role.defaults == documented


@every_role
def test_defaults_have_the_documented_type(role: Role) -> None:
    wrong = [
        name
        for name, option in role.options.items()
        if "default" in option and not _fits(option["default"], option.get("type", "str"))
    ]

    assert wrong == []


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, str) and value.startswith("{{"):
        return True  # what it renders to is checked when the role runs
    if isinstance(value, bool):
        return kind in ("bool", "raw")
    return isinstance(value, TYPES[kind])


@every_role
def test_every_list_says_of_what(role: Role) -> None:
    assert [
        name
        for name, option in _all_options(role)
        if option.get("type") == "list" and "elements" not in option
    ] == []


@every_role
def test_every_option_is_described(role: Role) -> None:
    assert [name for name, option in _all_options(role) if not option.get("description")] == []


@every_role
def test_every_number_has_a_unit(role: Role) -> None:
    numbers = [
        (name, option) for name, option in _all_options(role) if option.get("type") in ("int", "float")
    ]

    assert [name for name, option in numbers if not UNITS.search(str(option["description"]))] == []
