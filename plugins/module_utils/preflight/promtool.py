"""Checks an owner's rules and scrape configurations with promtool, if the control machine has it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .problem import Problem


def flaws(rules: Iterable[str], scrape_configs: Sequence[Any]) -> Iterator[Problem]:
    """Report rule files and scrape configurations that Prometheus would reject."""
    program = shutil.which("promtool")
    if program is None:
        return  # promtool in the cluster checks them before they are applied
    for path in rules:
        if said := _said(program, "check", "rules", str(Path(path).expanduser())):
            yield Problem(
                f"{path} is refused by promtool: {said} (prometheus_rules_extra)", "correct that file"
            )
    if not scrape_configs:
        return
    with tempfile.TemporaryDirectory() as directory:
        # JSON is valid YAML. The target files are not in this directory.
        file = Path(directory) / "prometheus.yml"
        file.write_text(json.dumps({"scrape_configs": scrape_configs}))
        if said := _said(program, "check", "config", "--syntax-only", str(file)):
            wrong = f"prometheus_scrape_configs is refused by promtool: {said}"
            yield Problem(wrong, "correct it: Prometheus documents its format as scrape_config")


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines()]
    told = "; ".join(line for line in lines if line and not line.startswith(("Checking ", "FAILED:")))
    # A value may be a password.
    return re.sub(r"`[^`]*`", "a value", told.replace(command[-1], Path(command[-1]).name))
