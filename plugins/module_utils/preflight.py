"""What would make an installation fail, found out before it starts. Nothing here touches a host."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError

Specs = Mapping[str, Mapping[str, Any]]
"""By role, the options of its main entry point."""


class Problem(NamedTuple):
    """What is wrong, in whose words that may be, and what mends it."""

    wrong: str
    fix: str

    def __str__(self) -> str:
        return f"{self.wrong} -> {self.fix}"


class Limits(NamedTuple):
    """What a host must have; `distributions` is the oldest release of each by the ID in /etc/os-release."""

    distributions: Mapping[str, str]
    memory_mib: int
    disk_gib: int
    disk_running_gib: int
    clock_skew: int


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_CHANNEL = re.compile(r"1\.\d+/(stable|candidate|beta|edge)")
_PRIVATE = re.compile(r"(.*\.)?(home\.arpa|local|lan|internal|localdomain|localhost|test)")
_IPV4 = re.compile(r"\d+(\.\d+){3}")
_MACHINES = ("x86_64", "aarch64")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_REFUSED_ADDONS = {
    "ingress": "its Traefik takes ports 80 and 443, and its removal takes every Traefik CRD along",
    "observability": "its removal takes every CRD of the Prometheus operator along",
}

# ---- the control machine


def missing_on_control_machine() -> Iterator[Problem]:
    """Name the Python packages and collections that the roles need and this machine has not."""
    for package in ("kubernetes", "cryptography", "bcrypt", "passlib"):
        if importlib.util.find_spec(package) is None:
            yield Problem(f"the Python package {package} is missing", "pip install -r requirements.txt")
    for collection in ("kubernetes.core", "community.crypto"):
        namespace, name = collection.split(".")
        found = importlib.util.find_spec(f"ansible_collections.{namespace}")
        if found is None or importlib.util.find_spec(f"ansible_collections.{namespace}.{name}") is None:
            fix = "ansible-galaxy collection install -r requirements.yml"
            yield Problem(f"the Ansible collection {collection} is missing", fix)


# ---- variables


def unknown_variables(names: Iterable[str], specs: Specs) -> Iterator[Problem]:
    """Name the variables that look like a role's and are not."""
    known = [option for options in specs.values() for option in options]
    prefixes = tuple("homeserver_" if role == "common" else f"{role}_" for role in specs)
    for name in sorted(set(names) - set(known)):
        if name.startswith(prefixes):
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            fix = f"did you mean {close[0]}?" if close else "docs/reference.md lists all there are"
            yield Problem(f"unknown variable {name}", fix)


def wrong_values(values: Mapping[str, Any], specs: Specs) -> Iterator[Problem]:
    """Name the variables whose value is not one that a role takes, and those that have none and must."""
    for options in specs.values():
        for name, option in options.items():
            if option.get("required") and name not in values:
                yield Problem(f"{name} is not set", f"it is: {_description(option)}")
        for name in options.keys() & values.keys():
            result = ArgumentSpecValidator({name: options[name]}).validate({name: values[name]})
            for error in result.errors:
                wrong = f"unknown key {error.msg}" if isinstance(error, UnsupportedError) else error.msg
                yield Problem(f"{wrong} (variable {name})", f"it is: {_description(options[name])}")


def _description(option: Mapping[str, Any]) -> str:
    text = option["description"]
    return text if isinstance(text, str) else " ".join(text)


def wrong_domain(domain: str, acme_email: str) -> Iterator[Problem]:
    """Tell whether a domain is no DNS name, or none that an ACME authority could certify."""
    if not is_dns_name(domain):
        fix = "write a name such as home.arpa: small letters, digits and hyphens between dots"
        yield Problem(f"the domain is not a DNS name (homeserver_domain, {domain!r})", fix)
    elif acme_email and _PRIVATE.fullmatch(domain):
        fix = "use a domain of your own, or remove homeserver_acme_email"
        yield Problem(f"ACME gives no certificate for a private domain (homeserver_domain, {domain!r})", fix)


def is_dns_name(name: str) -> bool:
    """Tell whether this is a name DNS can hold, in small letters and without a dot at its end."""
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def wrong_channel(channel: str) -> Iterator[Problem]:
    """Tell whether this is no channel of classic MicroK8s with a fixed minor version."""
    if not _CHANNEL.fullmatch(channel):
        wrong = f"not a channel to follow (homeserver_versions.microk8s_channel, {channel!r})"
        yield Problem(wrong, "write a track and a risk such as 1.35/stable, without -strict, not latest")


def repeated_routes(routes: Iterable[tuple[str, str, str]]) -> Iterator[Problem]:
    """Name the routes that want the same host and path; a route is its host, its path and where it is set."""
    owners: dict[tuple[str, str], str] = {}
    for host, path, owner in routes:
        address = (host.lower(), "/" + path.strip("/"))
        first = owners.setdefault(address, owner)
        if first != owner:
            wrong = f"two routes for https://{''.join(address)} ({first} and {owner})"
            yield Problem(wrong, "give one of them another host or path")


def wrong_bundle(
    flaws: Iterable[str], held: Mapping[str, Iterable[str]], needed: Mapping[str, Iterable[str]]
) -> Iterator[Problem]:
    """Name what is broken in a bundle, and what it lacks of each kind (images, manifests)."""
    again = "make the bundle again, or copy it again"
    yield from (Problem(f"{flaw} (homeserver_bundle)", again) for flaw in flaws)
    for kind, names in needed.items():
        for name in sorted(set(names) - set(held[kind])):
            yield Problem(f"the bundle has no {kind[:-1]} {name} (homeserver_bundle)", again)


# ---- hosts


def unfit_host(host: Mapping[str, Any], limits: Limits) -> Iterator[Problem]:
    """Name what a host lacks, from what the module host_probe found on it."""
    yield from _wrong_system(host, limits)
    yield from _wrong_resources(host, limits)
    yield from _wrong_network(host)
    for addon in _REFUSED_ADDONS.keys() & set(host["addons"]):
        wrong = f"MicroK8s' addon {addon} is enabled: {_REFUSED_ADDONS[addon]}"
        yield Problem(wrong, f"on the host: sudo microk8s disable {addon}")


def _wrong_system(host: Mapping[str, Any], limits: Limits) -> Iterator[Problem]:
    name, release = host["os"].get("ID", "unknown"), host["os"].get("VERSION_ID", "")
    oldest = limits.distributions.get(name)
    if oldest is None or _numbers(release) < _numbers(oldest):
        expected = " or ".join(f"{ID} {version}" for ID, version in limits.distributions.items())
        yield Problem(f"{name} {release} will not do (expected {expected} or newer)", "install one of these")
    if host["machine"] not in _MACHINES:
        yield Problem(
            f"MicroK8s is not made for {host['machine']}", f"use a 64-bit system: {', '.join(_MACHINES)}"
        )
    missing = [controller for controller in _CONTROLLERS if controller not in host["cgroups"]["controllers"]]
    if missing:
        fix = (
            "add cgroup_enable=memory to the kernel's command line (Raspberry Pi: /boot/firmware/cmdline.txt)"
        )
        yield Problem(f"the kernel's control groups lack {', '.join(missing)}", fix)
    if not is_dns_name(host["hostname"]):
        fix = "on the host: hostnamectl set-hostname NAME, in small letters, digits and hyphens"
        yield Problem(f"the host name is not fit for a node (hostname, {host['hostname']!r})", fix)


def _wrong_resources(host: Mapping[str, Any], limits: Limits) -> Iterator[Problem]:
    if host["memory_mib"] < limits.memory_mib:
        wrong = f"too little memory ({host['memory_mib']} MiB, expected {limits.memory_mib})"
        fix = "add memory, set homeserver_logging_enabled: false, or lower preflight_memory_mib"
        yield Problem(wrong, fix)
    variable = "preflight_disk_running_gib" if host["microk8s"] else "preflight_disk_gib"
    disk = limits.disk_running_gib if host["microk8s"] else limits.disk_gib
    if host["disk_free_gib"] < disk:
        wrong = f"too little disk free at /var/snap ({host['disk_free_gib']} GiB, expected {disk})"
        ease = variable if host["microk8s"] else "homeserver_storage_budget_gib"
        yield Problem(wrong, f"free some, add a disk, or lower {ease}")
    if abs(host["clock_skew"]) > limits.clock_skew:
        wrong = (
            f"its clock is {host['clock_skew']:.0f} s off from here (expected at most {limits.clock_skew})"
        )
        yield Problem(wrong, "on the one that is wrong: timedatectl set-ntp true")


def _wrong_network(host: Mapping[str, Any]) -> Iterator[Problem]:
    if not host["interface"]:
        yield Problem("no default route, by which MicroK8s finds its address", "give the host a gateway")
    for taken in host["taken_ports"]:
        unit = taken["unit"]
        wrong = f"port {taken['port']} is in use by {taken['process']}" + (f" ({unit})" if unit else "")
        yield Problem(wrong, f"on the host: systemctl disable --now {unit}" if unit else "stop that program")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def doubtful_host(host: Mapping[str, Any], address: str) -> Iterator[Problem]:
    """Name what works today and may not tomorrow; `address` is what the inventory calls the host."""
    for own, about in host["addresses"].items():
        if about["dynamic"] and about["interface"] == host["interface"]:
            yield Problem(
                f"its address {own} is lent by DHCP", "reserve it in your router, or set it on the host"
            )
    if _IPV4.fullmatch(address) and address not in host["addresses"]:
        wrong = f"it has no address {address} itself, as behind NAT (ansible_host)"
        yield Problem(wrong, "give its own address, unless you forward ports 80, 443 and 16443 to it")


def fails_on_cgroup_v1(host: Mapping[str, Any], kubelet_arguments: Mapping[str, Any]) -> Iterator[Problem]:
    """Tell whether the kubelet would refuse the host's old control groups."""
    tolerated = str(kubelet_arguments.get("--fail-cgroupv1")).lower() == "false"
    if host["cgroups"]["version"] == 1 and not tolerated:
        fix = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
        yield Problem("it uses control groups of version 1, which Kubernetes refuses since 1.35", fix)


def wrong_upgrade(installed: str, wanted: str) -> Iterator[Problem]:
    """Tell whether the way from one MicroK8s version to another is none Kubernetes allows."""
    if not _CHANNEL.fullmatch(wanted):
        return  # which wrong_channel tells
    hop = _minor(wanted) - _minor(installed)
    if hop not in (0, 1):
        fix = (
            f"go to 1.{_minor(installed) + 1} first"
            if hop > 1
            else f"stay with 1.{_minor(installed)} or newer"
        )
        wrong = f"MicroK8s {installed} cannot become {wanted}: one minor version up at a time"
        yield Problem(f"{wrong} (homeserver_versions.microk8s_channel)", fix)


def _minor(version: str) -> int:
    return _numbers(version)[1]


def missing_channel(channel: str, found: list[str] | str | None) -> Iterator[Problem]:
    """Tell whether the snap store has no such channel; `found` is its channels, or why they are not known."""
    where = f"(homeserver_versions.microk8s_channel, {channel!r})"
    if isinstance(found, str):
        fix = "give the host internet, or set homeserver_bundle"
        yield Problem(f"the snap store does not say which channels there are: {found} {where}", fix)
    elif found is not None and channel not in found:
        close = difflib.get_close_matches(channel, found, n=1)
        yield Problem(
            f"the snap store has no such channel {where}", f"did you mean {(close or ['1.35/stable'])[0]}?"
        )
