"""The collection, installed in a separate project, changes nothing on a home that the checkout installed."""

import re
import shutil
from pathlib import Path

from tests.support import collection
from tests.support.home import Home


def test_the_installed_collection_changes_nothing(home: Home, tmp_path: Path) -> None:
    directory = tmp_path / "project"
    directory.mkdir()
    project = collection.install(collection.build(tmp_path), directory)
    shutil.copytree(home.inventory, project.path / "my/inventory")
    for state in (".cache", ".kube", "secrets"):
        shutil.copytree(home.inventory.parent / state, project.path / "my" / state)

    run = project.play("site")

    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout
