"""What the tests, the tools and the benchmarks share. To import it makes the collection known."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
# Ansible's commands are those beside this Python, also where its environment is not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

from ansible.plugins.loader import init_plugin_loader  # noqa: E402 (it reads the configuration named above)

# From here on `ansible_collections.homeserver.stack` can be imported, as in a playbook.
init_plugin_loader()
