"""daemon-apiserver-kicker: every five seconds, sees to it that the node is as it should be."""

import contextlib
import os
import subprocess
import time
from pathlib import Path

from . import arguments, certificates, console, containers, kubernetes, network, paths, services

INTERVAL = 5


def main() -> None:
    """Reconcile, for ever."""
    while True:
        if services.is_active("kubelite"):
            reissue_certificate()
            apply_network()
        open_sockets()
        run_hooks(paths.common() / "hooks/reconcile.d")
        time.sleep(INTERVAL)


def reissue_certificate() -> None:
    """Replace server.crt when the host's addresses or the template changed; restart what serves with it."""
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
    services.restart("cluster-agent")
    services.pause("kubelite")
    containers.kill_all()
    services.restart("containerd")
    services.resume("kubelite")


def apply_network() -> None:
    """Apply cni.yaml as long as that has not succeeded."""
    manifest = paths.data() / "args/cni-network/cni.yaml"
    if not manifest.exists() or paths.lock("cni-loaded").exists() or not kubernetes.is_ready(with_node=False):
        return
    with contextlib.suppress(subprocess.CalledProcessError):
        console.say(kubernetes.kubectl("apply", f"--filename={manifest}").rstrip())
        paths.lock("cni-loaded").touch()


def open_sockets() -> None:
    """Let the group microk8s use the datastore and containerd, whose sockets are new after every start."""
    backend = paths.data() / "var/kubernetes/backend"
    sockets = (*backend.glob("*.sock*"), paths.containerd_socket())
    certificates.give_to_group(*(socket for socket in sockets if socket.is_socket()))


def run_hooks(directory: Path) -> None:
    """Run the executables an owner has put into a hook directory; what they return does not matter."""
    for hook in sorted(directory.glob("*")):
        if os.access(hook, os.X_OK):
            subprocess.run([str(hook)], check=False)
