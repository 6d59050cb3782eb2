"""What may go wrong with a backup."""


class BackupError(Exception):
    """What went wrong, and what to do about it."""


class UnavailableError(BackupError):
    """A repository that may be back tomorrow."""
