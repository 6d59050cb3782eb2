"""The shared documentation of actions on the cluster."""


class ModuleDocFragment:
    """Their options."""

    DOCUMENTATION = """
options:
  kubeconfig:
    description:
      - Path of the kubeconfig file on the control machine; its current context is used.
      - The default is that of the home, C(homeserver_kubeconfig).
    type: path
"""
