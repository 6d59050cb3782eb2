"""The documentation that modules share which read a restic repository."""


class ModuleDocFragment:
    """Their options."""

    DOCUMENTATION = """
options:
  location:
    type: str
    required: true
    description: Where the repository is, as restic writes it.
  password:
    type: str
    required: true
    description: The password of the repository.
  environment:
    type: dict
    default: {}
    description: Environment variables that restic reads the location with, such as the keys of an S3 server.
"""
