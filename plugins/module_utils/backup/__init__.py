"""Backups from the perspective of the control machine and the modules: keys, restic, volumes."""
