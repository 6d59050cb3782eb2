"""Write docs/reference.md and each role's README.md from the roles' argument specs and constraints."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

if not AnsibleCollectionConfig.collection_finder:
    init_plugin_loader()

from ansible_collections.homeserver.stack.plugins.module_utils.components import Declaration, components
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import constraints

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
SCHEMA = ROOT / "roles/common/files/component.schema.yml"
VERSIONS = ROOT / "roles/common/vars/main/versions.yml"
EXAMPLES = ROOT / "tests/inventories/everything_on/group_vars/all/main.yml"
INTRODUCTION = """\
# Reference

Every option of every role. `site.yml` checks all values before it changes anything.
Set options in `inventory/home/group_vars/all/main.yml`.

`make docs` writes this page from `argument_specs.yml` and `constraints.yml` in `roles/*/meta/`.
"""
HEADING_OF_VERSIONS = """\
## Versions

What this collection installs, and until when its makers mend what is wrong with it.
`homeserver_version_overrides` changes single ones.

| name | version | mended |
| --- | --- | --- |
"""
HEADING_OF_COMPONENTS = """\
## Components

What each component declares in `roles/*/meta/component.yml`, in the order in which they are applied.
Certificates, preflight, probes, `playbooks/rotate.yml` and the summary read it there.

| component | namespace | after | pages | images | secrets |
| --- | --- | --- | --- | --- | --- |
"""
KEYS_OF_COMPONENTS = """\
The keys of such a file:

| key | what it is |
| --- | --- |
"""
# A name, its version and a comment with the end of its support.
VERSION = re.compile(r"^ +(\w+): (\S+) +# (.+)$", re.MULTILINE)
LONGEST_DEFAULT = 100  # maximum length of a table cell; longer defaults follow below it


def main() -> None:
    """Write the pages."""
    REFERENCE.write_text(render())
    for file, text in readmes().items():
        file.write_text(text)


def readmes() -> dict[Path, str]:
    """Return the short page of each role, which Galaxy shows."""
    return {spec.parents[1] / "README.md": _readme(spec.parents[1].name, _read(spec)) for spec in _specs()}


def _readme(role: str, spec: dict[str, Any]) -> str:
    entry_points = spec["argument_specs"]
    main, *others = entry_points
    parts = [f"# homeserver.stack.{role}\n", _paragraphs(entry_points[main])]
    parts.append(f"[The reference](../../docs/reference.md#{role}) explains its options.\n")
    if others:
        parts.append("Other entry points:\n")
        parts.append(
            "".join(f"- `tasks_from: {name}.yml`: {_summary(entry_points[name])}\n" for name in others)
        )
    return "\n".join(parts)


def _summary(content: dict[str, Any]) -> str:
    return " ".join(_lines(content["short_description"])).rstrip(".")


def render() -> str:
    """Return the whole page as Markdown."""
    specs = {spec.parents[1].name: _read(spec) for spec in _specs()}
    # The options shared by all roles come first.
    names = sorted(specs, key=lambda name: (name != "common", name))
    examples = _read(EXAMPLES)
    sections = (_role(name, specs[name]["argument_specs"], examples) for name in names)
    last = (_components(), _versions(VERSIONS.read_text()))
    return "\n".join([INTRODUCTION, _contents(names, specs), *sections, *last])


def _specs() -> list[Path]:
    return sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def _contents(names: list[str], specs: dict[str, Any]) -> str:
    own = {name: next(iter(specs[name]["argument_specs"].values())) for name in names}
    lines = (f"- [{name}](#{name}): {own[name]['short_description']}" for name in names)
    components = "- [Components](#components): What each declares about itself"
    return "\n".join([*lines, components, "- [Versions](#versions): Until when each is mended"]) + "\n"


def _components() -> str:
    keys = _read(SCHEMA)["properties"].items()
    return "\n".join(
        [
            HEADING_OF_COMPONENTS + "".join(_component(role, each) for role, each in components().items()),
            KEYS_OF_COMPONENTS + "".join(f"| `{key}` | {schema['description']} |\n" for key, schema in keys),
        ]
    )


def _component(role: str, declared: Declaration) -> str:
    namespace = [declared["namespace"]] if "namespace" in declared else []
    lists = (declared.get(key, []) for key in ("needs", "pages", "images", "secrets"))
    cells = (", ".join(f"`{name}`" for name in names) for names in (namespace, *lists))
    return f"| [{role}](#{role}) | {' | '.join(cells)} |\n"


def _versions(text: str) -> str:
    rows = (f"| `{name}` | `{version}` | {until} |\n" for name, version, until in VERSION.findall(text))
    return HEADING_OF_VERSIONS + "".join(rows)


def _role(name: str, entry_points: dict[str, Any], examples: dict[str, Any]) -> str:
    sections = [f"## {name}\n"]
    for number, (entry_point, content) in enumerate(entry_points.items()):
        if number:
            sections.append(f"### {name}, `tasks_from: {entry_point}.yml`\n")
        sections.append(_paragraphs(content))
        options = content.get("options", {})
        sections.append(_table(name, options, _schemas(name, options)))
        if not number:
            sections.append(_block(f"{name}: long defaults", _long_defaults(options)))
            sections.append(_block(f"{name}: examples of lists", _list_examples(options, examples)))
    return "\n".join(filter(None, sections))


def _paragraphs(content: dict[str, Any]) -> str:
    description = content.get("description") or content["short_description"]
    return "\n".join(f"{line}\n" for line in _lines(description))


def _schemas(role: str, options: dict[str, Any]) -> dict[str, constraints.Schema]:
    declared = _read(ROOT / f"roles/{role}/meta/constraints.yml")
    return {name: constraints.schema(option, declared.get(name)) for name, option in options.items()}


def _table(role: str, options: dict[str, Any], schemas: dict[str, constraints.Schema]) -> str:
    if not options:
        return ""
    rows = ["| option | type | default | description |", "| --- | --- | --- | --- |"]
    rows += [f"| {' | '.join(cells)} |" for cells in _rows(role, "", options, schemas)]
    return "\n".join(rows) + "\n"


def _rows(
    role: str, parent: str, options: dict[str, Any], schemas: dict[str, constraints.Schema]
) -> Iterator[tuple[str, str, str, str]]:
    for key, option in options.items():
        name, schema = f"{parent}{key}", schemas[key]
        description = f"{_description(option)} {_limits(option, schema)}".strip()
        yield f"`{name}`", _type(option), _default(role, option), description
        within = f"{name}[]." if option.get("type") == "list" else f"{name}."
        defaults = option["default"] if _has_default_keys(option) else {}
        inner = schema.get("items", schema).get("properties", {})
        yield from _rows(role, within, _with_defaults(option.get("options", {}), defaults), inner)


def _limits(option: dict[str, Any], schema: constraints.Schema) -> str:
    """Say what is expected of a value, and of what is in it, beyond its type and choices."""
    parts = {
        "": schema,
        "Each: ": schema.get("items", {}),
        "Keys: ": schema.get("propertyNames", {}),
        "Values: ": schema.get("additionalProperties") or {},
    }
    texts = {
        what: constraints.meaning(part) or constraints.size(part)
        for what, part in parts.items()
        if "choices" not in option
    }
    return " ".join(
        _escaped(_sentence(what + text.removeprefix("of ").removeprefix("that is ")))
        for what, text in texts.items()
        if text and text != constraints.size({"minLength": 1})
    )


def _escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is, in a cell of a table."""
    return re.sub(r"(https?://\S+?)(?=[.,]?(?:\s|$))", r"`\1`", re.sub(r"([|*])", r"\\\1", text))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _has_default_keys(option: dict[str, Any]) -> bool:
    """Return whether the default is a dictionary whose keys have their own rows."""
    return isinstance(option.get("default"), dict) and "options" in option


def _with_defaults(options: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {
        name: option | ({"default": defaults[name]} if name in defaults else {})
        for name, option in options.items()
    }


def _type(option: dict[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    return f"{kind} of {option['elements']}" if "elements" in option else kind


def _default(role: str, option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    if _has_default_keys(option):
        return "as its keys"
    text = _as_json(option)
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else f"[below](#{role}-long-defaults)"


def _as_json(option: dict[str, Any]) -> str:
    return json.dumps(option["default"], ensure_ascii=False).replace("|", "\\|")


def _description(option: dict[str, Any]) -> str:
    text = " ".join(_lines(option["description"])).replace("|", "\\|")
    choices = ", ".join(f"`{choice}`" for choice in option.get("choices", []))
    return f"{text} One of {choices}." if choices else text


def _lines(text: str | list[str]) -> list[str]:
    lines = [text] if isinstance(text, str) else text
    return [constraints.MARKUP.sub(r"`\1`", line) for line in lines]


def _long_defaults(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: option["default"]
        for name, option in options.items()
        if "default" in option and len(_as_json(option)) > LONGEST_DEFAULT and not _has_default_keys(option)
    }


def _list_examples(options: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    """Return the lists that the test inventories set, except those whose default is an example already."""
    lists = [name for name, option in options.items() if option.get("type") == "list"]
    return {name: examples[name] for name in lists if name in examples}


def _block(heading: str, variables: dict[str, Any]) -> str:
    if not variables:
        return ""
    text = yaml.safe_dump(variables, sort_keys=False, allow_unicode=True, width=110)
    return f"### {heading}\n\n```yaml\n{text}```\n"


if __name__ == "__main__":
    main()
