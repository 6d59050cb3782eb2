"""The documentation that modules share which change nothing."""


class ModuleDocFragment:
    """Their attributes."""

    DOCUMENTATION = """
options: {}
attributes:
  check_mode:
    support: full
    description: It changes nothing.
"""
