"""Programs built from Go modules, with the toolchain that PyPI serves: no Go of the host is used."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from lab.cache import Job

MODULES = Path(__file__).parent / "go"


class Programs(TypedDict):
    """Programs of a module that are built together.

    Attributes:
        packages: Package patterns; `tool` are those that the module's go.mod lists as its tools.
        stamps: Values for string variables, above all the version that a program says it is.
    """

    packages: Sequence[str]
    stamps: Mapping[str, str]


def _environment(job: Job) -> dict[str, str]:
    root = job.needs["go"] / "go"
    return {
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "GOROOT": str(root),
        "GOCACHE": str(job.scratch / "go-build"),
        "GOMODCACHE": str(job.scratch / "go-mod"),
        "GOFLAGS": "-buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def build(job: Job, module: str, programs: Sequence[Programs], tags: Sequence[str] = ()) -> None:
    """Build one of the modules beside this file into static programs.

    Args:
        job: What to fill.
        module: The directory of the module.
        programs: What to build, in this order. A package that several need is compiled once.
        tags: Build tags, beside the one for time zones, of which the lab's images have no files.
    """
    for each in programs:
        stamps = (f"-X {variable}={value}" for variable, value in each["stamps"].items())
        job.run(
            *("go", "build", "-trimpath", f"-tags={','.join(('timetzdata', *tags))}"),
            # The linker drops what debuggers need. To compile without it saves a tenth of the time.
            *("-gcflags=all=-dwarf=false", "-ldflags", " ".join(("-s -w", *stamps))),
            *("-o", f"{job.out}/", *each["packages"]),
            cwd=MODULES / module,
            env=_environment(job),
        )


def module_files(job: Job, module: str, files: Mapping[str, str]) -> None:
    """Copy files of the source of `module` (path@version), from the path that `files` has for each name."""
    environment = _environment(job)
    job.run("go", "mod", "download", module, cwd=job.out, env=environment)
    for target, path in files.items():
        shutil.copyfile(Path(environment["GOMODCACHE"]) / module / path, job.out / target)
