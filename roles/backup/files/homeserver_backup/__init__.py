"""Saves a machine of the home with restic, and proves that it can be read again.

Run by homeserver-backup*.service. Saved are the volumes of the cluster, with consistent copies of what may
not be copied while it is written, and on the founder what the cluster and the control machine know. Every
repository is written each time; the first is the one that drills read. A failure of one does not stop the
others.
"""
