"""The documentation that the actions on the cluster share."""


class ModuleDocFragment:
    """Their options."""

    DOCUMENTATION = """
options:
  kubeconfig:
    description:
      - Path of the kubeconfig file on the control machine; its current context is used.
      - By default it is that of the home, C(homeserver_kubeconfig).
    type: path
"""
