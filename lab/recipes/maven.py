"""What Maven Central serves, fetched by the Maven of the host."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from lab.cache import Job

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


def artifact(job: Job, coordinates: str, directory: Path) -> Path:
    """Download one artifact, `group:name:version` or `group:name:version:type`, and return its file.

    Args:
        job: Runs Maven.
        coordinates: What to download. Nothing it depends on comes with it.
        directory: Where it goes, with Maven's own files beside it: two Mavens do not share a directory.
    """
    job.run(
        *("mvn", "--batch-mode", "--quiet", _COPY, f"-Dartifact={coordinates}"),
        *(f"-Dmaven.repo.local={directory}/repository", f"-DoutputDirectory={directory}"),
    )
    _, name, version, *of_type = coordinates.split(":")
    return directory / f"{name}-{version}.{of_type[0] if of_type else 'jar'}"


def unpacked(job: Job, coordinates: str, programs: Sequence[str]) -> None:
    """Unpack an artifact that is a zip file, and make what matches the patterns `programs` executable."""
    with zipfile.ZipFile(artifact(job, f"{coordinates}:zip", job.out.parent / "maven")) as archive:
        archive.extractall(job.out)
    for pattern in programs:
        for program in job.out.glob(pattern):
            program.chmod(0o755)
