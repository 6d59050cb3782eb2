"""The module volume_copies."""

from __future__ import annotations

DOCUMENTATION = """
module: volume_copies
short_description: Copies the directories of volumes beside them, and brings the copies back
description:
  - M(homeserver.stack.component) uses it before it upgrades a part of the home that has data.
  - Nothing may use the volumes meanwhile.
options:
  volumes:
    description: The directories of the volumes. All are in the same directory.
    type: list
    elements: path
    required: true
  state:
    description:
      - V(present) copies each volume, instead of a copy that there was.
      - V(restored) puts each copy in the place of its volume. A volume without a copy stays as it is, so that
        an interrupted run can be repeated.
      - V(absent) removes the copies.
    type: str
    choices: [present, restored, absent]
    default: present
attributes:
  check_mode:
    support: full
    description: It checks whether the disk has room for the copies.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
"""

EXAMPLES = """
- homeserver.stack.volume_copies:
    volumes: [/var/snap/microk8s/common/default-storage/monitoring-prometheus-pvc-1]
"""

RETURN = """
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils import volume_copies

COPIES = ".homeserver-upgrade"
"""The directory with the copies, beside the volumes and on the same disk. Backups do not have it."""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "volumes": {"type": "list", "elements": "path", "required": True},
            "state": {"choices": ["present", "restored", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    volumes = [Path(each) for each in module.params["volumes"]]
    try:
        changed = _act(volumes, module.params["state"], check_mode=module.check_mode)
    except (volume_copies.CopyError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


def _act(volumes: list[Path], state: str, *, check_mode: bool) -> bool:
    if not volumes:
        return False
    copies = volumes[0].parent / COPIES
    if check_mode:
        if state == "present":
            volume_copies.check_room(volumes)
        return True
    if state == "restored":
        for each in volumes:
            volume_copies.bring_back(each, copies)
        return True
    changed = volume_copies.remove_of(volumes, copies)
    if state == "absent":
        return changed
    volume_copies.check_room(volumes)
    for each in volumes:
        volume_copies.copy(each, copies)
    return True


if __name__ == "__main__":
    main()
