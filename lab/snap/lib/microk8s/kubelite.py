"""daemon-kubelite: Kubernetes' five programs, or two on a worker, which start and stop together.

In Canonical's snap they are one process. Here they are child processes, and when any of them exits, for
example because of a bad flag, all are stopped.
"""

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from . import addons, arguments, console, network, paths, programs

ON_EVERY_NODE = ("kube-proxy", "kubelet")
NEED_THE_API = ("kube-controller-manager", "kube-scheduler", *ON_EVERY_NODE)
# Canonical's process reads the others' flags when the API server has been answering for some seconds already.
LINGERING = 3
CONTAINERD_TIMEOUT = 20
# Canonical's process does not wait for the API server's clients to disconnect either.
STOP_TIMEOUT = 2
POD_RULE = ("-m", "comment", "--comment", "generated for MicroK8s pods", "-j", "ACCEPT")

Children = dict[str, subprocess.Popen[bytes]]


def main() -> None:
    """Prepare the host, run the programs, and exit when one of them exits or on SIGTERM."""
    _end_at_once_when_told()
    paths.lock("stopped.lock").unlink(missing_ok=True)
    prepare_host()
    children: Children = {}
    try:
        if paths.lock("clustered.lock").exists():
            _start_each(ON_EVERY_NODE, children)
        else:
            _start_each(("kube-apiserver",), children)
            _wait_for_api(children)
            _end_at_once_when_told()
            _start_each(NEED_THE_API, children)
        ended = _first_to_end(children)
        time.sleep(LINGERING)
        console.say(f"{ended} has ended, and so do all others")
    finally:
        _stop(children)
    sys.exit(1)


def _end_at_once_when_told() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def _hang_when_told() -> None:
    """Do as Canonical's does while its API server starts: systemd kills it half a minute later."""

    def hang(*_: object) -> NoReturn:
        while True:
            signal.pause()

    signal.signal(signal.SIGTERM, hang)


def _start_each(names: Iterable[str], children: Children) -> None:
    # The kernel kills the programs if this process is killed.
    dying_with_us = ["setpriv", "--pdeathsig", "KILL"]
    for name in names:
        command = [*dying_with_us, programs.path(name), *arguments.load(name)]
        children[name] = subprocess.Popen(command, env=programs.bundled_environment())


def _first_to_end(children: Children) -> str:
    pid, _ = os.wait()
    ended = next(name for name, child in children.items() if child.pid == pid)
    children.pop(ended)
    return ended


def _stop(children: Children) -> None:
    for child in children.values():
        child.terminate()
    deadline = time.monotonic() + STOP_TIMEOUT
    for child in children.values():
        try:
            child.wait(max(deadline - time.monotonic(), 0))
        except subprocess.TimeoutExpired:
            child.kill()


def _wait_for_api(children: Children) -> None:
    """Wait until the API server is ready or has exited: without a datastore it exits by itself."""
    port = arguments.get("kube-apiserver", "--secure-port")
    context = ssl.create_default_context(cafile=str(paths.certificate("ca.crt")))
    while children["kube-apiserver"].poll() is None:
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{port}/readyz", timeout=5, context=context):
                return
        except (urllib.error.URLError, OSError) as error:
            if isinstance(error, urllib.error.HTTPError):
                _hang_when_told()
            time.sleep(0.2)
    console.leave("kube-apiserver has ended", 1)


def prepare_host() -> None:
    """Prepare the host for Kubernetes: a route, forwarding, kernel modules, containerd."""
    if not arguments.has_fixed_address() and not network.wait_for_default_route():
        console.say("WARNING: No default route exists. MicroK8s might not work properly.")
    _load_module("nf_conntrack", Path("/proc/sys/net/netfilter/nf_conntrack_max"))
    _load_module("br_netfilter", Path("/proc/sys/net/bridge/bridge-nf-call-iptables"))
    _switch_on(Path("/proc/sys/net/ipv4/conf/all/forwarding"))
    _switch_on(Path("/proc/sys/net/bridge/bridge-nf-call-iptables"))
    _forward_pods(arguments.get("kube-proxy", "--cluster-cidr"))
    if not arguments.get("kubelet", "--resolv-conf"):
        arguments.change("kubelet", {"--resolv-conf": addons.upstream_resolv_conf()})
    deadline = time.monotonic() + CONTAINERD_TIMEOUT
    while not paths.containerd_socket().exists() and time.monotonic() < deadline:
        time.sleep(0.1)


def _load_module(name: str, sign: Path) -> None:
    if not sign.exists() and subprocess.run(["modprobe", name], check=False).returncode:
        console.say(f"Failed to load {name}")


def _switch_on(setting: Path) -> None:
    if setting.exists() and setting.read_text().strip() == "0":
        setting.write_text("1")


def _forward_pods(network_of_pods: str | None) -> None:
    for direction in ("-s", "-d") if network_of_pods else ():
        rule = [direction, str(network_of_pods), *POD_RULE]
        if _iptables("-C", rule):
            _iptables("-A", rule)


def _iptables(action: str, rule: list[str]) -> int:
    command = ["iptables", "--wait", action, "FORWARD", *rule]
    environment = programs.bundled_environment()
    return subprocess.run(command, check=False, capture_output=True, env=environment).returncode


def stop_forwarding_pods() -> None:
    """Remove the rules that forward pods' traffic."""
    for direction in ("-s", "-d"):
        _iptables("-D", [direction, str(arguments.get("kube-proxy", "--cluster-cidr")), *POD_RULE])
