"""Filters that make and compare MicroK8s' launch configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

Configuration = dict[str, Any]


def flags(arguments: Mapping[str, Any]) -> dict[str, str | None]:
    """Give the flags of a Kubernetes program as MicroK8s takes them: texts, or None to remove a flag.

    Raises:
        AnsibleFilterError: a flag has no dashes, or a value that MicroK8s cannot pass on.
    """
    for flag, value in arguments.items():
        if not flag.startswith("--"):
            raise AnsibleFilterError(f"{flag!r} is not a flag: write it with its dashes, as in '--v'")
        if any(unfit in str(value) for unfit in " '\""):
            raise AnsibleFilterError(f"{flag} is {value!r}: MicroK8s passes no value with spaces or quotes")
    return {flag: _flag_value(value) for flag, value in arguments.items()}


def _flag_value(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def hosts_toml(mirrors: Mapping[str, str]) -> dict[str, str]:
    """Give containerd's hosts.toml for every registry that has a mirror, by the registry's name."""
    return {registry: f"{_server(registry)}{_mirror(url)}" for registry, url in mirrors.items()}


def _server(registry: str) -> str:
    return f'server = "https://{"registry-1.docker.io" if registry == "docker.io" else registry}"\n'


def _mirror(url: str) -> str:
    return f'\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def launch_change(wanted: Configuration, applied: str) -> Configuration:
    """Give the launch configuration that leads from the one applied last to the wanted one, {} if none.

    A launch configuration only adds: what the wanted one no longer holds has to be taken back by name.
    """
    before = _read(applied)
    sections = before.keys() | wanted.keys()
    change = {
        section: _with_removals(section, before.get(section), wanted.get(section)) for section in sections
    }
    return {} if change == before else change


def _read(text: str) -> Configuration:
    try:
        parts = [part for part in yaml.safe_load_all(text) if part]
        return {section: content for part in parts for section, content in part.items()}
    except (yaml.YAMLError, AttributeError):  # whatever that is, it is replaced
        return {}


def _with_removals(section: str, before: Any, wanted: Any) -> Any:
    if section == "addons":
        names = {addon["name"] for addon in wanted or []}
        gone = [addon["name"] for addon in before or [] if addon["name"] not in names]
        return [*(wanted or []), *({"name": name, "disable": True} for name in gone)]
    if section == "extraSANs":
        return wanted or []
    if section == "containerdRegistryConfigs":
        return {registry: _server(registry) for registry in before or {}} | (wanted or {})
    if isinstance(before, dict):
        return dict.fromkeys(before) | (wanted or {})
    return before if wanted is None else wanted


class FilterModule:
    """The filters, by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Give them to Ansible."""
        return {"flags": flags, "hosts_toml": hosts_toml, "launch_change": launch_change}
