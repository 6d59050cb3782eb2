"""The entry point of the snap's services: `bin/daemon NAME`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import NoReturn

from . import agent, arguments, console, datastore, host, images, kicker, kubelite, paths, programs, proxy

SIDELOAD = "containerd-sideload"


def main() -> None:
    """Run one service until it is stopped."""
    DAEMONS[sys.argv[1]]()


def _become(name: str, flags: list[str]) -> NoReturn:
    programs.become([programs.path(name), *flags], programs.bundled_environment())


def _containerd() -> NoReturn:
    template = Template((paths.data() / "args/containerd-template.toml").read_text())
    (paths.data() / "args/containerd.toml").write_text(template.safe_substitute(os.environ))
    paths.containerd_socket().parent.mkdir(parents=True, exist_ok=True)
    # A stale socket would look like a containerd that is ready.
    paths.containerd_socket().unlink(missing_ok=True)
    # A child of this service, as in Canonical's snap: it ends together with containerd.
    subprocess.Popen(["setpriv", "--pdeathsig", "TERM", programs.path("daemon"), SIDELOAD])
    os.environ.update(arguments.environment("containerd-env"))
    _become("containerd", arguments.load("containerd"))


def etcd_flags(dqlite: list[str]) -> list[str]:
    """Return etcd's flags for those of k8s-dqlite.

    etcd replaces dqlite at its socket, under its name and its lock `ha-cluster`: everything that a role sees
    (units, files, status) is that of a default node, and not of MicroK8s' rarer etcd mode. The port for other
    members is dqlite's too.
    """
    parser = argparse.ArgumentParser("k8s-dqlite")
    parser.add_argument("--storage-dir", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    options = parser.parse_args(dqlite)
    peer = f"http://{datastore.address()}:{datastore.PORT}"
    return [
        "--name=default",
        f"--data-dir={options.storage_dir / 'etcd'}",
        f"--listen-client-urls={options.listen}",
        # Returned to clients that query the members, which the API server does not; it may not be a socket.
        "--advertise-client-urls=http://127.0.0.1:12379",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
    ]


def _k8s_dqlite() -> NoReturn:
    _exit_if_not_expected("k8s-dqlite")
    host.raise_kernel_settings()
    datastore.take_update()
    _become("etcd", etcd_flags(arguments.load("k8s-dqlite")))


def _exit_if_not_expected(service: str) -> None:
    if paths.lock(f"no-{service}").exists():
        console.leave(f"{service} will not run on this node", 0)


def _only_elsewhere(service: str) -> NoReturn:
    _exit_if_not_expected(service)
    console.leave(f"{service} is not part of the lab's MicroK8s", 1)


DAEMONS: dict[str, Callable[[], None]] = {
    "containerd": _containerd,
    SIDELOAD: images.watch_sideloaded,
    "k8s-dqlite": _k8s_dqlite,
    "kubelite": kubelite.main,
    "cluster-agent": agent.main,
    "apiserver-kicker": kicker.main,
    "apiserver-proxy": proxy.main,
    "etcd": lambda: _only_elsewhere("etcd"),
    "flanneld": lambda: _only_elsewhere("flanneld"),
}
