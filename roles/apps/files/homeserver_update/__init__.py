"""Updates the owner's apps, and takes back an update that makes an app worse, with its data.

Run by homeserver-update*.service on the founder. An app, or a stack, is stopped if it has volumes, and
their directories are copied. Then it runs with the newer image and is watched. If it becomes worse, the
former image and the former data come back, and this version is skipped from then on. The progress is on the
disk, so that an interrupted update is taken back, too.
"""
