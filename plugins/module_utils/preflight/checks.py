"""Finds reasons why an installation would fail, before it starts. Nothing here accesses a host."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..registry.bundle import Bundle
from ..registry.checksums import sha256
from ..registry.image_reference import parse
from ..versions import minor, numbers
from .constraints import nearest
from .formats import is_dns_name
from .problem import Problem

Specs = Mapping[str, Mapping[str, Any]]
"""By role, the options of its main entry point."""


class Limits(NamedTuple):
    """Requirements of a host; `distributions` has the oldest release of each ID in /etc/os-release."""

    distributions: Mapping[str, str]
    memory_mib: int
    disk_gib: int
    disk_running_gib: int
    clock_skew_seconds: int


_IPV4 = re.compile(r"\d+(\.\d+){3}")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_REFUSED_ADDONS = {
    "ingress": "its Traefik uses ports 80 and 443, and removing it deletes every Traefik CRD",
    "observability": "removing it deletes every CRD of the Prometheus operator",
}

PACKAGES = (
    "bcrypt",
    "cryptography",
    "jsonschema",
    "kubernetes",
    "logstash-pipeline-parser",
    "pathspec",
    "segno",
)
"""Requirements of the roles on the control machine."""

RENAMED = {
    "disk_cleanup_pause_minutes": "disk_cleanup_cooldown_minutes",
    "flask_app_drain_time": "apps_drain_seconds",
    "flask_app_rollout_timeout": "apps_rollout_timeout_seconds",
    "microk8s_certificate_warning": "microk8s_certificate_warning_days",
    "microk8s_image_gc_high": "microk8s_image_gc_high_percent",
    "microk8s_image_gc_low": "microk8s_image_gc_low_percent",
    "microk8s_images_timeout": "microk8s_images_timeout_seconds",
    "microk8s_install_timeout": "microk8s_install_timeout_seconds",
    "microk8s_ready_timeout": "microk8s_ready_timeout_seconds",
    "preflight_clock_skew": "preflight_clock_skew_seconds",
    "traefik_drain_time": "traefik_drain_seconds",
    "traefik_memory_limit": "traefik_memory_limit_mib",
    "traefik_rate_limit": "traefik_rate_limit_per_second",
    "traefik_rollout_timeout": "traefik_rollout_timeout_seconds",
    "traefik_tracing_sample_rate": "traefik_tracing_sample_percent",
    "traefik_upload_timeout": "traefik_upload_timeout_seconds",
}
"""Options by their former names."""

DEPRECATED = {
    "flask_app_apps": "apps",
    "flask_app_confirm_removal": "apps_confirm_removal",
    "flask_app_drain_seconds": "apps_drain_seconds",
    "flask_app_rollout_timeout_seconds": "apps_rollout_timeout_seconds",
    "flask_app_state": "apps_state",
    "tracing_spans_per_second": "tracing_max_spans_per_second",
}
"""Options by their former names, which continue to work for one release, because defaults refer to them."""

GONE = {
    "homeserver_python_image": "set homeserver_version_overrides.images.python instead",
    "traefik_replicas": "remove it: Traefik runs on every node",
}
"""The fixes for options that were removed."""

# ---- the control machine


def missing_on_control_machine() -> Iterator[Problem]:
    """Report missing Python packages and collections that the roles need."""
    for package in PACKAGES:
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            yield Problem(f"the Python package {package} is missing", "pip install -r requirements.txt")
    packages = ("ansible_collections.kubernetes", "ansible_collections.kubernetes.core")
    if any(importlib.util.find_spec(package) is None for package in packages):
        fix = "ansible-galaxy collection install -r requirements.yml"
        yield Problem("the Ansible collection kubernetes.core is missing", fix)


def trusts_facts(injected: bool) -> Iterator[Problem]:
    """Report if a machine could set any variable of a run by returning it as a fact."""
    if injected:
        wrong = "inject_facts_as_vars is true in Ansible's configuration (expected false)"
        fix = "in ansible.cfg, below [defaults]: inject_facts_as_vars = false"
        yield Problem(f"{wrong}: a machine of the home could set any variable of a run", fix)


# ---- variables


def unknown_variables(names: Iterable[str], specs: Specs) -> Iterator[Problem]:
    """Report unknown variables that look like a role's, even with a misspelt prefix."""
    known = [option for options in specs.values() for option in options]
    names = set(names) - DEPRECATED.keys()
    prefixes = tuple("homeserver_" if role == "common" else f"{role}_" for role in specs)
    for name in sorted(names - set(known)):
        # An owner's variable may legitimately be called my_traefik_routes.
        alike = (option for option in known if option[0] == name[0])
        if name.startswith(prefixes) or difflib.get_close_matches(name, alike, n=1, cutoff=0.88):
            yield Problem(f"unknown variable {name}", _right_name(name, known))


def deprecated_variables(names: Iterable[str]) -> Iterator[Problem]:
    """Report variables that have a new name."""
    for name in sorted(DEPRECATED.keys() & set(names)):
        yield Problem(f"{name} is called {DEPRECATED[name]} now", "rename it: a later release refuses it")


def doubled_variables(names: Iterable[str]) -> Iterator[Problem]:
    """Report variables that are set under both names. Only the new name counts."""
    names = set(names)
    for former in sorted(DEPRECATED.keys() & names):
        if DEPRECATED[former] in names:
            wrong = f"{former} and {DEPRECATED[former]} are both set, and the first is the former name"
            yield Problem(wrong, f"move its value to {DEPRECATED[former]}, and remove it")


def _right_name(name: str, known: Iterable[str]) -> str:
    if name in GONE:
        return GONE[name]
    if name in RENAMED:
        return f"it is called {RENAMED[name]} now"
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f"did you mean {close[0]}?" if close else "docs/reference.md lists all variables"


def unknown_overrides(overrides: Mapping[str, Any], pinned: Mapping[str, Any]) -> Iterator[Problem]:
    """Report images and manifests that are overridden but not installed."""
    for section in ("images", "manifests"):
        known = pinned[section]
        for name in sorted((overrides.get(section) or {}).keys() - known):
            wrong = f"unknown name {name} (homeserver_version_overrides.{section})"
            yield Problem(wrong, nearest(name, known))


def repeated_routes(routes: Iterable[tuple[str, str, str]]) -> Iterator[Problem]:
    """Report routes with the same host and path; a route is its host, its path and where it is set."""
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
    """Report errors in a bundle, and its missing images and manifests."""
    again = "make the bundle again, or copy it again"
    yield from (Problem(f"{flaw} (homeserver_bundle)", again) for flaw in flaws)
    for kind, names in needed.items():
        for name in sorted(set(names) - set(held[kind])):
            yield Problem(f"the bundle has no {kind[:-1]} {name} (homeserver_bundle)", again)


# ---- hosts


def unfit_host(host: Mapping[str, Any], limits: Limits) -> Iterator[Problem]:
    """Report unmet requirements of a host, from the result of the module host_probe."""
    yield from _wrong_system(host, limits)
    yield from _wrong_resources(host, limits)
    yield from _wrong_network(host)
    for addon in _REFUSED_ADDONS.keys() & set(host["addons"]):
        wrong = f"MicroK8s' addon {addon} is enabled: {_REFUSED_ADDONS[addon]}"
        yield Problem(wrong, f"on the host: sudo microk8s disable {addon}")


def _wrong_system(host: Mapping[str, Any], limits: Limits) -> Iterator[Problem]:
    name, release = host["os"].get("ID", "unknown"), host["os"].get("VERSION_ID", "")
    oldest = limits.distributions.get(name)
    if oldest is None or numbers(release) < numbers(oldest):
        expected = " or ".join(f"{ID} {version}" for ID, version in limits.distributions.items())
        wrong = f"{name} {release} is not supported (expected {expected} or newer)"
        yield Problem(wrong, "install one of these")
    if host["machine"] not in ARCHITECTURES:
        yield Problem(
            f"MicroK8s does not support {host['machine']}", f"use a 64-bit system: {', '.join(ARCHITECTURES)}"
        )
    missing = [controller for controller in _CONTROLLERS if controller not in host["cgroups"]["controllers"]]
    if missing:
        fix = (
            "add cgroup_enable=memory to the kernel's command line (Raspberry Pi: /boot/firmware/cmdline.txt)"
        )
        yield Problem(f"the kernel's control groups lack {', '.join(missing)}", fix)
    if not host["sudo"]:
        yield Problem(
            "it has no sudo, which MicroK8s' own scripts call even as root", "on the host: apt install sudo"
        )
    if not is_dns_name(host["hostname"]):
        fix = "on the host: hostnamectl set-hostname NAME, in lowercase letters, digits and hyphens"
        yield Problem(f"the host name is not valid for a node (hostname, {host['hostname']!r})", fix)


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
    if abs(host["clock_skew"]) > limits.clock_skew_seconds:
        most = limits.clock_skew_seconds
        wrong = f"its clock is {host['clock_skew']:.0f} s off from here (expected at most {most})"
        yield Problem(wrong, "on the one that is wrong: timedatectl set-ntp true")


def _wrong_network(host: Mapping[str, Any]) -> Iterator[Problem]:
    if not host["interface"]:
        yield Problem("no default route, which MicroK8s needs to find its address", "give the host a gateway")
    for taken in host["taken_ports"]:
        unit = taken["unit"]
        wrong = f"port {taken['port']} is in use by {taken['process']}" + (f" ({unit})" if unit else "")
        yield Problem(wrong, f"on the host: systemctl disable --now {unit}" if unit else "stop that program")


def doubtful_host(host: Mapping[str, Any], address: str) -> Iterator[Problem]:
    """Report problems that may occur later; `address` is the host's address in the inventory."""
    for own, about in host["addresses"].items():
        if about["dynamic"] and about["interface"] == host["interface"]:
            yield Problem(
                f"its address {own} is assigned by DHCP", "reserve it in your router, or set it on the host"
            )
    if _IPV4.fullmatch(address) and address not in host["addresses"]:
        wrong = f"it does not have the address {address} itself, as behind NAT (ansible_host)"
        yield Problem(wrong, "give its own address, unless you forward ports 80, 443 and 16443 to it")
    if host["idle_nftables"]:
        wrong = "nftables.service has no rules, and restarting it cuts the network of all pods for minutes"
        yield Problem(wrong, "on the host: systemctl disable nftables.service, which removes nothing")
    if host["suspends"]:
        wrong = f"{host['suspends']} may suspend it, and the home with it"
        yield Problem(wrong, "on the host: systemctl mask sleep.target suspend.target hibernate.target")


def fails_on_cgroup_v1(host: Mapping[str, Any], kubelet_arguments: Mapping[str, Any]) -> Iterator[Problem]:
    """Report if the kubelet would reject the host's version of control groups."""
    tolerated = str(kubelet_arguments.get("--fail-cgroupv1")).lower() == "false"
    if host["cgroups"]["version"] == 1 and not tolerated:
        fix = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
        yield Problem("it uses control groups of version 1, which Kubernetes refuses since 1.35", fix)


def missing_directories(
    host: Mapping[str, Any], repositories: Iterable[Mapping[str, Any]]
) -> Iterator[Problem]:
    """Report new backup repositories without a directory on a host."""
    for number, location in _missing(host, repositories):
        if location not in host["saves_to"]:
            wrong = f"it has no directory {location} (backup_repositories[{number}].location)"
            yield Problem(wrong, "make it, or mount its disk")


def absent_repositories(
    host: Mapping[str, Any], repositories: Iterable[Mapping[str, Any]]
) -> Iterator[Problem]:
    """Report repositories that are unavailable now, which does not prevent a run."""
    for number, location in _missing(host, repositories):
        if location in host["saves_to"]:
            wrong = (
                f"{location} is missing, so nothing is saved there (backup_repositories[{number}].location)"
            )
            yield Problem(wrong, "mount its disk")


def _missing(host: Mapping[str, Any], repositories: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    for number, repository in enumerate(repositories):
        if repository["location"] in host["missing_directories"]:
            yield number, repository["location"]


def untrusted_bundle(bundle: Bundle, pinned: Mapping[str, str], *, unsigned_snaps: bool) -> Iterator[Problem]:
    """Report files that only the bundle itself vouches for; `pinned` has the SHA-256 of each manifest."""
    for snap in bundle.snaps:
        if not unsigned_snaps and not snap.get("assertion"):
            wrong = (
                f"the bundle's snap {snap['name']} has no assertion: anybody may have built it"
                " (homeserver_bundle)"
            )
            fix = "make the bundle with playbooks/bundle.yml, or set homeserver_bundle_unsigned_snaps: true"
            yield Problem(wrong, f"{fix} if you have built it yourself")
    for name, file in bundle.manifests.items():
        found = sha256(Path(file)) if Path(file).is_file() else ""
        if found and found != pinned.get(name, found):
            wrong = f"the bundle's manifest {name} has SHA-256 {found} (expected {pinned[name]})"
            fix = "make the bundle with this version of the collection"
            yield Problem(
                f"{wrong} (homeserver_bundle)",
                f"{fix}; set your own manifest in homeserver_version_overrides",
            )


def plain_mirrors(mirrors: Mapping[str, str], images: Iterable[str], own: Iterable[str]) -> Iterator[Problem]:
    """Report images that an attacker on the way to a mirror could replace: those without a digest.

    Args:
        mirrors: the URL of the mirror of each registry.
        images: images that the home pulls, with their digests if known.
        own: images that MicroK8s itself pulls, by tag.
    """
    for registry, url in mirrors.items():
        if urlsplit(url).scheme != "http" or urlsplit(url).hostname in _LOOPBACK:
            continue
        unlocked = sorted(image for image in set(images) if _comes_from(registry, image) and "@" not in image)
        wrong = (
            f"microk8s_registry_mirrors.{registry} is {url!r}, where anybody on the network path can replace"
        )
        if unlocked:
            fix = "run playbooks/lock_images.yml once, over a network that you trust, or use https"
            yield Problem(f"{wrong} images that are not locked to a digest: {', '.join(unlocked)}", fix)
        if any(_comes_from(registry, image) for image in own):
            fix = "use https, or install from a bundle"
            yield Problem(f"{wrong} MicroK8s' own images, which it pulls by their tags", fix)


def short_images(mirror: str, apps: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    """Report images of apps without their registry, since a mirror has each under its full name."""
    for app in apps:
        image = app.get("image", "")
        if image and image != (full := parse(image).full):
            name = f"apps.{app['name']}.image"
            wrong = f"{name} is {image!r}, which {mirror} (homeserver_image_mirror) does not know"
            yield Problem(wrong, f"image: {full}")


def _comes_from(registry: str, image: str) -> bool:
    return "/".join(parse(image).place).startswith(f"{registry}/")


def cannot_encrypt(host: Mapping[str, Any], encrypt: str) -> Iterator[Problem]:
    """Report if a host lacks WireGuard although encryption is required."""
    if encrypt == "always" and not host["wireguard"]:
        wrong = "its kernel has no WireGuard (microk8s_encrypt_between_nodes)"
        fix = "install the kernel of your distribution, or set microk8s_encrypt_between_nodes: auto"
        yield Problem(wrong, fix)


def sends_clear_text(host: Mapping[str, Any], encrypt: str) -> Iterator[Problem]:
    """Report if one of several hosts lacks WireGuard, so its traffic is not encrypted."""
    if encrypt == "auto" and not host["wireguard"]:
        wrong = "its kernel has no WireGuard: its pods exchange clear text with those of other machines"
        fix = "install the kernel of your distribution, or set microk8s_encrypt_between_nodes: never"
        yield Problem(wrong, fix)


def wrong_upgrade(installed: str, wanted: str) -> Iterator[Problem]:
    """Report if Kubernetes does not support an upgrade between two MicroK8s versions."""
    hop = minor(wanted) - minor(installed)
    if hop not in (0, 1):
        fix = (
            f"go to 1.{minor(installed) + 1} first" if hop > 1 else f"stay with 1.{minor(installed)} or newer"
        )
        wrong = f"MicroK8s {installed} cannot be changed to {wanted}: only one minor version up at a time"
        yield Problem(f"{wrong} (homeserver_version_overrides.microk8s_channel)", fix)


def missing_channel(channel: str, found: list[str] | str | None) -> Iterator[Problem]:
    """Report if the snap store has no such channel; `found` has its channels, or why they are unknown."""
    where = f"(homeserver_version_overrides.microk8s_channel, {channel!r})"
    if isinstance(found, str):
        fix = "give the host internet access, or set homeserver_bundle"
        yield Problem(f"the snap store does not list its channels: {found} {where}", fix)
    elif found is not None and channel not in found:
        close = difflib.get_close_matches(channel, found, n=1)
        yield Problem(
            f"the snap store has no such channel {where}", f"did you mean {(close or ['1.35/stable'])[0]}?"
        )


def wrong_architecture(host: Mapping[str, Any], platform: str, bundle: str) -> Iterator[Problem]:
    """Report if images or a bundle are for an architecture that differs from the host's.

    Args:
        host: the result of the module host_probe.
        platform: the platform of built images, such as linux/amd64; empty for that of the host.
        bundle: the architecture of the bundle, such as amd64; empty for any.
    """
    own = ARCHITECTURES.get(host["machine"], host["machine"])
    if platform and platform != f"linux/{own}":
        wrong = f"images are built for {platform}, and it runs linux/{own} (homeserver_platform)"
        yield Problem(wrong, "remove homeserver_platform from the inventory")
    if bundle and bundle != own:
        wrong = f"the bundle is for {bundle}, and it runs {own} (homeserver_bundle)"
        yield Problem(wrong, f"use a bundle that is made for {own}")
