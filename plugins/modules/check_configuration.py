"""The documentation of the action check_configuration."""

from __future__ import annotations

DOCUMENTATION = """
module: check_configuration
short_description: Lets a program check its configuration before it is applied
description:
  - Runs a check such as that of promtool or amtool in the cluster, with the image of the program itself, in a
    pod that is removed afterwards. The namespace C(check-<application>) remains.
  - Runs it only when the configuration differs from the one in the cluster. Changes nothing.
  - Fails with one message that contains the output of the check.
  - Does nothing in check mode.
options:
  application:
    description: The application of M(homeserver.stack.kubernetes_apply) that the configuration belongs to.
    type: str
    required: true
  command:
    description: The program and the arguments of the check. It runs in the directory of the files.
    type: list
    elements: str
    required: true
  files:
    description: The configuration, as contents by file name. It is never shown.
    type: dict
    required: true
  image:
    description: The reference of the image of the program.
    type: str
    required: true
  initially:
    description: Whether to check it when there is no configuration in the cluster yet.
    type: bool
    default: true
  live:
    description: The objects in the cluster that contain the configuration.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description: Its kind.
        type: str
        choices: [ConfigMap, Secret]
        required: true
      name:
        description: Its name.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
  timeout:
    description: Seconds the check may take, without the time to pull its image.
    type: int
    default: 300
attributes:
  check_mode:
    support: full
    description: It does nothing.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.cluster
"""

EXAMPLES = """
- name: Check that Prometheus can read the rules
  homeserver.stack.check_configuration:
    application: prometheus
    image: quay.io/prometheus/prometheus:v3.5.1
    command: [/bin/promtool, check, config, prometheus.yml]
    files:
      prometheus.yml: "rule_files: [house.yml]"
      house.yml: "groups: []"
    live: [{kind: ConfigMap, namespace: monitoring, name: prometheus}]
"""

RETURN = """
"""
