"""Check what the roles apply by default with checkov: `python -m tools.checkov PROGRAM`.

What a check asks and a workload does not do is skipped in its annotations, with the reason.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from harness import manifests


def main(program: str) -> int:
    """Return checkov's exit code; it prints what failed."""
    with TemporaryDirectory() as directory:
        rendered = manifests.rendered("defaults", Path(directory) / "home")
        (Path(directory) / "defaults.yaml").write_text(yaml.safe_dump_all(rendered))
        # It would ask a host outside for guidelines.
        command = [program, "--framework", "kubernetes", "--skip-download", "--compact", "--quiet"]
        return subprocess.run(
            [*command, "--file", f"{directory}/defaults.yaml"], cwd=directory, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).absolute())))
