import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from harness.jaeger import WITHOUT_PAGES
from lab.cache import Job
from lab.host import LabError, ensure_packages
from lab.recipes import (
    containers,
    debian,
    elasticsearch,
    golang,
    maven,
    overlay,
    placeholder,
    postgres,
    pypi,
    snaps,
)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose needs are directories next to it, created on first use."""

    class Needs(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            path = tmp_path / "needs" / name
            path.mkdir(parents=True, exist_ok=True)
            return path

    for directory in ("work/out", "scratch"):
        (tmp_path / directory).mkdir(parents=True)
    return Job(tmp_path / "work/out", Needs(), tmp_path / "scratch", tmp_path / "log")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake of the package that contains the overlay directories."""
    root = tmp_path / "package"
    monkeypatch.setattr(overlay, "LAB", root)
    (root / "thing/meta").mkdir(parents=True)
    (root / "thing/meta/snap.yaml").write_text("summary: a thing\n")
    (root / "thing/run").write_text("#!/bin/sh\n")
    (root / "thing/run").chmod(0o755)
    (root / "thing/link").symlink_to("run")
    (root / "thing/__pycache__").mkdir()
    return root


def a_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_an_overlay_is_copied_without_pythons_caches(job: Job, package: Path) -> None:
    assert package.is_dir()
    overlay.files(job, "thing")
    assert sorted(path.relative_to(job.out).as_posix() for path in job.out.rglob("*")) == [
        *("link", "meta", "meta/snap.yaml", "run"),
    ]
    assert (job.out / "run").stat().st_mode & 0o777 == 0o755
    assert (job.out / "link").readlink() == Path("run")


def test_a_wheel_is_unpacked_with_executable_programs(job: Job, tmp_path: Path) -> None:
    wheel = tmp_path / "tool_bin-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tool_bin-1.0.data/scripts/tool", "program")
        archive.writestr(
            "tool_bin-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tool-bin\nVersion: 1.0\n"
        )
        archive.writestr("tool_bin-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tool_bin-1.0.dist-info/RECORD", "")
    pypi.wheel(job, str(wheel), ["*.data/scripts/tool"])
    program = job.out / "tool_bin-1.0.data/scripts/tool"
    assert program.read_text() == "program"
    assert program.stat().st_mode & 0o111
    assert not (job.out / "tool_bin-1.0.dist-info/WHEEL").stat().st_mode & 0o111


def test_go_programs_are_built_with_the_labs_own_toolchain_only(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolchain = job.needs["go"] / "go"
    a_program(
        toolchain / "bin/go",
        f'pwd >"{job.out}/where"; env >"{job.out}/env"; printf "%s\\n" "$@" >"{job.out}/args"',
    )
    monkeypatch.setenv("GOFLAGS", "-mod=vendor")
    monkeypatch.setenv("GOROOT", "/another/go")
    golang.build(job, "httpbin", [{"packages": ["tool"], "stamps": {"main.version": "v1"}}], ["small"])
    environment = dict(line.partition("=")[::2] for line in (job.out / "env").read_text().splitlines())
    assert environment["GOROOT"] == str(toolchain)
    assert environment["GOFLAGS"] == "-buildvcs=false"
    assert environment["GOTOOLCHAIN"] == "local"
    assert environment["CGO_ENABLED"] == "0"
    assert Path(environment["GOMODCACHE"]).parent == Path(environment["GOCACHE"]).parent == job.scratch
    assert (job.out / "where").read_text().strip() == str(golang.MODULES / "httpbin")
    arguments = (job.out / "args").read_text().splitlines()
    assert arguments[arguments.index("-ldflags") + 1] == "-s -w -X main.version=v1"
    assert "-tags=timetzdata,small" in arguments
    assert arguments[-1] == "tool"


def test_files_of_a_module_are_copied(job: Job) -> None:
    a_program(
        job.needs["go"] / "go/bin/go",
        'mkdir -p "$GOMODCACHE/m@v1/deep" && echo found >"$GOMODCACHE/m@v1/deep/file"',
    )
    golang.module_files(job, "m@v1", {"file.yaml": "deep/file"})
    assert (job.out / "file.yaml").read_text() == "found\n"


def test_a_program_without_its_pages_is_built_with_a_placeholder(job: Job) -> None:
    page = '"$GOMODCACHE/m@v1/ui/dist/index.html"'
    a_program(
        job.needs["go"] / "go/bin/go",
        f'if [ $1 = mod ]; then mkdir -p "$GOMODCACHE/m@v1/ui" && chmod a-w "$GOMODCACHE/m@v1/ui"\n'
        f"else cp {page} {job.out}/page; fi",
    )
    placeholder.build(
        job,
        "m@v1",
        "ui/dist/index.html",
        {"module": "httpbin", "programs": [{"packages": ["tool"], "stamps": {}}]},
    )
    assert WITHOUT_PAGES in (job.out / "page").read_text()


def test_a_snap_holds_overlay_parts_and_links(job: Job, package: Path, tmp_path: Path) -> None:
    ensure_packages(["squashfs-tools"])
    assert package.is_dir()
    (job.needs["programs"] / "bin").mkdir()
    a_program(job.needs["programs"] / "bin/tool", "true")
    (job.needs["programs"] / ".manifest.json").write_text("{}")
    parts = {"usr": "programs/", "bin/tool": "programs/bin/tool"}
    snaps.snap(job, {"name": "thing", "version": "1"}, "thing", parts, {"bin/alias": "tool"})
    unpacked = tmp_path / "unpacked"
    subprocess.run(
        ["unsquashfs", "-no-progress", "-d", unpacked, job.out / "thing.snap"],
        check=True,
        capture_output=True,
    )
    assert (unpacked / "meta/snap.yaml").read_text() == "name: thing\nversion: 1\nsummary: a thing\n"
    assert (unpacked / "usr/bin/tool").stat().st_mode & 0o111
    assert (unpacked / "bin/alias").read_text() == (unpacked / "bin/tool").read_text()
    assert not list(unpacked.rglob(".manifest.json"))


def test_an_image_consists_of_a_base_and_files_of_other_parts(job: Job) -> None:
    (job.needs["userland"] / "root/etc").mkdir(parents=True)
    (job.needs["userland"] / "root/etc/os-release").write_text("ID=test\n")
    a_program(job.needs["program"] / "tool", "true")
    containers.image(job, "r/tool:1", {"Cmd": ["tool"]}, {"usr/bin/tool": "program/tool"}, "userland/root")
    subprocess.run(["tar", "--extract", "--file", job.out / "image.tar", "--directory", job.out], check=True)
    (index,) = json.loads((job.out / "manifest.json").read_text())
    contents = [
        subprocess.run(
            ["tar", "--list", "--file", job.out / layer], check=True, capture_output=True, text=True
        ).stdout
        for layer in index["Layers"]
    ]
    assert contents == ["etc/\netc/os-release\n", "usr/bin/tool\n"]


def test_postgresql_has_the_user_and_the_directories_of_its_image(job: Job) -> None:
    userland = job.needs["userland"] / "root"
    for directory in (
        "etc/postgresql",
        "usr/share/perl",
        "usr/share/i18n",
        "usr/local/bin",
        "var/lib/postgresql",
    ):
        (userland / directory).mkdir(parents=True)
    (userland / "var/run").symlink_to("/run")
    (userland / "etc/passwd").write_text("root:x:0:0::/root:\npostgres:x:101:103::/var/lib/postgresql:\n")
    (userland / "etc/group").write_text("root:x:0:\npostgres:x:103:\n")
    postgres.root(job, "userland/root")
    root = job.out / "root"
    assert "postgres:x:999:999::/var" in (root / "etc/passwd").read_text()
    assert (root / "etc/group").read_text() == "root:x:0:\npostgres:x:999:\n"
    assert (root / "var/run/postgresql").stat().st_mode & 0o7777 == 0o3777
    assert (root / "usr/local/bin/docker-entrypoint.sh").stat().st_mode & 0o111
    assert not (root / "var/lib/postgresql").exists()


def test_a_machine_has_its_packages_overlay_and_commands(
    job: Job, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert package.is_dir()
    a_program(
        tmp_path / "bin/mmdebstrap",
        f'printf "%s\\n" "$@" >"{tmp_path}/args"; ls {job.out.parent}/overlay >>"{tmp_path}/args"',
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    debian.machine(job, "bookworm", ["systemd", "snapd"], "thing", ["useradd owner"])
    arguments = (tmp_path / "args").read_text().splitlines()
    assert "--include=systemd,snapd" in arguments
    assert '--customize-hook=chroot "$1" useradd owner' in arguments
    assert arguments[arguments.index("bookworm") + 1] == str(job.out / "rootfs.tar")
    assert arguments[-3:] == ["link", "meta", "run"]


def test_programs_are_unpacked_into_a_merged_usr(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(
        tmp_path / "bin/mmdebstrap",
        'for last; do :; done; cache="$last/var/cache/apt/archives"; mkdir -p "$cache"; >"$cache/tool_1.deb"',
    )
    a_program(
        tmp_path / "bin/dpkg-deb",
        'mkdir -p "$3/sbin" "$3/usr/share/doc" "$3/usr/bin"; touch "$3/sbin/tool" "$3/usr/bin/other"',
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    debian.programs(job, "bookworm", ["tool"], {"sbin": "usr/sbin", "usr/sbin/alias": "tool"})
    root = job.out / "root"
    assert sorted(path.relative_to(root).as_posix() for path in root.rglob("*")) == [
        *("sbin", "usr", "usr/bin", "usr/bin/other", "usr/sbin", "usr/sbin/alias", "usr/sbin/tool"),
    ]


def test_a_compilers_error_is_quoted(job: Job) -> None:
    a_program(job.needs["go"] / "go/bin/go", "echo main.go:1: undefined: x >&2; exit 2")
    with pytest.raises(LabError, match=r"(?s)go ended with 2.*main\.go:1: undefined: x"):
        golang.build(job, "httpbin", [{"packages": ["tool"], "stamps": {}}])


@pytest.fixture
def mvn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fake Maven that writes an empty file, or a file of that name from here, to the requested path."""
    here = tmp_path / "maven-central"
    here.mkdir()
    a_program(
        tmp_path / "bin/mvn",
        "for option; do case $option in -Dartifact=*) artifact=${option#*=};; "
        "-DoutputDirectory=*) to=${option#*=};; esac; done\n"
        f'mkdir -p "$to" && echo "$artifact" >>{here}/requested && cp {here}/* "$to"',
    )
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return here


def test_a_maven_artifact_is_a_library_by_default(job: Job, mvn: Path) -> None:
    assert maven.artifact(job, "org.example:tool:1.0", job.out) == job.out / "tool-1.0.jar"
    assert maven.artifact(job, "org.example:tool:1.0:zip", job.out) == job.out / "tool-1.0.zip"
    requests = (mvn / "requested").read_text().splitlines()
    assert requests == ["org.example:tool:1.0", "org.example:tool:1.0:zip"]


def test_a_zip_file_of_maven_is_unpacked_with_executable_programs(job: Job, mvn: Path) -> None:
    with zipfile.ZipFile(mvn / "tool-1.0.zip", "w") as archive:
        archive.writestr("tool-1.0/bin/tool", "program")
        archive.writestr("tool-1.0/README", "text")
    maven.unpacked(job, "org.example:tool:1.0", ["*/bin/*"])
    assert (job.out / "tool-1.0/bin/tool").stat().st_mode & 0o111
    assert not (job.out / "tool-1.0/README").stat().st_mode & 0o111
    assert [path.name for path in job.out.iterdir()] == ["tool-1.0"]


def test_elasticsearch_is_laid_out_like_its_image_and_runs_from_anywhere(job: Job, mvn: Path) -> None:
    with zipfile.ZipFile(mvn / "elasticsearch-8.0.0.zip", "w") as distribution:
        for file in ("bin/elasticsearch", "lib/core.jar", "modules/security/plugin.jar", "config/users"):
            distribution.writestr(f"elasticsearch-8.0.0/{file}", file)
    userland = job.needs["userland"] / "root"
    a_program(
        userland / "usr/lib/jvm/java/bin/java",
        f'echo "$@" >{job.out}/arguments\n'
        'while [ "$1" != -d ]; do shift; done; mkdir -p "$2/lab"; >"$2/lab/A.class"',
    )
    (userland / "usr/lib/jvm/java/conf").symlink_to("/etc/java")
    (userland / "etc/java").mkdir(parents=True)
    (userland / "bin").symlink_to("usr/bin")
    elasticsearch.root(job, "8.0.0", "userland/root", "usr/lib/jvm/java")
    home = job.out / "root" / elasticsearch.HOME
    assert (home / "bin/elasticsearch").stat().st_mode & 0o777 == 0o755
    assert (home / "jdk/conf").resolve() == job.out / "root/etc/java"
    assert (job.out / "root/bin").readlink() == Path("usr/bin")
    assert (job.out / "root/usr/local/bin/docker-entrypoint.sh").stat().st_mode & 0o111
    module = home / "modules/rest-root"
    assert zipfile.ZipFile(module / "rest-root.jar").namelist() == ["lab/A.class"]
    assert "elasticsearch.version=8.0.0\n" in (module / "plugin-descriptor.properties").read_text()
    assert f"-classpath {home}/lib/core.jar" in (job.out / "arguments").read_text()
