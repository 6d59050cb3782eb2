"""The program that saves a machine, run here with the real restic."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.rendering import ROOT
from lab import host

PROGRAM = ROOT / "roles/backup/files/homeserver_backup"
PASSWORD = "long-enough-password"
WIKI = "apps-wiki-data-pvc-11111111-2222-3333-4444-555555555555"
METRICS = "monitoring-prometheus-pvc-21111111-2222-3333-4444-555555555555"
LIVE = "logging-data-elasticsearch-0-pvc-31111111-2222-3333-4444-555555555555"
VOLUME = WIKI.removeprefix("apps-wiki-data-")


class Machine:
    """A machine's directories, and the program with its settings."""

    def __init__(self, root: Path) -> None:
        """Make the directories, and settings that save to one of them."""
        if not shutil.which("restic"):
            host.ensure_packages(["restic"])
        self.root = root
        self.directory, self.volumes = root / "saved", root / "volumes"
        self.target, self.settings = root / "nas", root / "backup.json"
        self.wiki = self.volumes / WIKI
        for made in (self.wiki, self.target):
            made.mkdir(parents=True)
        self.configure()

    def configure(self, **changed: Any) -> None:
        """Write the settings, some of them changed."""
        values = {
            "host": "home",
            "founder": False,
            "password": PASSWORD,
            "keep": {"daily": 7, "weekly": 5, "monthly": 12},
            "prunes": True,
            "left_out": ["logging-data-elasticsearch-*"],
            "prometheus": ["monitoring-prometheus-pvc-*"],
            "snapshot_job": "logging/logstore-snapshot",
            "directory": str(self.directory),
            "volumes": str(self.volumes),
            "metrics": str(self.root / "metrics"),
            "control": str(self.directory / "control/sealed"),
            "kubectl": [str(self.root / "kubectl")],
            "repositories": [{"name": "nas", "location": str(self.target)}],
        }
        self.settings.write_text(json.dumps(values | changed))

    def command(self, job: str, program: Path = PROGRAM) -> list[str]:
        """Return the command line of a job."""
        return [sys.executable, str(program), job, "--settings", str(self.settings)]

    def changed(self, module: str, *changes: tuple[str, str], more: str = "") -> Path:
        """Write a copy of the program with a module changed.

        Args:
            module: Its name.
            changes: Passages, each of which it has once, and what replaces them.
            more: What comes at its end.
        """
        program = self.root / "program" / PROGRAM.name
        shutil.copytree(PROGRAM, program, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        source = (program / f"{module}.py").read_text()
        for passage, instead in changes:
            assert source.count(passage) == 1, passage
            source = source.replace(passage, instead)
        (program / f"{module}.py").write_text(f"{source}\n{more}\n")
        return program

    @property
    def environment(self) -> dict[str, str]:
        """What its processes get."""
        return os.environ | {"RESTIC_CACHE_DIR": str(self.root / "cache")}

    def run(self, job: str) -> subprocess.CompletedProcess[str]:
        """Run a job, whatever comes of it."""
        return subprocess.run(
            self.command(job), env=self.environment, capture_output=True, text=True, check=False
        )

    def done(self, job: str) -> str:
        """Run a job that must succeed, and return what it prints."""
        ended = self.run(job)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def fails(self, job: str) -> str:
        """Run a job that must fail, and return what it says."""
        ended = self.run(job)
        assert ended.returncode == 1, ended.stdout
        return ended.stderr

    def restic(self, *arguments: str) -> str:
        """Ask the repository directly."""
        own = {"RESTIC_REPOSITORY": str(self.target), "RESTIC_PASSWORD": PASSWORD}
        return subprocess.run(
            ["restic", *arguments], env=self.environment | own, capture_output=True, text=True, check=True
        ).stdout

    def copies(self) -> list[dict[str, Any]]:
        """Return what was saved."""
        found: list[dict[str, Any]] = json.loads(self.restic("snapshots", "--json"))
        return found

    def restored(self) -> Path:
        """Return the newest copy, under the path of the machine."""
        place = self.root / "restored"
        shutil.rmtree(place, ignore_errors=True)
        self.restic("restore", "latest", "--host", "home", "--tag", "homeserver", "--target", str(place))
        return place / self.root.relative_to("/")

    def metrics(self) -> dict[str, float]:
        """Return the metrics, by name and labels."""
        lines = (self.root / "metrics/homeserver_backup.prom").read_text().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name.removeprefix("homeserver_backup_"): float(value) for name, value in pairs}
