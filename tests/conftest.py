"""What the tests of the collection share."""

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent
os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")

from ansible.plugins.loader import init_plugin_loader  # noqa: E402 (it reads the configuration named above)

# From here on `ansible_collections.homeserver.stack` can be imported, as in a playbook.
init_plugin_loader()
