"""The shared documentation of modules that use a restic repository."""


class ModuleDocFragment:
    """Their options."""

    DOCUMENTATION = """
options:
  location:
    type: str
    required: true
    description: Location of the repository, in restic's syntax.
  password:
    type: str
    required: true
    description: The password of the repository.
  environment:
    type: dict
    default: {}
    description: Environment variables for restic, such as the keys of an S3 server.
"""
