"""`microk8s leave`: this node becomes a cluster of its own, without anything of the one it was in."""

import argparse
import contextlib
import shutil
import subprocess

from . import certificates, console, datastore, kubernetes, node, paths, services

START_TIMEOUT = 60


def main(words: list[str]) -> None:
    """Leave the cluster. On the node that others have joined, this removes the cluster's data unasked.

    Raises:
        SystemExit: With 1, if no other node was ever in a cluster with this one.
    """
    argparse.ArgumentParser("microk8s leave").parse_args(words)
    if not paths.lock("no-cert-reissue").exists():
        console.leave("This MicroK8s deployment is not acting as a node in a cluster.", 1)
    if paths.lock("clustered.lock").exists():
        _forget_the_cluster()
    services.pause("kubelite", "k8s-dqlite")
    certificates.issue_components()
    console.say("Generating new cluster certificates.")
    datastore.wipe()
    for name in ("no-cert-reissue", "clustered.lock", "no-k8s-dqlite"):
        paths.lock(name).unlink(missing_ok=True)
    certificates.restrict()
    node.stop()
    node.start()
    _apply_network()


def _forget_the_cluster() -> None:
    console.say("Configuring services.")
    paths.lock("no-apiserver-proxy").touch()
    services.pause("apiserver-proxy")
    paths.certificate("ca.remote.crt").unlink()
    for file in ("kubelet", "kube-proxy"):
        shutil.copyfile(paths.snap() / "default-args" / file, paths.data() / "args" / file)


def _apply_network() -> None:
    """Apply cni.yaml, which the kicker would not: it has already done so before this node joined."""
    console.say("Waiting for node to start.")
    kubernetes.wait_until_ready(START_TIMEOUT, with_node=False)
    with contextlib.suppress(subprocess.CalledProcessError):
        kubernetes.kubectl("apply", f"--filename={paths.data() / 'args/cni-network/cni.yaml'}")
