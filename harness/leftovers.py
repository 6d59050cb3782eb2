"""What a removal must not leave on a machine."""

import re

from testinfra.host import Host

FILES = (
    "/etc/apparmor.d/cri-containerd.apparmor.d",
    "/etc/cni",
    "/etc/homeserver/backup.json",
    "/etc/homeserver/encryption.yaml",
    "/etc/homeserver/update.json",
    "/etc/microk8s.yaml",
    "/etc/sysctl.d/10-microk8s.conf",
    "/etc/sysctl.d/60-homeserver.conf",
    "/etc/systemd/system/homeserver-backup.timer",
    "/etc/systemd/system/homeserver-journal.service",
    "/etc/systemd/system/homeserver-patches.timer",
    "/etc/systemd/system/snap.microk8s.daemon-kubelite.service.d",
    "/opt/cni",
    "/root/.kube",
    "/snap/microk8s",
    "/usr/local/lib/homeserver-journal.py",
    "/usr/libexec/kubernetes",
    "/usr/local/lib/homeserver/backup.py",
    "/usr/local/lib/homeserver/homeserver_backup",
    "/usr/local/lib/homeserver/homeserver_patches",
    "/usr/local/lib/homeserver/homeserver_update",
    "/var/lib/cni",
    "/var/lib/homeserver-backup",
    "/var/lib/homeserver-filebeat",
    "/var/lib/homeserver-patches",
    "/var/lib/homeserver-update",
    "/var/log/containers",
    "/var/log/homeserver-journal",
    "/var/log/pods",
    "/var/snap/microk8s",
)


def left_behind(host: Host) -> list[str]:
    """Return the files, units, processes, rules, routes and links of a home that a machine still has."""
    files = [path for path in FILES if host.file(path).exists]
    named = re.findall(
        ".*microk8s.*", host.check_output("snap list; systemctl list-units --all; getent group")
    )
    in_pods = host.check_output("find /sys/fs/cgroup -path '*kubepods*' -name cgroup.procs -exec cat {} +")
    processes = [f"process {number}" for number in sorted(set(in_pods.split()))]
    network = host.check_output("iptables-save; ip -brief link; ip route; nft list tables")
    return [
        *files,
        *named,
        *processes,
        *re.findall(".*(?:KUBE-|cali|inet homeserver|table ip6? ).*", network),
    ]
