import json
import os
import sys
from pathlib import Path

import pytest

from lab.cache import DAY, MANIFEST, Cache, Job, Part, hash_tree, with_needs
from lab.host import LabError


def write(job: Job, text: str = "made") -> None:
    (job.out / "file").write_text(text)
    (job.out / "link").symlink_to("file")


def join(job: Job, of: list[str]) -> None:
    (job.out / "joined").write_text("+".join(job.find(source).read_text() for source in of))


def fail_halfway(job: Job) -> None:
    (job.out / "file").write_text("half")
    job.run(sys.executable, "-c", "print('the reason'); raise SystemExit(3)")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_part_keeps_all_files_of_its_recipe(cache: Cache) -> None:
    part = Part("one", write, settings={"text": "hello"})
    assert not cache.holds(part)
    made = cache.make(part)
    assert cache.holds(part)
    assert (made / "link").read_text() == "hello"
    assert made == cache.path(part)


def test_a_part_is_built_from_its_needs(cache: Cache) -> None:
    needs = (Part("a", write, settings={"text": "a"}), Part("b", write, settings={"text": "b"}))
    whole = Part("whole", join, settings={"of": ["a/file", "b/file"]}, needs=needs)
    assert [part.name for part in with_needs([whole])] == ["a", "b", "whole"]
    for part in with_needs([whole]):
        cache.make(part)
    assert (cache.path(whole) / "joined").read_text() == "a+b"


def test_every_input_changes_the_key(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    need = Part("need", write)
    keys = {
        Part("part", write).key,
        Part("other", write).key,
        Part("part", join).key,
        Part("part", write, settings={"text": "x"}).key,
        Part("part", write, needs=(need,)).key,
        Part("part", write, needs=(Part("need", write, settings={"text": "x"}),)).key,
        Part("part", write, files=(file,)).key,
    }
    file.write_text("2")
    keys.add(Part("part", write, files=(file,)).key)
    assert len(keys) == 8


def test_a_recipes_comments_do_not_change_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    keys = []
    for text in ("def make(job): pass", "# why\ndef make(job):\n    pass", "def make(job): return 1"):
        module = tmp_path / "a_recipe.py"
        module.write_text(text)
        sys.modules.pop("a_recipe", None)
        keys.append(Part("part", __import__("a_recipe").make).key)
    assert keys[0] == keys[1] != keys[2]


def test_every_python_gives_the_same_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "some_recipe.py").write_text("class A:\n    x = []\n\ndef make(job, *, a=None): return {}")
    assert Part("part", __import__("some_recipe").make).key == "1131a84cca8e79d1"


def test_a_directory_is_hashed_by_names_contents_modes_and_links(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    script = tmp_path / "d/script"
    seen = {hash_tree(tmp_path)}
    script.write_text("echo")
    seen.add(hash_tree(tmp_path))
    script.chmod(0o755)
    seen.add(hash_tree(tmp_path))
    (tmp_path / "link").symlink_to("d/script")
    seen.add(hash_tree(tmp_path))
    assert len(seen) == 4
    (tmp_path / "d/__pycache__").mkdir()
    (tmp_path / "d/__pycache__/script.pyc").write_text("")
    os.utime(script, (0, 0))
    assert hash_tree(tmp_path) in seen


@pytest.mark.parametrize(
    "damage", ["change", "truncate", "remove", "add", "relink", "no manifest", "cut manifest"]
)
def test_a_damaged_entry_is_rebuilt(cache: Cache, damage: str) -> None:
    part = Part("part", write)
    entry = cache.make(part)
    before = (entry / "file").stat()
    match damage:
        case "change":
            (entry / "file").write_text("nade")  # same size and time: only the checksum differs
            os.utime(entry / "file", ns=(before.st_atime_ns, before.st_mtime_ns))
        case "truncate":
            (entry / "file").write_text("")
        case "remove":
            (entry / "file").unlink()
        case "add":
            (entry / "stray").write_text("")
        case "relink":
            (entry / "link").unlink()
            (entry / "link").symlink_to("elsewhere")
        case "no manifest":
            (entry / MANIFEST).unlink()
        case "cut manifest":
            (entry / MANIFEST).write_text(json.dumps({"file": ""})[:-4])
    assert not cache.holds(part)
    cache.make(part)
    assert cache.holds(part)
    assert sorted(path.name for path in entry.iterdir()) == [MANIFEST, "file", "link"]


def test_a_failed_recipe_leaves_only_its_log(cache: Cache) -> None:
    part = Part("part", fail_halfway)
    with pytest.raises(LabError, match=r"(?s)ended with 3.*the reason"):
        cache.make(part)
    assert not cache.holds(part)
    assert {path.name for path in cache.root.iterdir()} == {"scratch", "logs"}
    assert "the reason" in (cache.logs / "part.log").read_text()


def test_a_missing_program_is_named(cache: Cache) -> None:
    def needs_a_program(job: Job) -> None:
        job.run("no-such-program")

    with pytest.raises(LabError, match="no-such-program is not installed"):
        cache.make(Part("part", needs_a_program))


def test_the_remains_of_a_killed_build_are_removed(cache: Cache) -> None:
    part = Part("part", write)
    cache.make(part)
    (cache.root / ".part-x1y2/out").mkdir(parents=True)
    (cache.root / ".part-x1y2/out/file").write_text("half")
    cache.clear_interrupted()
    assert not list(cache.root.glob(".part*"))
    assert cache.holds(part)


def test_prune_only_removes_unwanted_entries_not_used_recently(cache: Cache) -> None:
    need = Part("need", write)
    current = Part("current", join, settings={"of": ["need/file"]}, needs=(need,))
    old, recent = Part("old", write), Part("recent", write)
    for part in (need, current, old, recent):
        cache.make(part)
    for part in (need, current, old):
        manifest = cache.path(part) / MANIFEST
        os.utime(manifest, (0, manifest.stat().st_mtime - DAY - 1))
    assert cache.prune([current]) == [old.entry]
    assert [cache.holds(part) for part in (need, current, old, recent)] == [True, True, False, True]


def test_use_protects_an_entry_from_pruning(cache: Cache) -> None:
    part = Part("part", write)
    manifest = cache.make(part) / MANIFEST
    os.utime(manifest, (0, 0))
    assert cache.holds(part)
    assert cache.prune([]) == []
