"""Errors of updates."""


class UpdateError(Exception):
    """An update cannot be made for now. The message also says how to fix it."""


class WorseError(Exception):
    """An app is worse with its new version. The message says how."""
