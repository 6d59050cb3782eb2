"""The addons: the available and enabled ones, and how to enable and disable those of the lab."""

import csv
import fcntl
import ipaddress
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import NamedTuple

from . import arguments, console, kubernetes, paths, services

REPOSITORY = "core"
RESOLV_CONFS = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
API_TIMEOUT = 30


class Addon(NamedTuple):
    """An addon, and the file or the part of a `kubectl get` line that shows that it is enabled."""

    name: str
    description: str
    version: str
    check: str


class Request(NamedTuple):
    """A requested addon, with its arguments."""

    repository: str
    name: str
    arguments: list[str]


def available() -> list[Addon]:
    """Return the repository `core` of 1.36.

    Addons that only Canonical's snap can enable are listed too, because roles read this list.
    """
    with (paths.snap() / "addons.csv").open(newline="") as file:
        return [Addon(**row) for row in csv.DictReader(file)]


def enabled(lines: Iterable[str]) -> set[str]:
    """Return the names of the enabled addons, given the lines of `kubectl get`.

    Like MicroK8s, this counts anything that looks like an addon.
    """
    shown = list(lines)
    return {
        addon.name
        for addon in available()
        if any(addon.check in line for line in shown) or Path(os.path.expandvars(addon.check)).is_file()
    }


def named(name: str) -> list[Addon]:
    """Return the addon of a name, with or without its repository, or None."""
    return [addon for addon in available() if name in (addon.name, f"{REPOSITORY}/{addon.name}")]


def requests(words: list[str]) -> list[Request]:
    """Return the requested addons from the words of a command line.

    Either several addons with inline arguments (`dns:1.1.1.1 rbac`), or one with its own arguments
    (`registry --size 9Gi`): one unknown name means the latter, and the names after it are arguments.

    Raises:
        SystemExit: With 1, for a bare name that no repository has, or for both kinds of arguments.
    """
    known = {name for addon in available() for name in (addon.name, f"{REPOSITORY}/{addon.name}")}
    if {word.split(":")[0] for word in words} < known:
        return [_request(word) for word in words]
    first = _request(words[0])
    if first.arguments and words[1:]:
        console.leave("Can't pass string arguments and flag arguments simultaneously!", 1)
    return [Request(first.repository, first.name, first.arguments or words[1:])]


def _request(word: str) -> Request:
    name, *inline = word.split(":")
    repository, slash, addon = name.partition("/")
    if slash:
        return Request(repository, addon, inline)
    if not named(name):
        console.warn(f"Addon {name} was not found in any repository")
        sys.exit(1)
    console.warn(f"Infer repository {REPOSITORY} for addon {name}")
    return Request(REPOSITORY, name, inline)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with paths.lock(".microk8s-addon-lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def change(action: str, words: list[str]) -> None:
    """Enable or disable the requested addons from the words of a command line.

    Raises:
        SystemExit: With MicroK8s' exit code for the error.
    """
    with _one_at_a_time():
        kubernetes.wait_until_ready(API_TIMEOUT, with_node=False)
        _change(action, requests(words), enabled(kubernetes.listing()))


def _change(action: str, wanted: list[Request], running: Collection[str]) -> None:
    if len(wanted) > 1:
        console.say("WARNING: Do not enable or disable multiple addons in one command.")
        console.say("         This form of chained operations on addons will be DEPRECATED in the future.")
        console.say(f"         Please, {action} one addon at a time: 'microk8s {action} <addon>'")
    for repository, name, given in wanted:
        if repository != REPOSITORY or not named(name):
            console.say(f"Addon {repository}/{name} not found")
        elif (name in running) == (action == "enable"):
            console.say(f"Addon {repository}/{name} is already {action}d")
        elif (action, name) in ACTIONS:
            ACTIONS[action, name](given)
            kubernetes.wait_until_ready(API_TIMEOUT, with_node=False)
        else:
            console.leave(f"The lab's MicroK8s cannot {action} {repository}/{name}.", 1)


def _manifest(name: str, **values: str) -> str:
    return Template((paths.snap() / "manifests" / f"{name}.yaml").read_text()).substitute(values)


def _apply(manifest: str) -> None:
    console.say(kubernetes.kubectl("apply", "--filename=-", manifest=manifest).rstrip())


def _delete(manifest: str) -> None:
    deleted = kubernetes.kubectl("delete", "--ignore-not-found", "--filename=-", manifest=manifest)
    console.say(deleted.rstrip())


def upstream_resolv_conf(candidates: Iterable[str] = RESOLV_CONFS) -> str | None:
    """Return the first resolv.conf that pods can use: it has servers, none of them on loopback."""
    for candidate in candidates:
        text = Path(candidate).read_text() if Path(candidate).is_file() else ""
        servers = re.findall(r"^\s*nameserver\s+([^\s%]+)", text, re.MULTILINE)
        if servers and not any(ipaddress.ip_address(server).is_loopback for server in servers):
            return candidate
    return None


def _nameservers(given: str) -> str:
    if given and given != "/etc/resolv.conf":
        servers = given.split(",")
        for server in servers:
            if subprocess.run(["ip", "route", "get", server], check=False, capture_output=True).returncode:
                console.leave(f"Your input value ({server}) is not a valid and reachable IP address", 1)
        return " ".join(servers)
    if arguments.get("kubelet", "--resolv-conf") or upstream_resolv_conf():
        return "/etc/resolv.conf"
    return "8.8.8.8 8.8.4.4"


def _enable_dns(given: list[str]) -> None:
    servers, address, domain = [*given, "", "", ""][:3]
    console.say("Enabling DNS")
    address, domain = address or "10.152.183.10", domain or "cluster.local"
    _apply(_manifest("coredns", nameservers=_nameservers(servers), address=address, domain=domain))
    if arguments.change("kubelet", {"--cluster-domain": domain, "--cluster-dns": address}):
        console.say("Restarting kubelet")
        services.restart("kubelite")
    console.say("DNS is enabled")


def _disable_dns(_given: list[str]) -> None:
    console.say("Disabling DNS")
    _delete(_manifest("coredns", nameservers="", address="10.152.183.10", domain="cluster.local"))
    if arguments.change("kubelet", {"--cluster-domain": None, "--cluster-dns": None}):
        services.restart("kubelite")
    console.say("DNS is disabled")


def _volumes() -> Path:
    return paths.common() / "default-storage"


def _enable_storage(_given: list[str]) -> None:
    console.say("Enabling default storage class.")
    console.say("WARNING: Hostpath storage is not suitable for production environments.")
    _volumes().mkdir(exist_ok=True)
    _apply(_manifest("hostpath-storage", volumes=str(_volumes())))
    console.say("Storage will be available soon.")


def _disable_storage(given: list[str]) -> None:
    console.say("Disabling hostpath storage.")
    _delete(_manifest("hostpath-storage", volumes=str(_volumes())))
    console.say("Storage removed.")
    if given != ["destroy-storage"]:
        console.say(f"Remove PVC storage at {_volumes()} ? (Y/N): ")
        # Without an answer the data is kept, and MicroK8s reports a failure.
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            sys.exit(1)
    shutil.rmtree(_volumes(), ignore_errors=True)
    console.say("Storage space reclaimed.")


def _enable_metrics(_given: list[str]) -> None:
    console.say("Enabling Metrics-Server")
    _apply(_manifest("metrics-server"))
    console.say("Metrics-Server is enabled")


def _disable_metrics(_given: list[str]) -> None:
    console.say("Disabling Metrics-Server")
    _delete(_manifest("metrics-server"))
    console.say("Metrics-Server is disabled")


def _authorize(mode: str) -> None:
    console.say("Reconfiguring apiserver")
    if arguments.change("kube-apiserver", {"--authorization-mode": mode}):
        console.say("Restarting apiserver")
        services.restart("kubelite")


def _enable_rbac(_given: list[str]) -> None:
    console.say("Enabling RBAC")
    _authorize("RBAC,Node")
    console.say("RBAC is enabled")


def _disable_rbac(_given: list[str]) -> None:
    console.say("Disabling RBAC")
    _authorize("AlwaysAllow")
    kubernetes.wait_until_ready(API_TIMEOUT, with_node=False)
    console.say("Removing default RBAC resources")
    selector = "--selector=kubernetes.io/bootstrapping=rbac-defaults"
    for kind in ("rolebindings", "roles", "clusterrolebindings", "clusterroles"):
        # Only namespaced kinds support --all-namespaces.
        scope = [] if kind.startswith("cluster") else ["--all-namespaces"]
        kubernetes.kubectl("delete", kind, selector, *scope)
    console.say("RBAC is disabled")


ACTIONS: dict[tuple[str, str], Callable[[list[str]], None]] = {
    ("enable", "dns"): _enable_dns,
    ("disable", "dns"): _disable_dns,
    ("enable", "hostpath-storage"): _enable_storage,
    ("disable", "hostpath-storage"): _disable_storage,
    ("enable", "storage"): _enable_storage,
    ("disable", "storage"): _disable_storage,
    ("enable", "metrics-server"): _enable_metrics,
    ("disable", "metrics-server"): _disable_metrics,
    ("enable", "rbac"): _enable_rbac,
    ("disable", "rbac"): _disable_rbac,
}
