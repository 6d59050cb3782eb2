"""When images are built on the control machine, with which program, and how failures are reported."""

import io
import os
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_build import (
    Image,
    archive_path,
    build,
)
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_builders import BuildError

BUILDER = """#!/bin/sh
echo "$(basename "$0") $*" >> "{log}"
case "$1" in
  version) exit {docker_daemon} ;;
  build) for context; do :; done; (cd "$context" && find . -type f | sort) >> "{log}"; {build} ;;
  save) echo image > "${{2#--output=}}" ;;
  push) target="${{4#docker-archive:}}"; echo image > "${{target%%:*}}" ;;
esac
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "app"
    (source / "src").mkdir(parents=True)
    (source / "Dockerfile").write_text("FROM base\n")
    (source / "src" / "app.py").write_text("print()\n")
    return source


class Builders:
    """Fake image builders, and the log of their calls."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "log"

    def install(self, *names: str, build: str = "true", docker_daemon: bool = True) -> None:
        for name in names:
            program = self._directory / name
            program.write_text(
                BUILDER.format(log=self._log, build=build, docker_daemon=int(not docker_daemon))
            )
            program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []


@pytest.fixture
def builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builders:
    directory = tmp_path / "bin"
    directory.mkdir()
    for needed in ("sh", "basename", "find", "sort"):
        found = next(p for d in os.environ["PATH"].split(":") if (p := Path(d, needed)).exists())
        (directory / needed).symlink_to(found)
    monkeypatch.setenv("PATH", str(directory))
    return Builders(directory)


def image(
    source: Path,
    name: str = "localhost/app",
    base: str = "base:1",
    platform: str = "linux/amd64",
    within: Path | None = None,
) -> Image:
    return Image(name, source, base, platform, within)


def test_a_linked_file_is_hashed_by_content_and_copied(source: Path, builders: Builders) -> None:
    shared = source.parent / "shared.py"
    shared.write_text("one\n")
    (source / "src/shared.py").symlink_to(shared)
    before = image(source, within=source.parent)
    revision = before.revision
    builders.install("podman")
    build(before, archive_path(before, source.parent / "images"), None)

    assert "./src/shared.py" in builders.calls  # find -type f lists no links
    shared.write_text("two\n")
    assert image(source, within=source.parent).revision != revision


@pytest.mark.parametrize(
    ("links", "named"),
    [
        ({"src/key": "../../secrets/ca.key"}, "src/key is a link to ../../secrets/ca.key"),
        ({"src/key": "{root}/secrets/ca.key"}, "src/key is a link to {root}/secrets/ca.key"),
        ({"all": "../secrets"}, "all is a link to ../secrets"),
        ({"a": "b", "b": "../secrets/ca.key"}, "a is a link to b"),
        ({"a": "src", "src/b": "../a/../../secrets/ca.key"}, "src/b is a link to ../a/../../secrets/ca.key"),
        ({"key": "../secrets/made-later"}, "key is a link to ../secrets/made-later"),
        ({"config": ".git/config"}, "config is a link to .git/config"),
        ({"requirements.txt": "../secrets/ca.key"}, "requirements.txt is a link to ../secrets/ca.key"),
        ({".dockerignore": "/dev/zero"}, ".dockerignore is a link to /dev/zero"),
    ],
)
def test_a_link_that_leaves_the_source_is_refused(
    source: Path, builders: Builders, links: dict[str, str], named: str
) -> None:
    root = source.parent
    (root / "secrets").mkdir()
    (root / "secrets/ca.key").write_text("secret")
    (source / ".git").mkdir()
    (source / ".git/config").write_text("url = https://me:token@git.example.org/app.git")
    for name, target in links.items():
        (source / name).symlink_to(target.format(root=root))
    builders.install("podman")
    with pytest.raises(BuildError) as refused:
        build(image(source), root / "image.tar", None)

    assert named.format(root=root) in str(refused.value)
    assert str(refused.value).endswith("-> replace it with its target, or remove it")
    assert builders.calls == []


def test_a_link_within_the_source_is_as_good_as_a_copy(source: Path, builders: Builders) -> None:
    (source / "lib").symlink_to("src")
    (source / "main.py").symlink_to("lib/app.py")
    (source / ".venv").symlink_to("/usr")  # ignored
    builders.install("podman")
    build(image(source), source.parent / "image.tar", None)

    assert [call for call in builders.calls if call.startswith("./")] == [
        "./Dockerfile",
        "./main.py",
        "./src/app.py",
    ]


class Packages:
    """Packages that pip finds without a network, and one whose setup.py leaves a mark."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mark = directory / "was-run"
        self.archive = directory / "evil-1.0.tar.gz"
        script = f"open({str(self.mark)!r}, 'w')\nimport setuptools; setuptools.setup(name='evil')\n"
        directory.mkdir()
        with tarfile.open(self.archive, "w:gz") as tar:
            for name, text in (
                ("setup.py", script),
                ("PKG-INFO", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"),
            ):
                member = tarfile.TarInfo(f"evil-1.0/{name}")
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))

    def add(self, name: str, needs: str = "") -> None:
        """Add a wheel, with what it needs."""
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        with zipfile.ZipFile(self.directory / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", "")
            wheel.writestr(
                f"{name}-1.0.dist-info/METADATA", metadata + (f"Requires-Dist: {needs}\n" if needs else "")
            )
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "packages"))
    return Packages(tmp_path / "packages")


def test_ordinary_requirements_are_installed_with_what_they_need(
    source: Path, builders: Builders, packages: Packages
) -> None:
    packages.add("shop", needs="cart[fast] (>=1) ; python_version > '3'")
    packages.add("cart")
    packages.add("hashed")
    hashes = f"Hashed == 1.0; sys_platform == 'linux' \\\n    --hash=sha256:{'0' * 64}\n"
    (source / "requirements.txt").write_text(f"# what it needs\n\n{hashes}")
    builders.install("podman")
    wanted = image(source, base="docker.io/library/python:3.13-slim")
    with pytest.raises(BuildError, match=r"(?s)DO NOT MATCH THE HASHES.*Expected sha256 0000"):
        build(wanted, source.parent / "image.tar", None)
    (source / "requirements.txt").write_text("shop >= 1, <2  # soon 2\n\tcart ; python_version \\\n  > '3'\n")
    build(wanted, source.parent / "image.tar", None)

    assert {"./build/site-packages/shop.py", "./build/site-packages/cart.py"} <= set(builders.calls)


@pytest.mark.parametrize(
    "line",
    [
        "{archive}",
        "file://{archive}",
        "evil @ file://{archive}",
        "./evil",
        "-e {directory}",
        "git+https://git.example.org/evil.git",
        "--no-binary=:all:",
        "--index-url=https://pypi.example.org/simple",
        "--find-links={directory}",
        "-r other.txt",
        "--requirement=other.txt",
        "-c constraints.txt",
        "evil --global-option=x",
        "evil --hash=md5:00",
        "evil==${{HOME}}",
    ],
)
def test_a_requirement_that_is_more_than_a_name_is_refused(
    source: Path, builders: Builders, packages: Packages, line: str
) -> None:
    line = line.format(archive=packages.archive, directory=packages.directory)
    (source / "other.txt").write_text(str(packages.archive))
    (source / "requirements.txt").write_text(f"# packages\n\n{line}\n")
    builders.install("podman")
    with pytest.raises(BuildError) as refused:
        build(image(source, base="docker.io/library/python:3.13"), source.parent / "image.tar", None)

    assert str(refused.value).startswith(f"{source}/requirements.txt, line 3: {line!r} (expected ")
    assert not packages.mark.exists()


def test_a_package_of_a_url_is_refused(source: Path, builders: Builders, packages: Packages) -> None:
    packages.add("cart")
    packages.add("shop", needs=f"cart @ file://{packages.directory}/cart-1.0-py3-none-any.whl")
    (source / "requirements.txt").write_text("shop\n")
    builders.install("podman")
    with pytest.raises(
        BuildError, match=r"requirements.txt needs cart-1.0 of file://.* \(expected packages of an index"
    ):
        build(image(source, base="docker.io/library/python:3.13"), source.parent / "image.tar", None)


@pytest.mark.parametrize("named", ["evil", "shop"])
def test_no_package_runs_anything_while_it_is_installed(
    source: Path, builders: Builders, packages: Packages, named: str
) -> None:
    packages.add("shop", needs=f"evil @ file://{packages.archive}")
    (source / "requirements.txt").write_text(f"{named}\n")
    builders.install("podman")
    with pytest.raises(BuildError) as failed:
        build(image(source, base="docker.io/library/python:3.13"), source.parent / "image.tar", None)

    assert not packages.mark.exists()
    assert "evil" in str(failed.value)


def test_a_build_keeps_the_isolation_of_its_builder(source: Path, builders: Builders) -> None:
    builders.install("buildah")
    build(image(source), source.parent / "image.tar", None)

    (built,) = (call for call in builders.calls if " build " in call)
    assert "--isolation" not in built


def test_the_revision_stays_when_only_ignored_files_change(source: Path) -> None:
    before = image(source).revision
    for litter in (
        ".git/HEAD",
        "src/__pycache__/app.pyc",
        ".pytest_cache/x",
        ".venv/bin/python",
        "build/site-packages/x",
    ):
        (source / litter).parent.mkdir(parents=True, exist_ok=True)
        (source / litter).write_text("x")
    os.utime(source / "src" / "app.py", (0, 0))
    assert image(source).revision == before


def test_the_revision_changes_with_every_relevant_change(source: Path) -> None:
    revisions = [image(source).revision, image(source, base="base:2").revision]
    revisions.append(image(source, platform="linux/arm64").revision)
    (source / "src" / "app.py").write_text("print(1)\n")
    revisions.append(image(source).revision)
    (source / "src" / "app.py").rename(source / "src" / "main.py")
    revisions.append(image(source).revision)
    (source / "src" / "main.py").chmod(0o755)
    revisions.append(image(source).revision)
    assert len(set(revisions)) == len(revisions)


@pytest.mark.parametrize(
    ("rules", "counting"),
    [
        ("", {"src/app.py", "src/deep/x.txt", "docs/x.txt", "x.txt"}),
        ("docs\n*.txt\n", {"src/app.py", "src/deep/x.txt"}),
        ("**/*.txt\n", {"src/app.py"}),
        ("# all but\n*\n!src\nsrc/deep/\n", {"src/app.py"}),
        ("*\n!docs/?.txt", {"docs/x.txt"}),
        ("deep\nx.txt\n", {"src/app.py", "src/deep/x.txt", "docs/x.txt"}),
        ("/src/*\n", {"docs/x.txt", "x.txt"}),
        ("docs/\n!/docs/x.txt\nsrc", {"docs/x.txt", "x.txt"}),
    ],
)
def test_ignored_files_are_left_out(source: Path, rules: str, counting: set[str]) -> None:
    (source / ".dockerignore").write_text(rules)
    for name in ("src/deep/x.txt", "docs/x.txt", "x.txt", "requirements.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    files = {str(path.relative_to(source)) for path in image(source).files()}
    assert files == counting | {"Dockerfile", ".dockerignore", "requirements.txt"}


def test_a_source_without_a_dockerfile_is_refused(source: Path) -> None:
    (source / "Dockerfile").unlink()
    with pytest.raises(BuildError, match=f"there is no Dockerfile in {source}"):
        assert image(source).revision


@pytest.mark.parametrize(
    ("there", "docker_daemon", "used"),
    [
        (("podman", "docker", "buildah"), True, "podman"),
        (("docker", "buildah"), True, "docker"),
        (("docker", "buildah"), False, "buildah"),
    ],
)
def test_uses_the_first_builder_that_works(
    source: Path, builders: Builders, there: tuple[str, ...], docker_daemon: bool, used: str
) -> None:
    builders.install(*there, docker_daemon=docker_daemon)
    wanted = image(source)
    archive = archive_path(wanted, source.parent / "images")
    build(wanted, archive, None)
    assert archive.read_text() == "image\n"
    [built] = [call for call in builders.calls if " build " in call]
    assert built.startswith(f"{used} build ")
    for option in ("--platform=linux/amd64", "--build-arg=BASE=base:1", f"--tag={wanted.reference}"):
        assert option in built


def test_says_what_to_install_when_there_is_no_builder(
    source: Path, tmp_path: Path, builders: Builders
) -> None:
    builders.install("docker", docker_daemon=False)
    with pytest.raises(BuildError, match=r"none of podman, docker, buildah .* apt install buildah"):
        build(image(source), tmp_path / "image.tar", None)


def test_the_builder_gets_no_ignored_files(source: Path, tmp_path: Path, builders: Builders) -> None:
    builders.install("podman")
    (source / "src" / "__pycache__").mkdir()
    (source / "src" / "__pycache__" / "app.pyc").write_text("x")
    build(image(source), tmp_path / "image.tar", None)
    assert [call for call in builders.calls if call.startswith("./")] == ["./Dockerfile", "./src/app.py"]


def test_loads_the_base_image_first(source: Path, tmp_path: Path, builders: Builders) -> None:
    builders.install("podman")
    build(image(source), tmp_path / "image.tar", Path("/bundle/base.tar"))
    steps = [call.split()[1] for call in builders.calls if call.startswith("podman")]
    assert steps == ["load", "build", "save", "rmi", "rmi"]
    assert {call.split()[2] for call in builders.calls[-2:]} == {image(source).reference, "base:1"}
    assert "--input=/bundle/base.tar" in builders.calls[0]


@pytest.mark.parametrize(
    ("base_archive", "name"),
    [(None, f"host:5000/base@sha256:{'2f' * 32}"), (Path("/bundle/base.tar"), "host:5000/base:1")],
)
def test_a_base_with_a_digest_has_a_name_that_every_builder_takes(
    source: Path, tmp_path: Path, builders: Builders, base_archive: Path | None, name: str
) -> None:
    builders.install("podman")
    wanted = image(source, base=f"host:5000/base:1@sha256:{'2f' * 32}")
    build(wanted, tmp_path / "image.tar", base_archive)

    (built,) = (call for call in builders.calls if call.startswith("podman build"))
    assert f" --build-arg=BASE={name} " in built
    assert wanted.revision != image(source, base="host:5000/base:1").revision


def test_a_failed_build_reports_its_last_lines_and_leaves_nothing(
    source: Path, tmp_path: Path, builders: Builders
) -> None:
    builders.install("podman", build="seq 1 30; echo 'no such package' >&2; exit 7")
    (tmp_path / "bin" / "seq").symlink_to("/usr/bin/seq")
    archive = archive_path(image(source), tmp_path / "images")
    with pytest.raises(BuildError, match=r"podman build .* exit code 7") as failed:
        build(image(source), archive, None)
    assert "no such package" in str(failed.value)
    assert "\n5\n" not in str(failed.value)
    assert not list(archive.parent.iterdir())


def test_keeps_one_archive_of_each_image(source: Path, tmp_path: Path, builders: Builders) -> None:
    builders.install("podman")
    directory = tmp_path / "images"
    other = archive_path(image(source, name="localhost/app-two"), directory)
    first = archive_path(image(source), directory)
    (directory / ".build-killed").mkdir(parents=True)
    build(image(source, name="localhost/app-two"), other, None)
    build(image(source), first, None)
    (source / "src" / "app.py").write_text("print(2)\n")
    second = archive_path(image(source), directory)
    build(image(source), second, None)
    assert set(directory.iterdir()) == {other, second}


def test_waits_for_another_build_of_the_image(source: Path, tmp_path: Path, builders: Builders) -> None:
    builders.install("podman", build=f"read line < {tmp_path}/go")
    os.mkfifo(tmp_path / "go")
    archive = archive_path(image(source), tmp_path / "images")
    with ThreadPoolExecutor() as threads:
        both = [threads.submit(build, image(source), archive, None) for _ in range(2)]
        (tmp_path / "go").write_text("go on\n")
        for done in both:
            done.result(timeout=60)
    assert len([call for call in builders.calls if " build " in call]) == 1
    assert archive.exists()
