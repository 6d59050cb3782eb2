"""The documentation of the action component."""

from __future__ import annotations

DOCUMENTATION = """
module: component
short_description: Runs the component that the calling role is, or removes it
description:
  - Follows the role's C(meta/component.yml), which C(roles/common/files/component.schema.yml) describes.
  - If the component is enabled, lets its program check its configuration, applies its manifests as
    M(homeserver.stack.kubernetes_apply) does, and waits until it answers with them.
  - Otherwise deletes its objects and what it has generated on the control machine.
  - It waits for as many seconds as the role's option C(rollout_timeout_seconds) says.
options:
  early:
    description:
      - Templates of what starts before the rest of the component, with its certificates and network policies.
      - Then nothing is deleted or waited for; a later call without this option does both.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The API server judges every object in a dry run. No program checks a configuration.
  diff_mode:
    support: full
    description: It shows what changes in each object; of a Secret only the names of its keys.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.cluster
"""

EXAMPLES = """
- name: Run Grafana
  homeserver.stack.component:
"""

RETURN = """
away:
  description: How many seconds no pod of a changed workload was available, by its kind, namespace and name.
  returned: success
  type: dict
  sample: {"StatefulSet logging/elasticsearch": 21.5}
created:
  description: Objects that did not exist before, each as kind, namespace and name.
  returned: success
  type: list
  elements: str
  sample: ["Deployment wiki/wiki"]
updated:
  description: Objects that existed and were changed.
  returned: success
  type: list
  elements: str
deleted:
  description: Objects that were deleted.
  returned: success
  type: list
  elements: str
"""
