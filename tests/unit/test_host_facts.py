"""Facts about a host, read from sample files of the kernel and from this machine."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import snapd
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import host_facts

from harness.snapd import answering

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1
   1: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1
   2: 0A00000A:01BB 0B00000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 333 1
"""


def test_only_sockets_that_other_hosts_reach_are_listed() -> None:
    assert list(host_facts.listening([TCP])) == [(80, "111")]


@pytest.mark.parametrize(("loadable", "program"), [(True, "/bin/true"), (False, "/bin/false")])
def test_wireguard_is_in_the_kernel_or_can_be_loaded(tmp_path: Path, loadable: bool, program: str) -> None:
    assert host_facts.has_wireguard(tmp_path, program) is loadable
    assert host_facts.has_wireguard(tmp_path, "/nowhere/modprobe") is False
    (tmp_path / "wireguard").mkdir()
    assert host_facts.has_wireguard(tmp_path, "/bin/false") is True


def test_a_lid_or_a_desktop_may_suspend_a_host(tmp_path: Path) -> None:
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    busctl = tmp_path / "busctl"
    busctl.write_text("#!/bin/sh\ncat $0.says\n")
    busctl.chmod(0o755)

    def found(lid: str = "") -> str:
        (tmp_path / "busctl.says").write_text(lid)
        return host_facts.suspends(tmp_path, str(busctl))

    assert found() == ""
    (units / "display-manager.service").symlink_to("/lib/systemd/system/gdm.service")
    assert found() == "a desktop"
    (tmp_path / "proc/acpi/button/lid").mkdir(parents=True)
    assert found('s "suspend"\n') == "its lid"
    assert found('s "ignore"\n') == "a desktop"
    (units / "suspend.target").symlink_to("/dev/null")
    assert found('s "suspend"\n') == ""


def test_settings_of_the_kernel_are_changed_by_later_files_alone(tmp_path: Path) -> None:
    places = [tmp_path / "etc", tmp_path / "lib"]
    for name, text in {
        "etc/sysctl.d/10-first.conf": "kernel.panic=1",
        "etc/sysctl.d/99-own.conf": "# vm.panic_on_oom = 1\n; no\n\n-kernel/panic = 5\nnonsense",
        "lib/sysctl.d/99-own.conf": "kernel.panic = 7",
        "lib/sysctl.d/98-shipped.conf": "vm.overcommit_memory=2\nkernel.panic = 6",
        "lib/sysctl.d/98-shipped.bak": "vm.swappiness=2",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    last = tmp_path / "etc/sysctl.conf"
    assert host_facts.later_settings("60-ours.conf", places) == {
        "vm.overcommit_memory": "2",
        "kernel.panic": "5",
    }
    last.write_text("kernel.panic = 8\n")
    assert host_facts.later_settings("60-ours.conf", places)["kernel.panic"] == "8"


def process(proc: Path, pid: int, name: str, group: str, inode: str) -> None:
    directory = proc / str(pid)
    (directory / "fd").mkdir(parents=True)
    (directory / "fd/3").symlink_to(f"socket:[{inode}]")
    (directory / "comm").write_text(f"{name}\n")
    (directory / "cgroup").write_text(group)


@pytest.mark.parametrize(
    ("group", "taken"),
    [
        (
            "0::/system.slice/nginx.service\n",
            [{"port": 80, "process": "nginx", "unit": "nginx.service"}],
        ),
        ("0::/user.slice/session-1.scope\n", [{"port": 80, "process": "nginx", "unit": ""}]),
        ("0::/system.slice/snap.microk8s.daemon-kubelite.service\n", []),
        ("0::/kubepods/burstable/pod12/34\n", []),
    ],
)
def test_a_port_is_taken_by_any_process_but_microk8s(
    tmp_path: Path, group: str, taken: list[dict[str, Any]]
) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    process(tmp_path, 12, "nginx", group, "111")
    assert host_facts.taken_ports([80, 443], tmp_path) == taken


def test_a_port_without_a_process_is_the_kernels(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/tcp").write_text(TCP)
    assert host_facts.taken_ports([80], tmp_path) == [{"port": 80, "process": "the kernel", "unit": ""}]


def test_a_real_listener_is_found() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        (taken,) = host_facts.taken_ports([server.getsockname()[1]])
    assert taken["process"] in {Path("/proc/self/comm").read_text().strip(), "the kernel"}


def test_control_groups_of_both_versions_are_read(tmp_path: Path) -> None:
    table = tmp_path / "cgroups"
    table.write_text("#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\n")
    assert host_facts.cgroups(tmp_path, table) == {"version": 1, "controllers": ["cpu"]}
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    assert host_facts.cgroups(tmp_path, table) == {"version": 2, "controllers": ["cpu", "memory"]}


def test_the_default_route_is_found() -> None:
    head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
    local = "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
    assert host_facts.default_interface(head + local) == ""
    assert host_facts.default_gateway(head + local) == ""
    default = "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\n"
    assert host_facts.default_interface(head + local + default) == "wlan0"
    assert host_facts.default_gateway(head + local + default) == "192.168.1.1"


def test_addresses_from_dhcp_are_distinguished_from_fixed_ones() -> None:
    links = [
        {"ifname": "eth0", "addr_info": [{"local": "192.168.1.10", "dynamic": True}, {"local": "10.0.0.1"}]},
        {},
    ]
    links[1] = {"ifname": "down0"}
    assert host_facts.addresses(json.dumps(links)) == {
        "192.168.1.10": {"interface": "eth0", "dynamic": True},
        "10.0.0.1": {"interface": "eth0", "dynamic": False},
    }
    assert host_facts.addresses("") == {}


def test_the_own_addresses_are_those_of_the_host_with_the_default_routes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interfaces = {"127.0.0.1": "lo", "10.8.0.2": "tun0", "192.168.1.10": "eth0", "10.1.2.3": "vxlan.calico"}
    found = {address: {"interface": interface} for address, interface in interfaces.items()}
    monkeypatch.setattr(host_facts, "ip_addresses", lambda: found)
    monkeypatch.setattr(host_facts, "default_interface", lambda _: "eth0")
    assert host_facts.own_addresses() == ["192.168.1.10", "10.8.0.2"]


SHIPPED = """\
#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter;
	}
}
"""


@pytest.mark.parametrize(
    ("configuration", "idle"),
    [
        (SHIPPED, True),
        (SHIPPED.replace("priority filter;", "priority 0;"), True),
        (SHIPPED.replace("priority filter;", "priority filter; policy drop;"), False),
        (SHIPPED.replace("priority filter;", "priority filter;\n\t\ttcp dport 23 drop"), False),
        (SHIPPED + 'include "/etc/nftables.d/*.nft"\n', False),
    ],
)
def test_rules_of_the_owner_are_told_from_the_file_that_debian_ships(
    tmp_path: Path, configuration: str, idle: bool
) -> None:
    (tmp_path / "nftables.conf").write_text(configuration)
    assert not host_facts.has_idle_nftables(tmp_path)
    wants = tmp_path / "systemd/system/sysinit.target.wants"
    wants.mkdir(parents=True)
    unit = tmp_path / "nftables.service"
    unit.touch()
    (wants / "nftables.service").symlink_to(unit)
    assert host_facts.has_idle_nftables(tmp_path) == idle


def test_a_host_without_nftables_has_none_that_is_idle(tmp_path: Path) -> None:
    assert not host_facts.has_idle_nftables(tmp_path)


def test_this_machine_can_be_read() -> None:
    assert host_facts.os_release(Path("/etc/os-release").read_text())["ID"]
    assert host_facts.memory_mib() > 100
    assert host_facts.disk_free_gib(Path("/var/snap/of/the/future")) > 0
    assert host_facts.cgroups()["controllers"]


ANSWERS = {
    "/v2/system-info": {"version": "2.61"},
    "/v2/snaps": [
        {"name": "core", "version": "16", "revision": "x1"},
        {
            "name": "microk8s",
            "version": "v1.35.4",
            "revision": "8000",
            "tracking-channel": "1.35/stable",
            "hold": "2300",
        },
    ],
    "/v2/find?name=microk8s": [{"channels": {"1.35/stable": {}, "1.36/stable": {}}}],
}


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = os.path.relpath(tmp_path / "s")  # a socket's path has to be short
    monkeypatch.setattr(snapd, "SOCKET", path)
    with answering(path, ANSWERS):
        yield


@pytest.mark.usefixtures("daemon")
def test_snapd_reports_its_version_snaps_and_channels() -> None:
    assert snapd.version() == "2.61"
    assert snapd.snaps() == {
        "core": snapd.Snap("16", "x1", "", held=False),
        "microk8s": snapd.Snap("v1.35.4", "8000", "1.35/stable", held=True),
    }
    assert snapd.store_channels("microk8s") == ["1.35/stable", "1.36/stable"]
    with pytest.raises(snapd.SnapdError, match=r"^no$"):
        snapd.store_channels("other")


def test_without_a_daemon_there_is_no_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(snapd, "SOCKET", str(tmp_path / "none"))
    assert snapd.version() == ""
    with pytest.raises(snapd.SnapdError, match="does not answer"):
        snapd.snaps()
