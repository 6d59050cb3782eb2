"""The page with all measurements: a table of rows, and a part about faults."""

import os
import platform

FAULTS = "\n## Faults\n"

Row = tuple[str, str]


def rows_of(text: str) -> list[Row]:
    """Return the rows of a page that `page` made."""
    measured, _, _ = text.partition(FAULTS)
    lines = [line for line in measured.splitlines() if line.startswith("| ")][2:]
    return [(what, measured) for line in lines for what, _, measured in [line[2:-2].rpartition(" | ")]]


def replaced(rows: list[Row], anew: list[Row]) -> list[Row]:
    """Return the rows with those that were measured anew, in their places or at the end."""
    return list((dict(rows) | dict(anew)).items())


def faults_of(text: str) -> str:
    """Return the last part of such a page, which `make chaos` writes."""
    _, title, faults = text.partition(FAULTS)
    return title + faults


def page(rows: list[Row], faults: str) -> str:
    """Return the page of all rows, and the part about faults."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    machine = (
        f"{os.cpu_count()} cores and {memory_gib:.0f} GiB, {platform.freedesktop_os_release()['PRETTY_NAME']}"
    )
    table = "\n".join(f"| {what} | {measured} |" for what, measured in rows)
    return (
        "# Benchmark\n\n"
        f"Measured by `make bench` in the lab, on {machine}.\n"
        "By hand means: the same snap, images and manifests, "
        "installed with snap, ctr and `kubectl apply --server-side`, which is the least it can take.\n"
        "What one run measured can be compared; on another day the same machine may be slower.\n\n"
        f"| what | measured |\n| --- | --- |\n{table}\n{faults}"
    )
