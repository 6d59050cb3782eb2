"""What `homeserver.stack.kubernetes_apply` takes and returns; the action plugin of its name does the work."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_apply
short_description: Applies all objects of one application to a cluster and waits until they run
description:
  - Renders every manifest on the control machine, lets the API server check all of them, and only then
    applies those that differ, by server-side apply with the field manager C(homeserver).
  - Labels every object with C(app.kubernetes.io/managed-by=homeserver) and with C(app.kubernetes.io/part-of),
    set to O(application). What carries both labels, was applied by this module and is no longer rendered is
    deleted; namespaces, CRDs, volumes and volume claims are spared.
  - Annotates every pod template with C(homeserver.stack/config-hash), a hash of itself and of the ConfigMaps
    and Secrets of the same application that it uses, so that a changed configuration rolls the pods.
  - Waits until every Deployment, StatefulSet, DaemonSet and Job is rolled out, and fails as soon as one
    cannot be, with one message that names the object, its pods, the reason and the last lines of their logs.
  - In check mode the API server says what would happen. A cluster, namespace or CRD may be yet to come.
options:
  application:
    description: Name of the application; what is no longer rendered is looked for under this name.
    type: str
    required: true
  definitions:
    description: Objects to apply, given as data.
    type: list
    elements: dict
    default: []
  files:
    description: Plain manifests to apply, found as a role's files are, or by an absolute path.
    type: list
    elements: path
    default: []
  kubeconfig:
    description: Path of the kubeconfig file on the control machine; its current context is used.
    type: path
    required: true
  partial:
    description:
      - Whether the objects are only a part of the application, which shall start ahead of the rest.
      - Then nothing is deleted, and nothing is waited for that the later call for all of it waits for.
    type: bool
    default: false
  state:
    description:
      - V(present) applies the objects.
      - V(absent) deletes everything that carries the application's labels, volume claims included, and waits
        until it is gone; no object needs to be given.
    type: str
    choices: [present, absent]
    default: present
  templates:
    description: Templates of manifests to apply, found as a role's are; each may hold several documents.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that everything waited for may take together.
    type: int
    default: 300
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author:
  - The homeserver.stack maintainers
"""

EXAMPLES = """
- name: The wiki runs as described
  homeserver.stack.kubernetes_apply:
    kubeconfig: "{{ homeserver_kubeconfig }}"
    application: wiki
    templates: [namespace.yaml.j2, wiki.yaml.j2]

- name: The wiki is gone
  homeserver.stack.kubernetes_apply:
    kubeconfig: "{{ homeserver_kubeconfig }}"
    application: wiki
    state: absent
"""

RETURN = """
created:
  description: Objects that were not there before, each as kind, namespace and name.
  returned: success
  type: list
  elements: str
  sample: ["Deployment wiki/wiki"]
updated:
  description: Objects that were there and were changed.
  returned: success
  type: list
  elements: str
deleted:
  description: Objects that were deleted.
  returned: success
  type: list
  elements: str
"""
