"""Builds the parts of machines and of the bundle: each part once, two at a time."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from lab.cache import Cache, Part
from lab.catalogue import catalogue
from lab.host import MACHINE_PACKAGES, LabError, ensure_packages, require_root

Report = Callable[[str], None]

PACKAGES = ("mmdebstrap", "squashfs-tools", "debian-archive-keyring", "maven")
# A compiler uses both cores, but not while it links or waits for a registry.
AT_ONCE = 2


@dataclass(frozen=True)
class Built:
    """The results of a build.

    Attributes:
        bundle: The directory that the roles install from.
        rootfs: The tar file of a machine's root file system.
    """

    bundle: Path
    rootfs: Path


def cache_root() -> Path:
    """Return the directory of the build cache."""
    return Path(os.environ.get("HOMESERVER_LAB_CACHE", Path.home() / ".cache/homeserver-lab"))


def build(report: Report) -> Built:
    """Build the missing parts of the bundle and the machine's file system, and install host packages.

    Args:
        report: Receives one line per part: its name, its duration, and whether it came from the cache.

    Raises:
        LabError: A part could not be built, or the host lacks something.
    """
    ensure_packages((*MACHINE_PACKAGES, "systemd-container"))
    wanted = catalogue()
    cache = Cache(cache_root())
    bundle, rootfs = obtain(cache, [wanted.bundle, wanted.rootfs], report)
    for entry in cache.prune([wanted.bundle, wanted.rootfs]):
        report(f"{entry}: removed, not used any more")
    return Built(bundle, rootfs / "rootfs.tar")


def obtain(cache: Cache, parts: list[Part], report: Report) -> list[Path]:
    """Return the paths of the parts, after building missing ones.

    Raises:
        LabError: A part could not be built, or the host lacks something.
    """
    with exclusive_lock(cache.root, report):
        cache.clear_interrupted()
        missing = _missing(cache, parts, report)
        if missing:
            require_root()
            _require_space(cache.root, sum(part.gigabytes for part in missing))
            ensure_packages(PACKAGES)
            _build_all(cache, missing, report)
            shutil.rmtree(cache.scratch, ignore_errors=True)
    return [cache.path(part) for part in parts]


@contextmanager
def exclusive_lock(root: Path, report: Report) -> Iterator[None]:
    """Prevent other processes from building into the same cache."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _missing(cache: Cache, parts: Iterable[Part], report: Report) -> dict[Part, list[Part]]:
    """Return the parts to build, each with its needs that have to be built too."""
    missing: dict[Part, list[Part]] = {}
    seen: set[Part] = set()

    def check(part: Part) -> None:
        if part in seen:
            return
        seen.add(part)
        started = time.monotonic()
        if cache.holds(part):
            report(_line(part, started, "from the cache"))
            return
        for need in part.needs:
            check(need)
        missing[part] = [need for need in part.needs if need in missing]

    for part in parts:
        check(part)
    return missing


def _require_space(root: Path, gigabytes: float) -> None:
    free = shutil.disk_usage(root).free / 1e9
    if free < gigabytes:
        raise LabError(
            f"building takes up to {gigabytes:.0f} GB and {root} has {free:.0f} GB free: "
            "free some, or point HOMESERVER_LAB_CACHE to a larger disk"
        )


def _build_all(cache: Cache, missing: dict[Part, list[Part]], report: Report) -> None:
    order = TopologicalSorter(missing)
    order.prepare()
    running: dict[Future[None], Part] = {}

    def make(part: Part) -> None:
        started, outcome = time.monotonic(), "FAILED"
        try:
            cache.make(part)
            outcome = "built"
        finally:
            report(_line(part, started, outcome))

    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        while order.is_active():
            # Largest first, so that no single large part remains at the end and uses only one core.
            for part in sorted(order.get_ready(), key=lambda part: -part.gigabytes):
                running[pool.submit(make, part)] = part
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                order.done(running.pop(future))
    finally:
        pool.shutdown(cancel_futures=True)  # after a failure, running parts still finish and are cached


def _line(part: Part, started: float, how: str) -> str:
    return f"{part.name:<28}{time.monotonic() - started:7.1f} s  {how}"
