"""Backups as the control machine and the modules see them: keys, restic, volumes."""
