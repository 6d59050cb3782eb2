"""Directories move into volumes complete or not at all, and back."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import moving
from ansible_collections.homeserver.stack.plugins.module_utils.moving import MoveError, Volume
from ansible_collections.homeserver.stack.plugins.module_utils.volume_copies import size
from ansible_collections.homeserver.stack.plugins.modules import move_in

from harness import modules

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory of a program, with all kinds of files."""
    found = tmp_path / "srv/wiki/pages"
    (found / "deep").mkdir(parents=True)
    (found / "deep/page.md").write_text("Hello")
    os.chown(found / "deep/page.md", 1234, 5678)
    (found / "deep/page.md").chmod(0o4640)
    os.utime(found / "deep/page.md", (1_000_000, 1_000_000))
    os.link(found / "deep/page.md", found / "same.md")
    (found / "absolute").symlink_to("/etc/passwd")
    (found / "broken").symlink_to("nowhere")
    os.lchown(found / "broken", 77, 78)
    os.mkfifo(found / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(found / "socket"))
    os.setxattr(found / "deep", "user.kind", b"pages")
    os.chown(found, 999, 999)
    found.chmod(0o700)
    return found


@pytest.fixture
def volume(tmp_path: Path, source: Path) -> Volume:
    """An empty volume, as the provisioner makes it."""
    path = tmp_path / "default-storage/apps-wiki-pages-pvc-1"
    path.mkdir(parents=True)
    path.chmod(0o777)
    return Volume("apps/wiki-pages", path, source)


def test_everything_of_a_directory_is_in_the_volume(volume: Volume, source: Path) -> None:
    moving.move([volume])
    page, same = volume.path / "deep/page.md", volume.path / "same.md"
    about = page.stat()

    assert (about.st_mode & 0o7777, about.st_uid, about.st_gid) == (0o4640, 1234, 5678)
    assert (about.st_mtime, page.read_text()) == (1_000_000, "Hello")
    assert about.st_ino == same.stat().st_ino
    assert about.st_ino != (source / "same.md").stat().st_ino
    assert (volume.path / "absolute").readlink() == Path("/etc/passwd")
    assert (volume.path / "broken").lstat().st_uid == 77
    assert (volume.path / "fifo").is_fifo()
    assert (volume.path / "socket").is_socket()
    assert os.getxattr(volume.path / "deep", "user.kind") == b"pages"
    root = volume.path.stat()
    assert (root.st_mode & 0o7777, root.st_uid) == (0o700, 999)
    assert moving.entries(volume.path) == moving.entries(source)


def _copy_over(file: Path, other: Path) -> None:
    """Make two files of one with two names."""
    other.unlink()
    subprocess.run(["cp", "--archive", file, other], check=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda page: page.write_text("hello"),
        lambda page: page.chmod(0o600),
        lambda page: os.chown(page, 1, 5678),
        lambda page: os.chown(page, 1234, 1),
        lambda page: os.setxattr(page, "user.new", b""),
        lambda page: os.utime(page, (1, 1)),
        lambda page: page.unlink(),
        lambda page: (page.parent / "more").touch(),
        lambda page: (page.parents[1] / "broken").unlink(),
        lambda page: _copy_over(page, page.parents[1] / "same.md"),
    ],
)
def test_any_difference_of_a_copy_is_seen(source: Path, tmp_path: Path, change: Any) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "--archive", source, copy], check=True)
    assert moving.entries(copy) == moving.entries(source)

    change(copy / "deep/page.md")

    assert moving.entries(copy) != moving.entries(source)


def test_data_that_change_meanwhile_leave_the_volume_alone(
    volume: Volume, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied_late(command: list[str], **kwargs: Any) -> Any:
        done = run(command, **kwargs)
        (source / "deep/page.md").write_text("changed")
        return done

    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", copied_late)
    (volume.path / "first").write_text("start")

    with pytest.raises(MoveError, match=r"changes while it is copied: deep/page\.md, same\.md -> stop"):
        moving.move([volume])
    assert [path.name for path in volume.path.iterdir()] == ["first"]
    assert not volume.kept.exists()


def test_volumes_are_filled_all_or_none(volume: Volume, tmp_path: Path) -> None:
    other = Volume("apps/wiki-rows", tmp_path / "default-storage/apps-wiki-rows-pvc-2", tmp_path / "gone")
    other.path.mkdir()

    with pytest.raises(MoveError, match="No such file"):
        moving.move([volume, other])
    assert not list(volume.path.iterdir())
    assert not volume.kept.exists()


def test_what_a_volume_had_comes_back(volume: Volume) -> None:
    (volume.path / "first").write_text("start")
    moving.move([volume])
    (volume.path / "later").touch()

    assert moving.put_back([volume]) == ["apps/wiki-pages"]
    assert [path.name for path in volume.path.iterdir()] == ["first"]
    assert volume.path.stat().st_mode & 0o7777 == 0o777
    assert not volume.kept.exists()
    assert moving.put_back([volume]) == []


@pytest.mark.parametrize("step", ["content", "copy", "record"])
def test_an_interrupted_run_is_done_again(volume: Volume, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a power cut, when nothing cleans up."""
    (volume.path / "first").write_text("start")

    class PowerCutError(BaseException):
        pass

    rename = Path.rename

    def cut(path: Path, target: Path) -> Any:
        if step == "content" or (step == "copy" and path.name == "copy"):
            raise PowerCutError
        return rename(path, target)

    def no_record(_: Volume) -> None:
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", cut)
        patched.setattr(moving, "_write_record", no_record)
        with pytest.raises(PowerCutError):
            moving.move([volume])

    assert moving.record(volume) == {}
    assert moving.problems([volume], replace=True) == []
    moving.move([volume])
    assert (volume.path / "deep/page.md").exists()
    moving.put_back([volume])
    assert [path.name for path in volume.path.iterdir()] == ["first"]


# ---- the module


@pytest.fixture
def run(tmp_path: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the module as Ansible does, with a Docker that names the containers in a file."""
    programs = tmp_path / "bin"
    programs.mkdir()
    docker = programs / "docker"
    docker.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/asked\ncat {tmp_path}/running 2>/dev/null\n')
    docker.chmod(0o755)

    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def run(**options: Any) -> dict[str, Any]:
        named = {"claim": volume.claim, "path": str(volume.path), "sources": [str(volume.source)]}
        return modules.run(move_in, **{"volumes": [named], **options})

    return run


def _refusal(run: Run, **options: Any) -> str:
    with pytest.raises(modules.Failed) as failed:
        run(**options)
    return str(failed.value)


def test_a_second_run_says_that_it_was_done(run: Run, volume: Volume) -> None:
    first, second = run(), run(replace=True)

    assert (first["changed"], first["claims"], first["count"]) == (True, ["apps/wiki-pages"], 8)
    assert first["kept"] == [str(volume.kept)]
    assert (second["changed"], second["claims"]) == (False, [])
    assert second["moved"][0].startswith(f"apps/wiki-pages: from {volume.source} at 20")


def test_a_volume_with_content_is_replaced_only_if_that_is_meant(run: Run, volume: Volume) -> None:
    (volume.path / "first").touch()

    assert _refusal(run) == (
        "apps/wiki-pages has content already, such as first, maybe from the first start of its app"
        " -> to replace it, which keeps it aside: -e replace=true"
    )
    assert [path.name for path in volume.path.iterdir()] == ["first"]
    assert run(replace=True)["changed"]
    assert [path.name for path in (volume.kept / "content").iterdir()] == ["first"]
    assert run(state="undone")["claims"] == ["apps/wiki-pages"]
    assert [path.name for path in volume.path.iterdir()] == ["first"]
    assert not run(state="undone")["changed"]


def test_a_project_that_runs_in_docker_is_refused(run: Run, tmp_path: Path, volume: Volume) -> None:
    (tmp_path / "running").write_text("wiki-web-1\nwiki-db-1\n")

    assert _refusal(run, project="wiki") == (
        "wiki-web-1, wiki-db-1 still run in Docker, and would go on writing"
        " -> docker compose --project-name wiki stop"
    )
    assert "label=com.docker.compose.project=wiki" in (tmp_path / "asked").read_text()
    assert not list(volume.path.iterdir())
    (tmp_path / "running").write_text("")
    assert run(project="wiki")["changed"]


def test_data_that_are_not_there_are_named(run: Run, volume: Volume) -> None:
    named = {"claim": volume.claim, "path": str(volume.path), "sources": ["/nowhere/a", "/nowhere/b"]}

    wrong = "apps/wiki-pages: its data are not there, neither in /nowhere/a nor in /nowhere/b"
    assert wrong in _refusal(run, volumes=[named])


def test_a_dry_run_only_looks(run: Run, volume: Volume) -> None:
    looked = run(check=True)

    assert (looked["changed"], looked["claims"]) == (True, ["apps/wiki-pages"])
    assert not list(volume.path.iterdir())
    assert not volume.kept.exists()


def test_too_little_room_is_told_before(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "size", lambda _: 2**60)

    (problem,) = moving.problems([volume], replace=False)

    assert problem.startswith(f"the data need {2**30:.1f} GiB, and ")


def test_the_size_counts_linked_files_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(2**20))
    os.link(tmp_path / "a", tmp_path / "b")

    assert 2**20 <= size([tmp_path]) < 1.5 * 2**20


def test_a_volume_cannot_move_into_another(run: Run, volume: Volume) -> None:
    other = volume.path.with_name("apps-other-pvc-2")
    other.mkdir()
    named = {"claim": volume.claim, "path": str(volume.path), "sources": [str(other)]}

    assert "is in the volumes of the home server" in _refusal(run, volumes=[named])
