"""The systemd units of the snap's daemons."""

import subprocess

from . import paths

ALL = (
    "kubelite",
    "containerd",
    "k8s-dqlite",
    "cluster-agent",
    "apiserver-kicker",
    "apiserver-proxy",
    "etcd",
    "flanneld",
)


def expected() -> tuple[str, ...]:
    """Return the services that run on a node of this kind; the others exit 0."""
    if paths.lock("clustered.lock").exists():
        return ("kubelite", "containerd", "cluster-agent", "apiserver-proxy")
    return ALL[:5]


def unit(service: str) -> str:
    """Return the systemd unit of a service."""
    return f"snap.microk8s.daemon-{service}.service"


def _systemctl(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    # Not snapctl: it fails during a change of snapd, such as the installation.
    return subprocess.run(["systemctl", *arguments], check=check)


def restart(*services: str) -> None:
    """Restart services."""
    _systemctl("restart", *map(unit, services))


def start(*services: str) -> None:
    """Start services, now and at every boot."""
    _systemctl("enable", "--quiet", "--now", *map(unit, services))


def stop(*services: str) -> None:
    """Stop services, and disable them for the next boot."""
    _systemctl("disable", "--quiet", "--now", *map(unit, services))


def pause(*services: str) -> None:
    """Stop services until they are started again or the machine boots."""
    _systemctl("stop", *map(unit, services))


def resume(*services: str) -> None:
    """Start services that were paused."""
    _systemctl("start", *map(unit, services))


def is_active(service: str) -> bool:
    """Return whether a service runs."""
    return _systemctl("is-active", "--quiet", unit(service), check=False).returncode == 0
