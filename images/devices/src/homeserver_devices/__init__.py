"""Gives devices of a machine to the pods that ask for them: a device plugin of Kubernetes.

`messages` encodes the kubelet's messages, `plugin` serves one resource to the kubelet, `devices` looks for
device nodes, `cdi` tells containerd which nodes a resource has, and `audit` writes the log.
"""
