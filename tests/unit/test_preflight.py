import hashlib
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.action.host_probe import why_unfit
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import checks
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.problem import Problem
from ansible_collections.homeserver.stack.plugins.module_utils.registry.bundle import Bundle
from ansible_collections.homeserver.stack.plugins.modules import host_probe

from harness.roles import ROLES, ROOT

SPECS: dict[str, dict[str, Any]] = {
    "common": {"homeserver_domain": {}},
    "traefik": {"traefik_state": {}, "traefik_routes": {}},
}
LIMITS = checks.Limits({"debian": "12", "ubuntu": "22.04"}, 3500, 15, 3, 60)
HOST: dict[str, Any] = {
    "clock_skew": 0.4,
    "os": {"ID": "debian", "VERSION_ID": "12"},
    "machine": "x86_64",
    "memory_mib": 3900,
    "disk_free_gib": 70.0,
    "cgroups": {"version": 2, "controllers": ["cpuset", "cpu", "io", "memory", "pids"]},
    "hostname": "home",
    "interface": "eth0",
    "addresses": {"192.168.1.10": {"interface": "eth0", "dynamic": False}},
    "taken_ports": [],
    "idle_nftables": False,
    "suspends": "",
    "missing_directories": [],
    "saves_to": [],
    "sudo": True,
    "microk8s": None,
    "addons": [],
}


def texts(problems: Iterable[Problem]) -> list[str]:
    return [str(problem) for problem in problems]


def test_only_who_wants_encryption_needs_a_kernel_with_wireguard() -> None:
    (told,) = texts(checks.cannot_encrypt({"wireguard": False}, "always"))

    assert told == (
        "its kernel has no WireGuard (microk8s_encrypt_between_nodes)"
        " -> install the kernel of your distribution, or set microk8s_encrypt_between_nodes: auto"
    )
    assert texts(checks.cannot_encrypt({"wireguard": False}, "auto")) == []
    assert texts(checks.cannot_encrypt({"wireguard": True}, "always")) == []


def test_who_cannot_encrypt_is_named_where_others_can() -> None:
    (told,) = texts(checks.sends_clear_text({"wireguard": False}, "auto"))

    assert told == (
        "its kernel has no WireGuard: its pods exchange clear text with those of other machines"
        " -> install the kernel of your distribution, or set microk8s_encrypt_between_nodes: never"
    )
    assert texts(checks.sends_clear_text({"wireguard": False}, "never")) == []
    assert texts(checks.sends_clear_text({"wireguard": True}, "auto")) == []


def test_a_repository_without_its_directory_is_told() -> None:
    repositories = [{"location": "/mnt/nas"}, {"location": "sftp:nas.lan:/home"}, {"location": "/mnt/disk"}]
    host: dict[str, Any] = {"missing_directories": ["/mnt/disk"], "saves_to": []}
    (told,) = texts(checks.missing_directories(host, repositories))

    assert told == (
        "it has no directory /mnt/disk (backup_repositories[2].location) -> make it, or mount its disk"
    )
    assert texts(checks.absent_repositories(host, repositories)) == []


def test_one_that_was_there_and_is_away_today_is_only_doubted() -> None:
    repositories = [{"location": "/mnt/nas"}, {"location": "/mnt/disk"}]
    host = {"missing_directories": ["/mnt/nas", "/mnt/disk"], "saves_to": ["/mnt/disk"]}

    assert texts(checks.absent_repositories(host, repositories)) == [
        "/mnt/disk is missing, so nothing is saved there (backup_repositories[1].location) -> mount its disk"
    ]
    assert [text.split()[4] for text in texts(checks.missing_directories(host, repositories))] == ["/mnt/nas"]


def test_a_host_knows_where_it_is_saved_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "backup.json"
    monkeypatch.setattr(host_probe, "_BACKUP", settings)
    assert host_probe._repositories() == []

    settings.write_text('{"repositories": [{"name": "disk", "location": "/mnt/disk"}]}')
    assert host_probe._repositories() == ["/mnt/disk"]
    settings.write_text(
        '{"repositories": [{"name": "disk", "location": "/mnt/disk/home", "parent": "/mnt/disk"}]}'
    )
    assert host_probe._repositories() == ["/mnt/disk"]


def test_nothing_is_missing_where_the_requirements_are_installed() -> None:
    assert texts(checks.missing_on_control_machine()) == []


def test_missing_packages_and_collections_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    found = texts(checks.missing_on_control_machine())
    for package in ("kubernetes", "logstash-pipeline-parser", "pathspec"):
        assert f"the Python package {package} is missing -> pip install -r requirements.txt" in found
    wanted = "ansible-galaxy collection install -r requirements.yml"
    assert f"the Ansible collection kubernetes.core is missing -> {wanted}" in found


def test_preflight_itself_needs_none_of_the_packages_that_it_checks() -> None:
    script = """
import sys
import harness
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.checks import PACKAGES
sys.modules.update(dict.fromkeys(package.replace("-", "_") for package in PACKAGES))
from ansible_collections.homeserver.stack.plugins.action import preflight
"""
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


def test_misspelt_and_unknown_variables_and_an_owners_own_are_distinguished() -> None:
    names = [
        "traefik_route",
        "traefik_nonsense",
        "homeserver_domain",
        "my_traefik_routes",
        "ansible_host",
    ]
    assert texts(checks.unknown_variables([*names, "trafik_routes"], SPECS)) == [
        "unknown variable traefik_nonsense -> docs/reference.md lists all variables",
        "unknown variable traefik_route -> did you mean traefik_routes?",
        "unknown variable trafik_routes -> did you mean traefik_routes?",
    ]


def test_a_former_name_is_reported_with_the_new_one() -> None:
    assert texts(checks.unknown_variables(["traefik_drain_time"], SPECS)) == [
        "unknown variable traefik_drain_time -> it is called traefik_drain_seconds now"
    ]


def test_a_former_name_that_still_works_is_told_with_the_new_one() -> None:
    name = "tracing_spans_per_second"
    assert not texts(checks.unknown_variables([name], SPECS))
    assert texts(checks.deprecated_variables([name, "tracing_state"])) == [
        f"{name} is called tracing_max_spans_per_second now -> rename it: a later release refuses it"
    ]


def test_an_option_that_is_no_more_is_reported_with_what_to_do() -> None:
    assert texts(checks.unknown_variables(checks.GONE, SPECS)) == [
        "unknown variable homeserver_python_image -> set homeserver_version_overrides.images.python instead",
        "unknown variable traefik_replicas -> remove it: Traefik runs on every node",
    ]


def test_new_names_are_options_and_former_ones_are_not() -> None:
    options = {name for role in ROLES for name in role.options}

    former = checks.RENAMED | checks.DEPRECATED
    assert set(former.values()) <= options
    assert not (former.keys() | checks.GONE.keys()) & options


def test_two_routes_for_one_url_are_reported_with_both_names() -> None:
    routes = [
        ("nas.home.arpa", "/", "nas in traefik_routes"),
        ("nas.home.arpa", "/files", "files in traefik_routes"),
        ("NAS.home.arpa", "", "nas in apps"),
    ]
    (found,) = texts(checks.repeated_routes(routes))
    assert found.startswith("two routes for https://nas.home.arpa/ (nas in traefik_routes and nas in apps)")


def test_flaws_and_missing_parts_of_a_bundle_are_reported() -> None:
    held = {"images": ["m/traefik:v3"], "manifests": ["traefik_crds"]}
    needed = {"images": ["m/traefik:v3", "m/whoami:2"], "manifests": ["traefik_crds"]}
    found = texts(checks.wrong_bundle(["x.tar has SHA-256 1, not 2 as the manifest says"], held, needed))
    fix = "make the bundle again, or copy it again"
    assert found == [
        f"x.tar has SHA-256 1, not 2 as the manifest says (homeserver_bundle) -> {fix}",
        f"the bundle has no image m/whoami:2 (homeserver_bundle) -> {fix}",
    ]


@pytest.mark.parametrize(
    ("unsigned_snaps", "refused"), [(False, ["the bundle's snap core has no assertion"]), (True, [])]
)
def test_a_snap_that_nobody_signed_is_refused_unless_the_owner_wants_it(
    unsigned_snaps: bool, refused: list[str]
) -> None:
    snaps = [{"name": "core"}, {"name": "microk8s", "assertion": "/b/microk8s.assert"}]
    found = texts(checks.untrusted_bundle(Bundle(snaps, [], {}), {}, unsigned_snaps=unsigned_snaps))

    assert [text.partition(": ")[0] for text in found] == refused
    assert all("set homeserver_bundle_unsigned_snaps: true" in text for text in found)


def test_a_manifest_of_a_bundle_is_what_the_collection_names(tmp_path: Path) -> None:
    (tmp_path / "crds.yml").write_text("kind: Other")
    bundle = Bundle([], [], {"traefik_crds": str(tmp_path / "crds.yml")})
    own = hashlib.sha256(b"kind: Other").hexdigest()
    (found,) = texts(checks.untrusted_bundle(bundle, {"traefik_crds": "2f" * 32}, unsigned_snaps=False))

    wrong = (
        f"the bundle's manifest traefik_crds has SHA-256 {own} (expected {'2f' * 32}) (homeserver_bundle) -> "
    )
    assert found.startswith(wrong)
    assert texts(checks.untrusted_bundle(bundle, {"traefik_crds": own}, unsigned_snaps=False)) == []


DIGESTED = f"mirror:5000/docker.io/library/traefik:v3@sha256:{'2f' * 32}"


@pytest.mark.parametrize(
    ("mirrors", "images", "replaced"),
    [
        ({"mirror:5000": "http://192.168.1.20:5000"}, [DIGESTED], []),
        (
            {"mirror:5000": "http://192.168.1.20:5000"},
            [DIGESTED, "mirror:5000/a:1", "quay.io/b:1"],
            ["images that are not locked to a digest: mirror:5000/a:1"],
        ),
        ({"mirror:5000": "https://192.168.1.20:5000"}, ["mirror:5000/a:1"], []),
        ({"mirror:5000": "http://127.0.0.1:32000"}, ["mirror:5000/a:1"], []),
        (
            {"quay.io": "HTTP://cache"},
            ["quay.io/b:1", "quay.io.example.org/b:1"],
            ["images that are not locked"],
        ),
        (
            {"docker.io": "http://cache"},
            ["shop:1", "me/blog"],
            ["images that are not locked", "MicroK8s' own images"],
        ),
    ],
)
def test_a_plain_mirror_is_refused_for_what_it_could_replace(
    mirrors: dict[str, str], images: list[str], replaced: list[str]
) -> None:
    found = texts(checks.plain_mirrors(mirrors, images, ["docker.io/calico/node:v3"]))

    assert len(found) == len(replaced)
    for text, told in zip(found, replaced, strict=True):
        (registry,) = mirrors
        assert text.startswith(
            f"microk8s_registry_mirrors.{registry} is {mirrors[registry]!r}, where anybody"
        )
        assert f"can replace {told}" in text
    assert not found or "quay.io.example.org" not in found[0]


def test_a_mirror_needs_the_full_names_of_apps() -> None:
    apps = [
        {"name": "db", "image": "postgres:16"},
        {"name": "a", "image": DIGESTED},
        {"name": "b", "source": "b"},
    ]

    assert texts(checks.short_images("mirror:5000", apps)) == [
        "apps.db.image is 'postgres:16', which mirror:5000 (homeserver_image_mirror) does not know"
        " -> image: docker.io/library/postgres:16"
    ]


def test_a_suitable_host_has_no_problem() -> None:
    assert texts(checks.unfit_host(HOST, LIMITS)) == []
    assert texts(checks.doubtful_host(HOST, "192.168.1.10")) == []


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"os": {"ID": "debian", "VERSION_ID": "11"}},
            "debian 11 is not supported (expected debian 12 or ubuntu 22.04 or newer)",
        ),
        ({"os": {"ID": "fedora", "VERSION_ID": "43"}}, "fedora 43 is not supported"),
        ({"machine": "armv7l"}, "MicroK8s does not support armv7l"),
        ({"memory_mib": 1900}, "too little memory (1900 MiB, expected 3500)"),
        ({"disk_free_gib": 9.5}, "too little disk free at /var/snap (9.5 GiB, expected 15)"),
        (
            {"disk_free_gib": 2, "microk8s": {"version": "v1.35.4"}},
            "too little disk free at /var/snap (2 GiB, expected 3)",
        ),
        ({"clock_skew": -3600.2}, "its clock is -3600 s off from here (expected at most 60)"),
        ({"cgroups": {"version": 2, "controllers": ["cpu", "cpuset", "pids"]}}, "control groups lack memory"),
        ({"hostname": "My_Server"}, "the host name is not valid for a node (hostname, 'My_Server')"),
        ({"interface": ""}, "no default route"),
        (
            {"sudo": False},
            "it has no sudo, which MicroK8s' own scripts call even as root -> on the host: apt",
        ),
        (
            {"taken_ports": [{"port": 80, "process": "nginx", "unit": "nginx.service"}]},
            "port 80 is in use by nginx (nginx.service) -> on the host: systemctl disable --now nginx",
        ),
        (
            {"taken_ports": [{"port": 443, "process": "caddy", "unit": ""}]},
            "port 443 is in use by caddy -> stop that",
        ),
        ({"addons": ["dns", "ingress"]}, "on the host: sudo microk8s disable ingress"),
        ({"addons": ["observability"]}, "on the host: sudo microk8s disable observability"),
    ],
)
def test_each_problem_of_a_host_is_reported(found: dict[str, Any], message: str) -> None:
    (problem,) = texts(checks.unfit_host({**HOST, **found}, LIMITS))
    assert message in problem


def test_a_newer_release_is_accepted() -> None:
    assert texts(checks.unfit_host({**HOST, "os": {"ID": "ubuntu", "VERSION_ID": "26.04"}}, LIMITS)) == []


def test_all_problems_of_a_host_are_reported_at_once() -> None:
    host = {**HOST, "memory_mib": 1, "hostname": "A", "interface": ""}
    assert len(texts(checks.unfit_host(host, LIMITS))) == 3


def test_an_address_that_may_change_or_is_not_the_hosts_gets_a_warning() -> None:
    host = {**HOST, "addresses": {"192.168.1.10": {"interface": "eth0", "dynamic": True}}}
    assert texts(checks.doubtful_host(host, "home.example.org"))[0].startswith(
        "its address 192.168.1.10 is assigned by DHCP"
    )
    (nat,) = texts(checks.doubtful_host(HOST, "203.0.113.7"))
    assert nat.startswith("it does not have the address 203.0.113.7 itself")


def test_a_laptop_that_may_suspend_is_told() -> None:
    (told,) = texts(checks.doubtful_host({**HOST, "suspends": "its lid"}, "192.168.1.10"))
    assert told.startswith("its lid may suspend it, and the home with it -> on the host: systemctl mask ")


def test_a_service_that_only_removes_the_clusters_rules_gets_a_warning() -> None:
    (idle,) = texts(checks.doubtful_host({**HOST, "idle_nftables": True}, "192.168.1.10"))
    assert idle.endswith("-> on the host: systemctl disable nftables.service, which removes nothing")


def test_old_control_groups_are_refused_unless_the_kubelet_accepts_them() -> None:
    host = {**HOST, "cgroups": {"version": 1, "controllers": []}}
    assert "version 1" in texts(checks.fails_on_cgroup_v1(host, {}))[0]
    assert texts(checks.fails_on_cgroup_v1(host, {"--fail-cgroupv1": False})) == []
    assert texts(checks.fails_on_cgroup_v1(HOST, {})) == []


@pytest.mark.parametrize(
    ("wanted", "fix"), [("1.36/stable", "go to 1.35 first"), ("1.33/stable", "stay with 1.34")]
)
def test_one_minor_version_up_at_a_time(wanted: str, fix: str) -> None:
    (found,) = texts(checks.wrong_upgrade("v1.34.2", wanted))
    assert found.startswith(f"MicroK8s v1.34.2 cannot be changed to {wanted}")
    assert fix in found


def test_the_same_version_or_the_next_is_accepted() -> None:
    assert texts(checks.wrong_upgrade("v1.34.2", "1.34/stable")) == []
    assert texts(checks.wrong_upgrade("v1.34.2", "1.35/stable")) == []


def test_a_channel_that_the_store_lacks_is_refused() -> None:
    assert texts(checks.missing_channel("1.35/stable", None)) == []  # not asked
    assert texts(checks.missing_channel("1.35/stable", ["1.35/stable"])) == []
    (found,) = texts(checks.missing_channel("1.99/stable", ["1.35/stable", "1.36/stable"]))
    assert found.startswith(
        "the snap store has no such channel (homeserver_version_overrides.microk8s_channel, '1.99/stable')"
    )
    (offline,) = texts(checks.missing_channel("1.35/stable", "cannot reach the store"))
    assert offline.endswith("-> give the host internet access, or set homeserver_bundle")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (
            "Failed to connect to the host via ssh: ssh: connect to host 10.0.0.9 port 22: No route to host",
            "cannot be reached: Failed to connect",
        ),
        (
            "Failed to connect to the host via ssh: me@10.0.0.9: Permission denied (publickey).",
            "refuses the login of me",
        ),
        ("Task failed: Missing sudo password", "wants a password for sudo: Task failed"),
        ("sudo: a password is required\n", "wants a password for sudo: sudo: a password is required"),
        ("me is not in the sudoers file.", "does not let me become root: me is not in the sudoers file."),
        ("become is off", "lets me in, but not as root: become"),
        ("The module interpreter '/usr/bin/python3' was not found.", "has no Python 3: "),
        ("Segmentation fault", "it cannot be examined: Segmentation fault"),
        ("", "it cannot be examined: "),
    ],
)
def test_a_host_that_cannot_run_programs_is_reported(said: str, problem: str) -> None:
    found = why_unfit(said, "me")
    assert found["wrong"].startswith(problem)
    assert found["fix"]


@pytest.mark.parametrize(
    ("machine", "platform", "bundle", "message"),
    [
        ("x86_64", "linux/amd64", "amd64", ""),
        ("aarch64", "linux/arm64", "arm64", ""),
        ("aarch64", "", "", ""),
        ("aarch64", "linux/amd64", "", "images are built for linux/amd64, and it runs linux/arm64"),
        ("aarch64", "", "amd64", "the bundle is for amd64, and it runs arm64 (homeserver_bundle) -> use a"),
        ("x86_64", "linux/arm64", "amd64", "images are built for linux/arm64, and it runs linux/amd64"),
    ],
)
def test_images_for_another_architecture_are_told(
    machine: str, platform: str, bundle: str, message: str
) -> None:
    found = texts(checks.wrong_architecture(HOST | {"machine": machine}, platform, bundle))

    assert [text[: len(message)] for text in found] == ([message] if message else [])
