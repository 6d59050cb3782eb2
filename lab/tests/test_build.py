import shutil
import threading
import time
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from harness.home import eventually
from lab import build
from lab.build import obtain
from lab.cache import Cache, Job, Part
from lab.host import LabError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setattr(build, "require_root", lambda: None)
    monkeypatch.setattr(build, "ensure_packages", lambda _names: None)
    return Cache(tmp_path / "cache")


def make(job: Job) -> None:
    (job.out / "file").write_text(job.out.parent.name)


def fail(job: Job) -> None:
    raise LabError(f"{job.log.stem} cannot be made")


def outcomes(lines: list[str]) -> dict[str, str]:
    """Return the last status of each part."""
    return {line.split()[0]: " ".join(line.split()[3:]) for line in lines}


def test_missing_parts_are_built_and_then_cached(cache: Cache) -> None:
    need = Part("need", make)
    part = Part("part", make, needs=(need,))
    lines: list[str] = []
    assert obtain(cache, [part], lines.append) == [cache.path(part)]
    assert outcomes(lines) == {"need": "built", "part": "built"}
    lines.clear()
    obtain(cache, [part], lines.append)
    assert outcomes(lines) == {"part": "from the cache"}


def test_only_the_damaged_part_is_built_again(cache: Cache) -> None:
    need, other = Part("need", make), Part("other", make)
    part = Part("part", make, needs=(need, other))
    obtain(cache, [part], print)
    (cache.path(part) / "file").write_text("damaged")
    (cache.path(need) / "file").write_text("damaged")
    lines: list[str] = []
    obtain(cache, [part], lines.append)
    assert outcomes(lines) == {"other": "from the cache", "need": "built", "part": "built"}


def test_two_parts_are_built_at_once(cache: Cache) -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(_job: Job) -> None:
        both.wait()

    obtain(cache, [Part("one", meet), Part("two", meet)], print)


def test_what_is_only_downloaded_is_made_beside_two_others(cache: Cache) -> None:
    together = threading.Barrier(4, timeout=10)

    def meet(_job: Job) -> None:
        together.wait()

    need = Part("need", make)
    obtain(
        cache, [Part(name, meet, needs=(need,)) for name in "ab"] + [Part(name, meet) for name in "cd"], print
    )


def test_what_most_others_need_is_made_first(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "AT_ONCE", 1)
    lines: list[str] = []
    compiler = Part("compiler", make)
    programs = [Part(name, make, needs=(compiler,)) for name in ("one", "two")]
    obtain(cache, [Part("large", make, gigabytes=2), *programs], lines.append)
    assert next(iter(outcomes(lines))) == "compiler"


def test_a_part_waits_for_its_needs(cache: Cache) -> None:
    def check_needs(job: Job) -> None:
        assert (job.needs["need"] / "file").is_file()

    need = Part("need", make)
    obtain(cache, [Part("part", check_needs, needs=(need,)), need], print)


def test_the_largest_part_is_started_first(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "AT_ONCE", 1)
    lines: list[str] = []
    obtain(cache, [Part("small", make, gigabytes=0.5), Part("large", make, gigabytes=1)], lines.append)
    assert list(outcomes(lines)) == ["large", "small"]


def test_a_failure_is_reported_and_other_parts_are_kept(cache: Cache) -> None:
    good, bad = Part("good", make), Part("bad", fail)
    lines: list[str] = []
    with pytest.raises(LabError, match="bad cannot be made"):
        obtain(cache, [Part("whole", make, needs=(good, bad))], lines.append)
    assert outcomes(lines) == {"good": "built", "bad": "FAILED"}
    assert cache.holds(good)
    assert cache.scratch.exists(), "the next try starts from what was downloaded and compiled"


def test_after_a_failure_no_new_part_is_started(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "AT_ONCE", 1)

    def linger(_job: Job) -> None:
        time.sleep(0.5)

    lines: list[str] = []
    with pytest.raises(LabError):
        obtain(cache, [Part("bad", fail), Part("next", linger), Part("later", make)], lines.append)
    assert "later" not in outcomes(lines)


def test_compiler_caches_are_removed_when_all_parts_are_built(cache: Cache) -> None:
    def compile_something(job: Job) -> None:
        (job.scratch / "object").write_text("large")

    part = Part("part", compile_something)
    obtain(cache, [part], print)
    assert not cache.scratch.exists()
    assert eventually(
        lambda: {path.name for path in cache.root.iterdir()} == {".lock", "logs", part.entry}, 10
    )


def test_insufficient_disk_space_is_reported_before_the_build(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage(NamedTuple):
        free: float

    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(3e9))
    with pytest.raises(LabError, match=r"16 GB and .* has 3 GB free.*HOMESERVER_LAB_CACHE"):
        obtain(cache, [Part("large", make, gigabytes=12), Part("part", make, gigabytes=4)], print)
    assert not cache.holds(Part("part", make))
    obtain(cache, [Part("small", make, gigabytes=2)], print)


class Other:
    """A build by another process, which makes one part, and another one once it is told to."""

    def __init__(self, cache: Cache) -> None:
        self.may_end = threading.Event()
        self.lingers = threading.Event()
        self.early = Part("early", make)
        self.late = Part("late", self._linger, needs=(self.early,))
        self._thread = threading.Thread(target=obtain, args=(cache, [self.late], lambda _line: None))

    def _linger(self, _job: Job) -> None:
        self.lingers.set()
        assert self.may_end.wait(10)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.lingers.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.may_end.set()
        self._thread.join()


def test_a_second_build_waits_for_the_first(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "LOOK_SECONDS", 0.01)
    lines: list[str] = []
    with Other(cache) as other:

        def report(line: str) -> None:
            lines.append(line)
            other.may_end.set()

        own = Part("own", make)
        obtain(cache, [other.late, own], report)
    assert lines[0] == "waiting for another build"
    assert outcomes(lines[1:]) == {"late": "from the cache", "own": "built"}


def test_what_another_build_has_made_already_is_used_before_that_ends(cache: Cache) -> None:
    lines: list[str] = []
    with Other(cache) as other:
        assert obtain(cache, [other.early], lines.append) == [cache.path(other.early)]
        assert not other.may_end.is_set()
    assert outcomes(lines) == {"early": "from the cache"}


class Catalogue(NamedTuple):
    """One bundle, and machines of two releases."""

    bundle: Part
    rootfs: dict[str, Part]
    earlier_bundle: Part


@pytest.fixture
def wanted(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    wanted = Catalogue(
        Part("bundle", make),
        {suite: Part(f"rootfs-{suite}", make) for suite in ("bookworm", "trixie")},
        Part("earlier-bundle", make),
    )
    monkeypatch.setattr(build, "catalogue", lambda: wanted)
    monkeypatch.setenv("HOMESERVER_LAB_CACHE", str(cache.root))
    monkeypatch.delenv("HOMESERVER_LAB_RELEASE", raising=False)
    return wanted


def test_build_returns_the_bundle_and_the_root_and_keeps_what_an_upgrade_begins_with(
    cache: Cache, wanted: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[list[Part]] = []

    def prune(_cache: Cache, parts: list[Part]) -> list[str]:
        kept.append(parts)
        return ["old-1"]

    monkeypatch.setattr(Cache, "prune", prune)
    lines: list[str] = []
    built = build.build(lines.append)
    assert built.bundle == cache.path(wanted.bundle)
    assert built.rootfs == cache.path(wanted.rootfs["bookworm"]) / "rootfs.tar"
    assert kept == [[wanted.bundle, *wanted.rootfs.values(), wanted.earlier_bundle]]
    assert lines[-1] == "old-1: removed, not used any more"


def test_another_release_adds_a_root_and_builds_nothing_twice(
    cache: Cache, wanted: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(print)
    monkeypatch.setenv("HOMESERVER_LAB_RELEASE", "trixie")
    lines: list[str] = []
    built = build.build(lines.append)
    assert built.rootfs == cache.path(wanted.rootfs["trixie"]) / "rootfs.tar"
    assert outcomes(lines) == {"bundle": "from the cache", "rootfs-trixie": "built"}


@pytest.mark.usefixtures("wanted")
def test_an_unknown_release_is_refused_before_anything_is_built(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_RELEASE", "debian13")
    with pytest.raises(LabError, match="HOMESERVER_LAB_RELEASE=debian13: use bookworm or trixie"):
        build.build(print)
    assert not cache.root.exists()
