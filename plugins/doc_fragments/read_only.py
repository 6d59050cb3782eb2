"""What the modules that only look have in common."""


class ModuleDocFragment:
    """Their attributes."""

    DOCUMENTATION = """
options: {}
attributes:
  check_mode:
    support: full
    description: It changes nothing.
"""
