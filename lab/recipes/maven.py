"""What Maven Central serves, fetched by the Maven of the host."""

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
