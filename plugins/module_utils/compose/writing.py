"""Writes the entries of a compose file as a file of the inventory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from .entries import Imported, Remark
from .interpolation import split_at_secrets

_WIDTH = 1000  # characters: an expression is not broken


def variable(stack: str) -> str:
    """Return the name of the variable with the entries."""
    return f"imported_apps_{stack.replace('-', '_')}"


def written(stack: str, source: str, imported: Imported) -> str:
    """Return the text of the file.

    Args:
        stack: the name of the program.
        source: the compose file, for a comment.
        imported: the entries.
    """
    lines = [f"# Imported from {source}. It is yours: change it as you like, then run site.yml."]
    if imported.directories:
        lines.append(
            f"# apps_host_directories has to allow: {', '.join(dict.fromkeys(imported.directories))}"
        )
    lines += [f"# {line}" for line in remarks(imported.changed)]
    content = {variable(stack): [_plain(entry, stack) for entry in imported.entries]}
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)
    return "\n".join(["---", *lines, text])


def remarks(found: Iterable[Remark]) -> list[str]:
    """Return remarks as lines, each once."""
    return list(dict.fromkeys(f"{each.service}: {each.key}: {each.text}".lstrip(": ") for each in found))


class _Unsafe(str):
    """A text that Ansible must not evaluate."""


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes no anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    if isinstance(value, _Unsafe):
        return dumper.represent_scalar("!unsafe", str(value), "'")
    style = "|" if "\n" in value.strip() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(_Unsafe, _text)


def _plain(value: Any, stack: str) -> Any:
    """Return a value in which texts are expressions only where a secret is."""
    if isinstance(value, dict):
        return {key: _plain(each, stack) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, stack) for each in value]
    return _expression(value, stack) if isinstance(value, str) else value


def _expression(text: str, stack: str) -> str:
    parts = split_at_secrets(text)
    if len(parts) == 1:
        return _Unsafe(text) if any(mark in text for mark in ("{{", "{%", "{#")) else text
    return "".join(
        _secret(f"/apps/{stack}/{part}")
        if index % 2
        else part.replace("{{", "{{ '{{' }}").replace("{%", "{{ '{%' }}").replace("{#", "{{ '{#' }}")
        for index, part in enumerate(parts)
    )


def _secret(path: str) -> str:
    # The password of data that are moved in may be short.
    return f"{{{{ lookup('homeserver.stack.secret', homeserver_secrets_dir ~ '{path}', minimum=1) }}}}"
