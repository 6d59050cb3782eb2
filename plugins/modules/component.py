"""The documentation of the action component."""

from __future__ import annotations

DOCUMENTATION = """
module: component
short_description: Runs or removes the component of the calling role
description:
  - Follows the role's C(meta/component.yml), which C(roles/common/files/component.schema.yml) documents.
  - If the component is enabled, lets its program check its configuration, applies its manifests like
    M(homeserver.stack.kubernetes_apply), and waits until it runs with them.
  - If an image of a workload with one pod and volumes changes, stops it and copies its volumes first, by
    M(homeserver.stack.volume_copies), unless C(homeserver_upgrade_copies) is false. If the component does not
    run then, brings back the objects and the data before, and fails. The next run finishes what was
    interrupted.
  - If the component is not enabled, deletes its objects and its generated files on the control machine.
  - The timeout is the role's option C(rollout_timeout_seconds), or 300 seconds if the role has none.
options:
  early:
    description:
      - Templates to apply before the rest of the component, with its certificates, namespaces and network
        policies.
      - Then nothing is deleted or awaited. A later call without this option does both.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    description: The API server validates every object in a dry run. No program checks a configuration.
  diff_mode:
    support: full
    description: It shows the changes in each object. For a Secret, it only shows the names of keys.
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
