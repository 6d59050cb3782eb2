"""Saves a machine of the home with restic, and proves that the backup can be restored.

Run by homeserver-backup*.service. It saves the volumes of the cluster, with consistent copies of data that
changes during the save. The founder also saves the cluster's objects and the control machine's inventory.
Each save writes to all repositories, and drills read the first one. If a repository fails, the others are
still written.
"""
