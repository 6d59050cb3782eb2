"""daemon-apiserver-kicker: reconciles the state of the node every five seconds."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from . import arguments, certificates, console, containers, kubernetes, network, paths, services

INTERVAL = 5


def main() -> None:
    """Reconcile forever, unless this node is a worker."""
    if paths.lock("clustered.lock").exists():
        console.leave("api service kicker will not run on a cluster node", 0)
    while True:
        # Like MicroK8s', which looks for "active" in a table that says "inactive" of a stopped service.
        reissue_certificate()
        if services.is_active("kubelite"):
            apply_network()
        open_sockets()
        run_hooks(paths.common() / "hooks/reconcile.d")
        time.sleep(INTERVAL)


def reissue_certificate() -> None:
    """Replace server.crt when addresses or the template changed; restart the services that use it."""
    if (
        arguments.has_fixed_address()
        or paths.lock("no-cert-reissue").exists()
        or not network.default_interface()
    ):
        return
    if not certificates.request_is_outdated():
        return
    console.say("cert change detected. Restarting")
    certificates.issue_server()
    certificates.restrict()
    if paths.lock("join-in-progress").exists():
        # A join that failed has left the lock: nothing takes the new certificate until someone restarts it.
        return
    services.restart("cluster-agent")
    services.pause("kubelite")
    containers.kill_all()
    services.restart("containerd")
    services.resume("kubelite")


def apply_network() -> None:
    """Apply cni.yaml until that succeeds."""
    manifest = paths.data() / "args/cni-network/cni.yaml"
    if not manifest.exists() or paths.lock("cni-loaded").exists() or not kubernetes.is_ready(with_node=False):
        return
    with contextlib.suppress(subprocess.CalledProcessError):
        console.say(kubernetes.kubectl("apply", f"--filename={manifest}").rstrip())
        paths.lock("cni-loaded").touch()


def open_sockets() -> None:
    """Give the group microk8s access to the sockets of the datastore and containerd, new at every start."""
    backend = paths.data() / "var/kubernetes/backend"
    sockets = (*backend.glob("*.sock*"), paths.containerd_socket())
    certificates.give_to_group(*(socket for socket in sockets if socket.is_socket()))


def run_hooks(directory: Path) -> None:
    """Run the owner's executables in a hook directory; their exit codes are ignored."""
    for hook in sorted(directory.glob("*")):
        if os.access(hook, os.X_OK):
            subprocess.run([str(hook)], check=False)
