"""The directories of the snap, which snapd passes in the environment."""

import os
from pathlib import Path


def snap() -> Path:
    """Return the snap's own, read-only files."""
    return Path(os.environ.get("SNAP", "/snap/microk8s/current"))


def data() -> Path:
    """Return the files of this revision: arguments, certificates, datastore."""
    return Path(os.environ.get("SNAP_DATA", "/var/snap/microk8s/current"))


def current() -> Path:
    """Return `data()` under the name that does not change in a refresh."""
    return data().parent / "current"


def common() -> Path:
    """Return the files that all revisions share: images, volumes, launch configurations."""
    return Path(os.environ.get("SNAP_COMMON", "/var/snap/microk8s/common"))


def lock(name: str) -> Path:
    """Return a file whose existence is a flag of this node."""
    return data() / "var/lock" / name


def certificate(name: str) -> Path:
    """Return a file of the certificate directory."""
    return data() / "certs" / name


def credential(name: str) -> Path:
    """Return a kubeconfig or token file."""
    return data() / "credentials" / name


def containerd_socket() -> Path:
    """Return the socket of containerd."""
    return common() / "run/containerd.sock"
