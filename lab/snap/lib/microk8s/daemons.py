"""The entry point of the snap's services: `bin/daemon NAME`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import NoReturn

from . import agent, arguments, console, images, kicker, kubelite, paths, programs

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
    # Part of this service, as in Canonical's snap: it ends with the process that becomes containerd.
    subprocess.Popen(["setpriv", "--pdeathsig", "TERM", programs.path("daemon"), SIDELOAD])
    os.environ.update(arguments.environment("containerd-env"))
    _become("containerd", arguments.load("containerd"))


def etcd_flags(dqlite: list[str]) -> list[str]:
    """Return etcd's flags for those of k8s-dqlite.

    etcd takes dqlite's place at its socket, under its name and its lock `ha-cluster`: so what a role can see
    (units, files, status) is a default node's, and not that of MicroK8s' rarer etcd mode. The port on which
    members would talk is dqlite's too.
    """
    parser = argparse.ArgumentParser("k8s-dqlite")
    parser.add_argument("--storage-dir", type=Path, required=True)
    parser.add_argument("--listen", required=True)
    options = parser.parse_args(dqlite)
    peer = "http://127.0.0.1:19001"
    return [
        "--name=default",
        f"--data-dir={options.storage_dir / 'etcd'}",
        f"--listen-client-urls={options.listen}",
        # Told to clients that ask for the members, which the API server does not; it may not be a socket.
        "--advertise-client-urls=http://127.0.0.1:12379",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--log-level=warn",
    ]


def _k8s_dqlite() -> NoReturn:
    _become("etcd", etcd_flags(arguments.load("k8s-dqlite")))


def _only_elsewhere(service: str) -> NoReturn:
    if paths.lock(f"no-{service}").exists():
        console.leave(f"{service} will not run on this node", 0)
    console.leave(f"{service} is not part of the lab's MicroK8s", 1)


DAEMONS: dict[str, Callable[[], None]] = {
    "containerd": _containerd,
    SIDELOAD: images.watch_sideloaded,
    "k8s-dqlite": _k8s_dqlite,
    "kubelite": kubelite.main,
    "cluster-agent": agent.main,
    "apiserver-kicker": kicker.main,
    "apiserver-proxy": lambda: _only_elsewhere("apiserver-proxy"),
    "etcd": lambda: _only_elsewhere("etcd"),
    "flanneld": lambda: _only_elsewhere("flanneld"),
}
