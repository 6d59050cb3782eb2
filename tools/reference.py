"""Write docs/reference.md, the options of every role, from the roles' argument specs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "docs" / "reference.md"
INTRODUCTION = """\
# Reference

Every option of every role, as Ansible checks it before a role does anything. This page is made from
`roles/*/meta/argument_specs.yml` by `make docs`; set the options in `inventory/group_vars/all/`.
"""
MARKUP = re.compile(r"\b[COVEPM]\(([^)]*)\)")  # Ansible's own, as in O(homeserver_domain)
LONGEST_DEFAULT = 60  # characters that a cell of the table bears


def main() -> None:
    """Write the page."""
    REFERENCE.write_text(render())


def render() -> str:
    """The whole page as Markdown."""
    specs = sorted((ROOT / "roles").glob("*/meta/argument_specs.yml"))
    return "\n".join([INTRODUCTION, *(_role(spec) for spec in specs)])


def _role(spec: Path) -> str:
    name = spec.parent.parent.name
    sections = [f"## {name}\n"]
    for entry_point, content in yaml.safe_load(spec.read_text())["argument_specs"].items():
        if entry_point != "main":
            sections.append(f"### {name}, `tasks_from: {entry_point}.yml`\n")
        sections.append(_paragraphs(content))
        sections.append(_table(name, content.get("options", {})))
    return "\n".join(sections)


def _paragraphs(content: dict[str, Any]) -> str:
    description = content.get("description") or content["short_description"]
    return "\n".join(f"{line}\n" for line in _lines(description))


def _table(role: str, options: dict[str, Any]) -> str:
    if not options:
        return ""
    rows = ["| option | type | default | what it is |", "| --- | --- | --- | --- |"]
    rows += [f"| {' | '.join(cells)} |" for cells in _rows(role, "", options)]
    return "\n".join(rows) + "\n"


def _rows(role: str, parent: str, options: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for key, option in options.items():
        name = f"{parent}{key}"
        yield f"`{name}`", _type(option), _default(role, option), _description(option)
        within = f"{name}[]." if option.get("type") == "list" else f"{name}."
        yield from _rows(role, within, option.get("options", {}))


def _type(option: dict[str, Any]) -> str:
    kind = str(option.get("type", "str"))
    return f"{kind} of {option['elements']}" if "elements" in option else kind


def _default(role: str, option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    text = json.dumps(option["default"], ensure_ascii=False).replace("|", "\\|")
    return f"`{text}`" if len(text) <= LONGEST_DEFAULT else f"[long](../roles/{role}/defaults/main.yml)"


def _description(option: dict[str, Any]) -> str:
    text = " ".join(_lines(option["description"])).replace("|", "\\|")
    choices = ", ".join(f"`{choice}`" for choice in option.get("choices", []))
    return f"{text} One of {choices}." if choices else text


def _lines(text: str | list[str]) -> list[str]:
    lines = [text] if isinstance(text, str) else text
    return [MARKUP.sub(r"`\1`", line) for line in lines]


if __name__ == "__main__":
    main()
