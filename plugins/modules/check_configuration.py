"""What `homeserver.stack.check_configuration` takes; the action plugin of its name does the work."""

from __future__ import annotations

DOCUMENTATION = """
module: check_configuration
short_description: Lets a program check its configuration before that gets into the cluster
description:
  - Runs the program's own check, such as promtool's or amtool's, in the cluster, by the image that the
    program itself runs from, in a pod that is gone afterwards.
  - Does so only when the configuration is not the one that is in the cluster. Changes nothing.
  - Fails with one message that holds what the program says.
  - In check mode nothing is run.
options:
  application:
    description: Whose configuration it is; an application of M(homeserver.stack.kubernetes_apply).
    type: str
    required: true
  command:
    description: The check as program and arguments, run in the directory that holds the files.
    type: list
    elements: str
    required: true
  files:
    description: The configuration, as the content of files by their names. It is shown nowhere.
    type: dict
    required: true
  image:
    description: The reference of the image that holds the program.
    type: str
    required: true
  initially:
    description: Whether it is checked also while there is none in the cluster yet.
    type: bool
    default: true
  kubeconfig:
    description: Path of the kubeconfig file on the control machine; its current context is used.
    type: path
    required: true
  live:
    description: The object that holds the configuration in the cluster.
    type: dict
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
    description: Seconds the check may take, with the download of its image.
    type: int
    default: 300
attributes:
  check_mode: {support: full}
author:
  - The homeserver.stack maintainers
"""

EXAMPLES = """
- name: The rules are what Prometheus can read
  homeserver.stack.check_configuration:
    kubeconfig: "{{ homeserver_kubeconfig }}"
    application: prometheus
    image: quay.io/prometheus/prometheus:v3.5.1
    command: [/bin/promtool, check, config, prometheus.yml]
    files:
      prometheus.yml: "rule_files: [house.yml]"
      house.yml: "groups: []"
    live: {kind: ConfigMap, namespace: monitoring, name: prometheus}
"""

RETURN = """
"""
