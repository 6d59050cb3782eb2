"""A Python package that is missing is named where it is needed first, with the fix."""

import subprocess
import sys

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import libraries

from harness.roles import ROOT

USES = {
    "kubernetes": "from {0}.kubernetes import cluster; cluster.Cluster('/kubeconfig')",
    "packaging": "from {0} import app_packages; app_packages._requirement(None, 1, 'flask')",
    "pathspec": (
        "from {0}.registry import image_build; from pathlib import Path; image_build._ignored(Path('none'))"
    ),
    "requests": "from {0}.registry import downloads; downloads.Web(print)",
    "yaml": "from {0}.kubernetes import objects; objects.read('a: 1', 'file')",
}


@pytest.mark.parametrize("package", USES)
def test_its_first_use_says_what_to_do(package: str) -> None:
    use = USES[package].format("ansible_collections.homeserver.stack.plugins.module_utils")
    # Ansible itself needs YAML for its loader, modules do not.
    code = f"import sys; sys.modules[{package!r}] = None; sys.path.insert(0, 'collections'); {use}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]

    assert f"Failed to import the required Python library ({package})" in last
    assert last.endswith(" -> pip install -r requirements.txt")


def test_a_mistake_in_a_package_is_not_hidden() -> None:
    with pytest.raises(ImportError, match="cannot import name"):
        libraries.missing(ImportError("cannot import name x", name="requests"))
