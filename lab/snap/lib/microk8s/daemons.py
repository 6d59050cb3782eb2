"""The entry point of the snap's services: `bin/daemon NAME`."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from string import Template
from typing import NoReturn

from . import arguments, console, paths, programs

SIDELOAD = "containerd-sideload"


def main() -> None:
    """Run one service until it is stopped."""
    DAEMONS[sys.argv[1]]()


def _late(module: str, function: str = "main") -> Callable[[], None]:
    """Return a function that imports its module when it is called: a service keeps what it imports."""

    def call() -> None:
        getattr(import_module(f".{module}", __package__), function)()

    return call


def _containerd() -> NoReturn:
    template = Template((paths.data() / "args/containerd-template.toml").read_text())
    (paths.data() / "args/containerd.toml").write_text(template.safe_substitute(os.environ))
    paths.containerd_socket().parent.mkdir(parents=True, exist_ok=True)
    # A stale socket would look like a containerd that is ready.
    paths.containerd_socket().unlink(missing_ok=True)
    # A child of this service, as in Canonical's snap: it ends together with containerd.
    subprocess.Popen(["setpriv", "--pdeathsig", "TERM", programs.path("daemon"), SIDELOAD])
    os.environ.update(arguments.environment("containerd-env"))
    programs.become_bundled("containerd", arguments.load("containerd"))


def _k8s_dqlite() -> None:
    _exit_if_not_expected("k8s-dqlite")
    _late("etcd")()


def _exit_if_not_expected(service: str) -> None:
    if paths.lock(f"no-{service}").exists():
        console.leave(f"{service} will not run on this node", 0)


def _only_elsewhere(service: str) -> NoReturn:
    _exit_if_not_expected(service)
    console.leave(f"{service} is not part of the lab's MicroK8s", 1)


DAEMONS: dict[str, Callable[[], None]] = {
    "containerd": _containerd,
    SIDELOAD: _late("images", "watch_sideloaded"),
    "k8s-dqlite": _k8s_dqlite,
    "kubelite": _late("kubelite"),
    "cluster-agent": _late("agent"),
    "apiserver-kicker": _late("kicker"),
    "apiserver-proxy": _late("proxy"),
    "etcd": lambda: _only_elsewhere("etcd"),
    "flanneld": lambda: _only_elsewhere("flanneld"),
}
