"""The documentation of the action kubernetes_apply."""

from __future__ import annotations

DOCUMENTATION = """
module: kubernetes_apply
short_description: Applies all objects of one application to a cluster and waits until they run
description:
  - Renders all manifests on the control machine, lets the API server validate all of them, and then applies
    those that differ, using server-side apply with the field manager C(homeserver).
  - Labels every object with C(app.kubernetes.io/managed-by=homeserver) and with C(app.kubernetes.io/part-of),
    set to O(application). Deletes objects with both labels that this module applied and that are no longer
    rendered, except namespaces, CRDs, volumes and volume claims. A workload whose kind changes, such as a
    Deployment that becomes a DaemonSet, runs until its successor does.
  - Gives pods with images from a registry in C(homeserver_registry_logins) a Secret to pull them.
  - Lets pods without a volume claim or a host path leave an unreachable node after 20 seconds.
  - Annotates every pod template with C(homeserver.stack/config-hash), a hash of itself and of the ConfigMaps
    and Secrets of the same application that it uses. A changed configuration then rolls the pods.
  - Waits until every Deployment, StatefulSet, DaemonSet and Job is rolled out. Fails as soon as one cannot be
    rolled out, with one message that names the object, its pods, the reason and their last log lines.
    The next run replaces a failed Job.
  - Reports how long a changed workload was unavailable, if its only pod ends before the next one starts.
  - If an image cannot be pulled, waits ten minutes for the kubelet's retries, unless the registry's error is
    permanent. Every half minute, shows the reason for the wait.
  - In check mode the API server reports what would change. The cluster, namespaces and CRDs need not exist.
options:
  application:
    description: Name of the application. Objects that are no longer rendered are found by this name.
    type: str
    required: true
  definitions:
    description: Objects to apply, given as data.
    type: list
    elements: dict
    default: []
  files:
    description: Plain manifests to apply, found like the files of a role, or by an absolute path.
    type: list
    elements: path
    default: []
  partial:
    description:
      - Whether the objects are only a part of the application that starts before the rest.
      - Then the module deletes nothing and waits for no workload. The later call with all objects does both.
    type: bool
    default: false
  state:
    description:
      - V(present) applies the objects.
      - V(absent) deletes all objects with the labels of the application, including volume claims, and waits
        until they are gone. No object needs to be specified.
    type: str
    choices: [present, absent]
    default: present
  templates:
    description: Templates of manifests to apply, found like the templates of a role.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for all waiting together, without the time to pull images.
    type: int
    default: 300
  volumes:
    description:
      - Whether volume claims that are no longer rendered are kept or deleted, with their data.
      - By default, V(present) keeps them and V(absent) deletes them. If V(absent) keeps one, its namespace
        also stays.
    type: str
    choices: [keep, delete]
attributes:
  check_mode:
    support: full
    description: The API server validates every object in its own dry run.
  diff_mode:
    support: full
    description: It shows the changes in each object. For a Secret, it only shows the names of keys.
author:
  - The homeserver.stack maintainers (!UNKNOWN)
extends_documentation_fragment: homeserver.stack.cluster
"""

EXAMPLES = """
- name: Apply the wiki
  homeserver.stack.kubernetes_apply:
    application: wiki
    templates: [namespace.yaml.j2, wiki.yaml.j2]

- name: Remove the wiki
  homeserver.stack.kubernetes_apply:
    application: wiki
    state: absent
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
