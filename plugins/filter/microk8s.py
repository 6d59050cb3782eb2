"""Filters that build and compare launch configurations of MicroK8s, and check cluster membership."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import joining
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.problem import Problem

Configuration = dict[str, Any]


def flags(arguments: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the flags of a Kubernetes program in MicroK8s' format: texts, or None to remove a flag."""
    return {flag: _flag_value(value) for flag, value in arguments.items()}


def _flag_value(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def hosts_toml(mirrors: Mapping[str, str]) -> dict[str, str]:
    """Return the hosts.toml of containerd for every registry with a mirror, by registry."""
    return {registry: f"{_server(registry)}{_mirror(url)}" for registry, url in mirrors.items()}


def _server(registry: str) -> str:
    return f'server = "https://{"registry-1.docker.io" if registry == "docker.io" else registry}"\n'


def _mirror(url: str) -> str:
    return f'\n[host."{url}"]\n  capabilities = ["pull", "resolve"]\n'


def launch_change(wanted: Configuration, applied: str) -> Configuration:
    """Return the launch configuration that turns the last applied one into the wanted one, or {}.

    A launch configuration only adds settings. Unwanted settings must be removed by name.
    """
    before = _read(applied)
    change = _change(wanted, before)
    return {} if change == before else change


_KUBELET = "extraKubeletArgs"
# Set by a join, or detected by MicroK8s at each start.
_OTHERS = {"--client-ca-file", "--node-labels", "--resolv-conf"}


def worker_change(
    wanted: Configuration, applied: str, arguments: Mapping[str, Mapping[str, str]]
) -> Configuration:
    """Return the launch configuration that gives a worker the wanted settings, or {}.

    A join replaces the kubelet's arguments with the founder's, which no launch configuration records. So the
    wanted arguments are compared with the actual ones.

    Args:
        wanted: the launch configuration of this worker.
        applied: the last applied one.
        arguments: the `present` arguments of the kubelet, and the `default` ones of its snap.
    """
    before = _without(_read(applied))
    # A worker can neither enable nor disable an addon, and MicroK8s would try forever.
    change = _change(_without(wanted), before)
    kubelet = _kubelet_change(wanted.get(_KUBELET) or {}, arguments["present"], arguments["default"])
    if kubelet:
        return {**change, _KUBELET: kubelet}
    return {} if change == before else change


def _without(configuration: Configuration) -> Configuration:
    return {key: value for key, value in configuration.items() if key not in (_KUBELET, "addons")}


def _kubelet_change(
    wanted: Mapping[str, str | None], present: Mapping[str, str], default: Mapping[str, str]
) -> dict[str, str | None]:
    expected = {**{flag: default.get(flag) for flag in present}, **wanted}
    return {
        flag: value
        for flag, value in expected.items()
        if present.get(flag) != value and (flag in wanted or flag not in _OTHERS)
    }


def _read(text: str) -> Configuration:
    try:
        parts = [part for part in yaml.safe_load_all(text) if part]
        return {section: content for part in parts for section, content in part.items()}
    except (yaml.YAMLError, AttributeError):  # a broken configuration is replaced
        return {}


def _change(wanted: Configuration, before: Configuration) -> Configuration:
    sections = before.keys() | wanted.keys()
    return {
        section: _with_removals(section, before.get(section), wanted.get(section)) for section in sections
    }


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


def cannot_join(own: joining.Facts, cluster: joining.Facts, name: str, founder: str) -> str:
    """Return why a host must not join, from the results of microk8s_cluster on it and on the founder."""
    return _told(joining.cannot_join(own, cluster, name, founder))


def other_minor(version: str, founders: str, founder: str) -> str:
    """Return the problem if a host's minor version differs from the founder's, or an empty text."""
    return _told(joining.other_minor(version, founders, founder))


def cannot_certify(address: str, node: joining.Facts, cluster: joining.Facts) -> str:
    """Return why a node gets no certificate for the address that its host reports, or an empty text."""
    return _told(joining.cannot_certify(address, node, cluster))


def cannot_leave(cluster: joining.Facts, node: str, abandoned: Iterable[str]) -> str:
    """Return why a node must not leave its cluster, or an empty text."""
    return _told(joining.would_lose(joining.lost_volumes(cluster["volumes"], node, abandoned), node))


def cannot_forget(cluster: joining.Facts, node: str, abandoned: Iterable[str]) -> str:
    """Return why a node must not be removed without its machine, or an empty text."""
    return _told(joining.cannot_forget(node, cluster, cluster["member"]["node"], abandoned))


def given_up(cluster: joining.Facts, node: str, abandoned: Iterable[str]) -> list[joining.Facts]:
    """Return the volumes that are abandoned with a node."""
    return joining.given_up(cluster["volumes"], node, abandoned)


def workers_left(cluster: joining.Facts) -> str:
    """Return why the founder must not be removed, or an empty text."""
    return _told(joining.workers_left(cluster["nodes"], cluster["member"]["node"]))


def _told(problems: Iterable[Problem]) -> str:
    return "\n".join(map(str, problems))


class FilterModule:
    """The filters by name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        filters = (
            cannot_certify,
            cannot_forget,
            cannot_join,
            cannot_leave,
            flags,
            given_up,
            hosts_toml,
            launch_change,
            other_minor,
            worker_change,
            workers_left,
        )
        judgements = (
            joining.is_astray,
            joining.node_patch,
            joining.own_node,
            joining.strangers,
            joining.why_join,
        )
        return {each.__name__: each for each in (*filters, *judgements)}
