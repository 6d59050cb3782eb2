"""Errors of backups."""


class BackupError(Exception):
    """A failed job. The message also says how to fix it."""


class UnavailableError(BackupError):
    """A repository that may only be unavailable temporarily."""
