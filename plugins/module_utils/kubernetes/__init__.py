"""The one client of the cluster. Each module builds only on those above it.

- `objects`: manifests as text and data, without a cluster.
- `cluster`: the connection to the Kubernetes API.
- `rollout`: judges whether a workload runs, and if not, why.
- `pulls`: follows the images that are being pulled.
- `waiting`: waits until objects are gone, served or rolled out.
- `application`: applies, prunes and deletes all objects of an application.
- `jobs`: runs a Job once and removes it.
- `checks`: lets a program check its configuration in such a Job.
"""
