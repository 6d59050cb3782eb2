"""The shared documentation of modules that change nothing."""


class ModuleDocFragment:
    """Their attributes."""

    DOCUMENTATION = """
options: {}
attributes:
  check_mode:
    support: full
    description: It changes nothing.
"""
