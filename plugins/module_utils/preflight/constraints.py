"""Validates the values of options against argument specs and the constraints next to them.

Constraints are JSON Schema. An empty text means that the option is not set: it is valid for every format and
pattern, unless `minLength` forbids it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean

from .formats import FORMATS, fits
from .problem import Problem

Option = Mapping[str, Any]
"""An option as an argument spec describes it."""

Schema = dict[str, Any]
Path = tuple[str | int, ...]

MARKUP = re.compile(r"\b[COVEPM]\(([^)]*)\)")
"""Ansible's markup, as in O(homeserver_domain)."""

_TYPES = {
    "str": "string",
    "path": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false, without quotes",
    "array": "a list",
    "object": "a dictionary",
    "null": "nothing",
}
_SIZES = {
    "minimum": "of at least {}",
    "maximum": "of at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "that is not empty",
    "maxLength": "of at most {} characters",
    "minItems": "that is not empty",
    "minProperties": "that is not empty",
}
_LONGEST = 80  # characters of a value that are shown

# ---- schemas


def schema(option: Option, constraint: Schema | None = None) -> Schema:
    """Return the JSON Schema of an option, from its argument spec and its constraint."""
    kind = option.get("type", "str")
    found: Schema = {"type": _TYPES[kind]} if kind in _TYPES else {}
    if kind == "list":
        found["items"] = schema(
            {**option, "type": option.get("elements", "raw"), "elements": "raw", "required": True}
        )
    elif "choices" in option:
        found["enum"] = list(option["choices"])
    elif "options" in option:
        found["properties"] = {name: schema(inner) for name, inner in option["options"].items()}
        found["required"] = [name for name, inner in option["options"].items() if inner.get("required")]
        found["additionalProperties"] = False
    elif found.get("type") == "string" and option.get("required"):
        found["minLength"] = 1
    return _merged(found, constraint or {})


def _merged(one: Schema, other: Schema) -> Schema:
    both = {
        key: _merged(one[key], other[key])
        for key in one.keys() & other.keys()
        if isinstance(one[key], dict) and isinstance(other[key], dict)
    }
    return {**one, **other, **both}


def expected(node: Schema) -> str:
    """Describe what a JSON Schema expects."""
    kinds = node.get("type", [])
    kind = " or ".join(_KINDS[each] for each in ([kinds] if isinstance(kinds, str) else kinds))
    return meaning(node) or f"{kind} {size(node)}".strip()


def meaning(node: Schema) -> str:
    """Describe the meaning of a value, if its JSON Schema defines more than a type and a size."""
    if "description" in node:
        examples = f" such as {node['examples'][0]}" if "examples" in node else ""
        return f"{node['description']}{examples}"
    if "format" in node:
        return FORMATS[node["format"]].expected
    return f"one of {', '.join(str(choice) for choice in node['enum'])}" if "enum" in node else ""


def size(node: Schema) -> str:
    """Describe the sizes that a JSON Schema allows, or return nothing."""
    if "minimum" in node and "maximum" in node:
        return f"from {node['minimum']} to {node['maximum']}"
    return " and ".join(text.format(node[key]) for key, text in _SIZES.items() if key in node)


# ---- values


def wrong_value(name: str, option: Option, constraint: Schema | None, value: Any) -> list[Problem]:
    """Return all problems with the value of an option."""
    whole = schema(option, constraint)
    value = normal(whole, value)
    validator, formats = _judges()
    errors = {
        problem
        for error in validator(whole, format_checker=formats).iter_errors(value)
        for problem in _problems(name, option, error)
    }
    return sorted(errors or _wrong_groups(name, option, value))


def normal(node: Schema, value: Any) -> Any:
    """Convert quoted numbers, and numbers where a text is expected, as Ansible does."""
    kind = node.get("type")
    if isinstance(value, Mapping):
        inner, other = node.get("properties", {}), node.get("additionalProperties") or {}
        return {str(key): normal(inner.get(key, other), entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [normal(node.get("items", {}), entry) for entry in value]
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if kind in ("integer", "number") and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if kind == "number" and isinstance(value, str) and re.fullmatch(r"-?\d*\.\d+", value):
        return float(value)
    return value


@cache
def _judges() -> tuple[Any, Any]:
    """Return JSON Schema's validator with this project's formats; jsonschema may be missing."""
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators  # noqa: PLC0415

    formats = FormatChecker(formats=())
    for name in FORMATS:
        formats.checks(name)(partial(_fits, name))

    def pattern(_: Any, expression: str, value: Any, __: Schema) -> Iterator[ValidationError]:
        # In JSON Schema, a $ does not match before a newline.
        if isinstance(value, str) and value and not re.search(re.sub(r"\$$", r"\\Z", expression), value):
            yield ValidationError("no match")

    return validators.extend(Draft202012Validator, {"pattern": pattern}), formats


def _fits(name: str, value: object) -> bool:
    return not isinstance(value, str) or not value or fits(name, value)


def _problems(name: str, option: Option, error: Any) -> Iterator[Problem]:
    """Translate an error of jsonschema."""
    path: Path = tuple(error.absolute_path)
    inner, secret = _find(option, path)
    place = _place(name, path)
    if error.validator == "required":
        for key in sorted(set(error.validator_value) - set(error.instance)):
            meaning = _description(inner.get("options", {}).get(key, inner))
            yield Problem(f"{place}.{key} is not set", meaning)
    elif error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in sorted(set(map(str, error.instance)) - set(known)):
            yield Problem(f"unknown key {place}.{key}", nearest(key, known))
    else:
        place = f"a key of {place}" if "propertyNames" in error.absolute_schema_path else place
        shown = "an invalid secret" if secret else _shown(error.instance)
        fix = _unquoted(name, error) if not path else ""
        yield Problem(f"{place} is {shown} (expected {expected(error.schema)})", fix or _description(inner))


def _unquoted(name: str, error: Any) -> str:
    """Return how to give a boolean on the command line, where name=value is always a text."""
    if error.schema.get("type") != "boolean" or not isinstance(error.instance, str):
        return ""
    try:
        value = str(boolean(error.instance)).lower()
    except TypeError:
        return ""
    return f"on the command line: -e '{{\"{name}\": {value}}}'"


def _find(option: Option, path: Path) -> tuple[Option, bool]:
    """Return the option that is nearest to a path, and whether its value may contain a secret."""
    secret, whole = bool(option.get("no_log")), option.get("options", {})
    for step in path:
        # A dictionary without options of its own may have entries like the whole.
        option = option.get("options", whole).get(step, option)
        secret = secret or bool(option.get("no_log"))
    return option, secret or _has_secrets(option)


def _has_secrets(option: Option) -> bool:
    return any(inner.get("no_log") or _has_secrets(inner) for inner in option.get("options", {}).values())


def _place(name: str, path: Path) -> str:
    return name + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping | list):
        return f"a {'list' if isinstance(value, list) else 'dictionary'}" if value else "empty"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _description(option: Option) -> str:
    text = option["description"]
    whole = text if isinstance(text, str) else " ".join(text)
    return "it is: " + MARKUP.sub(r"\1", whole)


def nearest(name: str, known: Collection[str]) -> str:
    """Suggest a similar known name."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known names: {', '.join(known)}"


def _wrong_groups(name: str, option: Option, value: Any) -> Iterator[Problem]:
    """Report keys that are mutually exclusive or require each other."""
    entries = [((number,), entry) for number, entry in enumerate(value)] if isinstance(value, list) else []
    for path, entry in entries:
        place = _place(name, path)
        for rule, text, is_wrong in _GROUPS:
            for keys in option.get(rule, []):
                given = sum(key in entry for key in keys)
                if is_wrong(given, len(keys)):
                    yield Problem(f"{place} {text.format(' and '.join(keys))}", _description(option))


_GROUPS: tuple[tuple[str, str, Callable[[int, int], bool]], ...] = (
    ("mutually_exclusive", "has {} (expected one of them)", lambda given, _: given > 1),
    ("required_one_of", "has none of {} (expected one of them)", lambda given, _: given == 0),
    ("required_together", "has only one of {} (expected both or none)", lambda given, all_: 0 < given < all_),
)
