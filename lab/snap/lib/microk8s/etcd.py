"""The service k8s-dqlite: etcd, with the flags of dqlite."""

import argparse
from pathlib import Path

from . import arguments, datastore, host, programs


def main() -> None:
    """Become etcd."""
    host.raise_kernel_settings()
    datastore.take_update()
    programs.become_bundled("etcd", flags(arguments.load("k8s-dqlite")))


def flags(dqlite: list[str]) -> list[str]:
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
