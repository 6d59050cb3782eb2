"""Images: references, digests and locks, registries, builds, bundles."""
