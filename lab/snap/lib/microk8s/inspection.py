"""`microk8s inspect`: a tarball with information for troubleshooting."""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import console, paths, programs, services

QUERIES = (
    "cluster-info",
    "get nodes --output=wide",
    "get all,pv,pvc --all-namespaces",
    "get events --all-namespaces",
)


def main(_words: list[str]) -> None:
    """Write a report and print its path.

    Raises:
        SystemExit: With 1 when an enabled service does not run.
    """
    console.say("Inspecting services")
    down = [service for service in services.expected() if not services.is_active(service)]
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "inspection-report"
        report.mkdir()
        for service in services.expected():
            state = f"FAIL:  Service {service}" if service in down else f"  Service {service}"
            console.say(f"{state} is {'not ' if service in down else ''}running")
            journal = ("journalctl", "--no-pager", "--lines=1000", "-u", services.unit(service))
            _record(report / f"{service}.log", *journal)
        console.say("Inspecting kubernetes cluster")
        for query in QUERIES:
            kubectl = (programs.path("microk8s"), "kubectl", *query.split())
            _record(report / f"{query.replace(' ', '_')}.txt", *kubectl)
        shutil.copytree(paths.data() / "args", report / "args")
        console.say("Building the report tarball")
        target = paths.data() / f"inspection-report-{time.strftime('%Y%m%d_%H%M%S')}"
        archive = shutil.make_archive(str(target), "gztar", directory)
    console.say(f"  Report tarball is at {archive}")
    sys.exit(1 if down else 0)


def _record(file: Path, *command: str) -> None:
    with file.open("wb") as output:
        subprocess.run(command, check=False, stdout=output, stderr=subprocess.STDOUT)
