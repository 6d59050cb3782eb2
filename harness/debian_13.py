"""A control machine with Debian 13: its packages and its Python around this checkout."""

import os
import subprocess
import sys
from pathlib import Path

from harness import programs

ROOT = Path(__file__).parents[1]
# What it has from this machine: the caches of the lab and of pip, the network, and the authorities to trust.
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SHARED = ("/dev", "/proc", "/sys", str(Path.home()), "/etc/resolv.conf", "/etc/hosts", CERTIFICATES)


def run(scratch: Path, *command: str) -> None:
    """Run a command in the checkout, as root.

    Args:
        scratch: An empty directory, which gets the environment of Python and temporary files.
        command: The command and its arguments.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    inside = [sys.executable, "-m", "harness.debian_13", str(programs.debian_13()), str(scratch), *command]
    subprocess.run(["unshare", "--mount", "--propagation=private", *inside], cwd=ROOT, check=True)


def _enter(system: Path, scratch: Path) -> None:
    """Make the root of this process from the packages; only this process and its children see its mounts."""
    layers, root = scratch / "layers", scratch / "root"
    for directory in (layers, root):
        directory.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "tmpfs", layers)
    for layer in ("upper", "work"):
        (layers / layer).mkdir()
    parts = f"lowerdir={system},upperdir={layers}/upper,workdir={layers}/work"
    _mount("-t", "overlay", "-o", parts, "overlay", root)
    (root / "usr/share/man/man1").mkdir(parents=True, exist_ok=True)  # packages of Java link into it
    for source in SHARED:
        _bind(Path(source), root, source)
    _bind(ROOT, root, str(ROOT))
    for name, place in (("venv", f"{ROOT}/.venv"), ("tmp", "/tmp")):
        (scratch / name).mkdir(exist_ok=True)
        (scratch / name).chmod(0o1777)  # apt reads with a user of its own
        _bind(scratch / name, root, place)
    # In a root by chroot, nobody may make namespaces.
    before = root / "mnt"
    subprocess.run(["pivot_root", root, before], check=True)
    _mount("--make-rprivate", "/mnt")
    subprocess.run(["umount", "--lazy", "/mnt"], check=True)
    os.chdir(ROOT)


def _bind(source: Path, root: Path, place: str) -> None:
    target = root / place.lstrip("/")
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.unlink(missing_ok=True)  # a link that leads nowhere in here
        target.touch()
    _mount("--rbind", source, target)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    _enter(Path(sys.argv[1]), Path(sys.argv[2]))
    path = f"{ROOT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.execvpe(sys.argv[3], sys.argv[3:], os.environ | {"PATH": path, "TMPDIR": "/tmp"})  # noqa: S606 (no shell is meant)
