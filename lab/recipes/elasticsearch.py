"""Elasticsearch, laid out as in its official image, from the small distribution that Maven Central serves."""

import os
import shutil
import zipfile
from pathlib import Path

from lab.cache import Job
from lab.recipes.maven import artifact
from lab.recipes.overlay import LAB, copy_overlay

FILES = Path(__file__).parent / "elasticsearch"
HOME = "usr/share/elasticsearch"

_DISTRIBUTION = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"
_COMPILER = "org.eclipse.jdt:ecj:3.43.0"
# Answers `GET /`, every client's first request, which this distribution lacks.
_MODULE = "rest-root"
_JAVA_RELEASE = "17"


def root(job: Job, release: str, userland: str, java: str) -> None:
    """Make `root`: it serves as the base of an image, and Elasticsearch runs from it on this host too.

    Args:
        job: What to fill.
        release: Elasticsearch's version.
        userland: The directory that all else goes over: `<part>/<path>`.
        java: The path in it that Java is at.
    """
    target = job.out / "root"
    home = target / HOME
    downloads = job.out.parent / "maven"
    shutil.copytree(job.find(userland), target, symlinks=True)
    _keep_links_inside(target)
    with zipfile.ZipFile(artifact(job, f"{_DISTRIBUTION}:{release}:zip", downloads)) as distribution:
        distribution.extractall(home.parent)
    (home.parent / f"elasticsearch-{release}").rename(home)
    for program in (home / "bin").iterdir():
        program.chmod(0o755)
    (home / "jdk").symlink_to(os.path.relpath(target / java, home))
    copy_overlay(str((FILES / "root").relative_to(LAB)), target)
    _add_module(job, home, release, artifact(job, _COMPILER, downloads))


def _keep_links_inside(target: Path) -> None:
    """Make links that say where they lead in an image lead there from anywhere."""
    for path in target.rglob("*"):
        if path.is_symlink() and (leads_to := path.readlink()).is_absolute():
            path.unlink()
            path.symlink_to(os.path.relpath(target / leads_to.relative_to("/"), path.parent))


def _add_module(job: Job, home: Path, release: str, compiler: Path) -> None:
    classes = job.out.parent / "classes"
    module = home / "modules" / _MODULE
    module.mkdir()
    job.run(
        *(home / "jdk/bin/java", "-jar", compiler, "-source", _JAVA_RELEASE, "-target", _JAVA_RELEASE),
        *("-classpath", ":".join(map(str, sorted((home / "lib").glob("*.jar"))))),
        *("-d", classes, FILES / _MODULE),
    )
    with zipfile.ZipFile(module / f"{_MODULE}.jar", "w") as jar:
        for path in sorted(classes.rglob("*.class")):
            jar.writestr(zipfile.ZipInfo(path.relative_to(classes).as_posix()), path.read_bytes())
    (module / "plugin-descriptor.properties").write_text(
        f"name={_MODULE}\ndescription=Answers GET / in the lab\nclassname=lab.RestRoot\n"
        f"version={release}\nelasticsearch.version={release}\njava.version={_JAVA_RELEASE}\n"
    )
