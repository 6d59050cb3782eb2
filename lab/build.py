"""Builds the parts of machines and of the bundle: each part once, two at a time of each kind."""

import fcntl
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from lab.cache import Cache, Part
from lab.catalogue import catalogue
from lab.catalogue.programs import SUITE
from lab.host import MACHINE_PACKAGES, LabError, ensure_packages, require_root

Report = Callable[[str], None]

PACKAGES = ("mmdebstrap", "squashfs-tools", "debian-archive-keyring", "maven")
# A compiler uses both cores, but not while it links or waits for a registry. Parts without dependencies are
# only downloaded and unpacked, so they are built in parallel with the compilers, in as many additional
# threads.
AT_ONCE = 2
# How often a process checks whether another one has finished a part.
LOOK_SECONDS = 1


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

    HOMESERVER_LAB_RELEASE chooses the machine's Debian.

    Args:
        report: Receives one line per part: its name, its duration, and whether it came from the cache.

    Raises:
        LabError: There is no such release, a part could not be built, or the host lacks something.
    """
    wanted = catalogue()
    system = _of_release(wanted.rootfs)
    ensure_packages((*MACHINE_PACKAGES, "systemd-container"))
    cache = Cache(cache_root())
    bundle, rootfs = obtain(cache, [wanted.bundle, system], report)
    for entry in cache.prune([wanted.bundle, *wanted.rootfs.values(), wanted.earlier_bundle]):
        report(f"{entry}: removed, not used any more")
    return Built(bundle, rootfs / "rootfs.tar")


def _of_release(systems: Mapping[str, Part]) -> Part:
    release = os.environ.get("HOMESERVER_LAB_RELEASE", SUITE)
    if release not in systems:
        raise LabError(f"the lab builds no HOMESERVER_LAB_RELEASE={release}: use {' or '.join(systems)}")
    return systems[release]


def build_earlier(report: Report) -> Path:
    """Build the missing parts of the bundle with the earlier Kubernetes, and return its directory.

    Raises:
        LabError: A part could not be built, or the host lacks something.
    """
    (bundle,) = obtain(Cache(cache_root()), [catalogue().earlier_bundle], report)
    return bundle


def obtain(cache: Cache, parts: list[Part], report: Report) -> list[Path]:
    """Return the paths of the parts, after building missing ones.

    Those that another process builds meanwhile are used as soon as they are there.

    Raises:
        LabError: A part could not be built, or the host lacks something.
    """
    wanted = parts
    waits = False
    while wanted := [part for part in wanted if not _is_cached(cache, part, report)]:
        with _lock(cache.root) as is_locked:
            if is_locked:
                _build_missing(cache, wanted, report)
                break
        if not waits:
            report("waiting for another build")
            waits = True
        time.sleep(LOOK_SECONDS)
    return [cache.path(part) for part in parts]


def _is_cached(cache: Cache, part: Part, report: Report) -> bool:
    started = time.monotonic()
    if not cache.holds(part):
        return False
    report(_line(part, started, "from the cache"))
    return True


@contextmanager
def _lock(root: Path) -> Iterator[bool]:
    """Prevent other processes from building into the same cache; yields whether none does."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _build_missing(cache: Cache, parts: list[Part], report: Report) -> None:
    cache.clear_interrupted()
    missing = _missing(cache, parts, report)
    if missing:
        require_root()
        _require_space(cache.root, sum(part.gigabytes for part in missing))
        ensure_packages(PACKAGES)
        _build_all(cache, missing, report)
        cache.discard_scratch()


def _missing(cache: Cache, parts: Iterable[Part], report: Report) -> dict[Part, list[Part]]:
    """Return the parts to build, each with its needs that have to be built too."""
    missing: dict[Part, list[Part]] = {}
    seen: set[Part] = set()

    def check(part: Part) -> None:
        if part in seen:
            return
        seen.add(part)
        if _is_cached(cache, part, report):
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
    needed = Counter(need for needs in missing.values() for need in needs)

    def make(part: Part) -> None:
        started, outcome = time.monotonic(), "FAILED"
        try:
            cache.make(part)
            outcome = "built"
        finally:
            report(_line(part, started, outcome))

    makers, downloaders = ThreadPoolExecutor(AT_ONCE), ThreadPoolExecutor(AT_ONCE)
    try:
        while order.is_active():
            # First the parts that most others depend on. Then the largest, so that no single large part
            # remains at the end and uses only one core.
            for part in sorted(order.get_ready(), key=lambda part: (-needed[part], -part.gigabytes)):
                pool = makers if part.needs else downloaders
                running[pool.submit(make, part)] = part
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
                order.done(running.pop(future))
    finally:
        # After a failure, running parts still finish and are cached.
        for pool in (makers, downloaders):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (makers, downloaders):
            pool.shutdown()


def _line(part: Part, started: float, how: str) -> str:
    return f"{part.name:<28}{time.monotonic() - started:7.1f} s  {how}"
