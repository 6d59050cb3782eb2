"""The hooks that snapd runs when the snap is installed, configured and removed."""

import grp
import shutil
import subprocess
import sys
from pathlib import Path

from . import (
    arguments,
    calico,
    certificates,
    console,
    containers,
    datastore,
    host,
    kicker,
    kubelite,
    launch,
    paths,
    services,
)

# The paths where other programs expect files, and their targets. Existing paths are not replaced.
LINKS = {
    Path("/var/lib/kubelet"): paths.common() / "var/lib/kubelet",
    Path("/var/lib/calico"): paths.current() / "var/lib/calico",
    Path("/etc/cni/net.d"): paths.current() / "args/cni-network",
    Path("/opt/cni/bin"): paths.current() / "opt/cni/bin",
}
DIRECTORIES = ("addons", "etc/launcher", "etc/sideload", "hooks", "plugins", "run", "var/lib/kubelet")
LOCKS = ("installed.lock", "lite.lock", "ha-cluster", "no-etcd", "no-flanneld", "no-apiserver-proxy")
POD_NETWORK = "10.1.0.0/16"
PLACES_TO_SIDELOAD_FROM = (Path("/root/snap/microk8s/common/sideload"), paths.common() / "sideload")


def install() -> None:
    """Create the files of a new node."""
    if paths.lock("installed.lock").exists():
        return
    shutil.copytree(paths.snap() / "default-args", paths.data() / "args")
    shutil.copytree(paths.snap() / "opt/cni/bin", paths.data() / "opt/cni/bin")
    for directory in DIRECTORIES:
        (paths.common() / directory).mkdir(parents=True, exist_ok=True)
    (paths.data() / "var/lib/calico").mkdir(parents=True)
    paths.lock("").mkdir()
    paths.certificate("").mkdir()
    shutil.copy(paths.snap() / "certs/csr.conf.template", paths.certificate("csr.conf.template"))
    paths.credential("").mkdir()
    for link, target in LINKS.items():
        if not (link.exists() or link.is_symlink()):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
    _launch()
    for place in PLACES_TO_SIDELOAD_FROM:
        for archive in place.glob("*.tar"):
            shutil.copy(archive, paths.common() / "etc/sideload")
    certificates.create()
    datastore.create()
    _pod_network()
    host.run_with_sudo("touch", *(str(paths.lock(name)) for name in LOCKS))
    certificates.restrict()


def _launch() -> None:
    """Configure the node as far as possible without services; the cluster agent does the rest."""
    pending = paths.common() / "etc/launcher/install.yaml"
    shutil.copy(launch.source(), pending)
    try:
        launch.configure(launch.load(pending.read_text()))
    except launch.InvalidError as error:
        console.warn(f"Invalid launch configuration {launch.source()}: {error}")
        sys.exit(1)


def _pod_network() -> None:
    """Write the manifest that the kicker applies."""
    manifest = paths.data() / "args/cni-network/cni.yaml"
    manifest.parent.mkdir()
    upstream = (paths.snap() / "upstream/calico/calico-vxlan.yaml").read_text()
    pod_network = arguments.get("kube-proxy", "--cluster-cidr") or POD_NETWORK
    manifest.write_text(calico.manifest(upstream, pod_network))


def configure() -> None:
    """Apply `snap set microk8s config=...`, set the group's permissions, and restart Kubernetes."""
    launcher = paths.common() / "etc/launcher"
    wanted = subprocess.run(["snapctl", "get", "config"], check=True, capture_output=True, text=True).stdout
    applied = launcher / "snap-set.yaml.applied"
    if wanted.strip() and not (applied.exists() and applied.read_text() == wanted):
        (launcher / "snap-set.yaml").write_text(wanted)
    try:
        grp.getgrnam("microk8s")
    except KeyError:
        subprocess.run(["groupadd", "--system", "microk8s"], check=True)
    certificates.restrict()
    if not paths.lock("stopped.lock").exists():
        services.restart("kubelite")


def remove() -> None:
    """Stop everything and remove the files outside the snap's directories.

    Like Canonical's, it keeps the group, and the iptables rules of kube-proxy and Calico.
    """
    services.pause(*services.ALL)
    containers.kill_all()
    kubelite.stop_forwarding_pods()
    containers.unmount_all()
    for link in LINKS:
        if link.is_symlink():
            link.unlink()
    (host.SYSCTL_DIRECTORY / host.SYSCTL).unlink(missing_ok=True)
    host.apply_kernel_settings()
    for interface in _pod_interfaces():
        subprocess.run(["ip", "link", "delete", interface], check=False)
    for directory in (paths.common() / "var/lib/containerd", paths.common() / "run/containerd"):
        shutil.rmtree(directory, ignore_errors=True)
    kicker.run_hooks(paths.common() / "hooks/remove.d")


def _pod_interfaces() -> list[str]:
    names = [interface.name for interface in Path("/sys/class/net").iterdir()]
    return [name for name in names if name.startswith("cali") or name == "vxlan.calico"]
