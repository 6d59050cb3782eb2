from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.filter.microk8s import (
    flags,
    hosts_toml,
    launch_change,
    worker_change,
)

WANTED: dict[str, Any] = {
    "version": "0.2.0",
    "addons": [{"name": "dns"}, {"name": "rbac"}],
    "extraKubeletArgs": {"--cluster-domain": "cluster.local"},
}


def applied_after(wanted: dict[str, Any], before: str) -> str:
    return yaml.safe_dump(launch_change(wanted, before))


def test_flags_become_strings() -> None:
    assert flags({"--a": True, "--b": 80, "--c": "x=1,y=2", "--d": None}) == {
        "--a": "true",
        "--b": "80",
        "--c": "x=1,y=2",
        "--d": None,
    }


def test_a_mirror_comes_before_the_registry_itself() -> None:
    tomls = hosts_toml({"docker.io": "https://mirror.lan", "ghcr.io": "https://mirror.lan/ghcr"})
    assert tomls["docker.io"].startswith('server = "https://registry-1.docker.io"\n')
    assert '[host."https://mirror.lan"]\n  capabilities = ["pull", "resolve"]' in tomls["docker.io"]
    assert tomls["ghcr.io"].startswith('server = "https://ghcr.io"\n')


def test_nothing_changes_when_the_configuration_is_already_applied() -> None:
    assert launch_change(WANTED, yaml.safe_dump(WANTED)) == {}


@pytest.mark.parametrize("applied", ["", "just text", "a: [", "- list"])
def test_an_unreadable_configuration_is_replaced(applied: str) -> None:
    assert launch_change(WANTED, applied) == WANTED


def test_a_changed_value_is_applied() -> None:
    change = launch_change(
        {**WANTED, "extraKubeletArgs": {"--cluster-domain": "home"}}, yaml.safe_dump(WANTED)
    )
    assert change["extraKubeletArgs"] == {"--cluster-domain": "home"}


@pytest.mark.parametrize(
    ("section", "content", "taken_back"),
    [
        ("extraKubeletArgs", {"--v": "4"}, {"--cluster-domain": "cluster.local", "--v": None}),
        ("extraKubeProxyArgs", {"--v": "4"}, {"--v": None}),
        ("extraSANs", ["home.example.org"], []),
        (
            "containerdRegistryConfigs",
            hosts_toml({"ghcr.io": "https://m"}),
            {"ghcr.io": 'server = "https://ghcr.io"\n'},
        ),
        (
            "addons",
            [{"name": "dns"}, {"name": "rbac"}, {"name": "metrics-server"}],
            [{"name": "dns"}, {"name": "rbac"}, {"name": "metrics-server", "disable": True}],
        ),
    ],
)
def test_removed_settings_are_reverted_once(section: str, content: Any, taken_back: Any) -> None:
    more = {
        **WANTED,
        section: {**WANTED.get(section, {}), **content} if isinstance(content, dict) else content,
    }
    change = launch_change(WANTED, yaml.safe_dump(more))
    assert change[section] == taken_back
    assert launch_change(WANTED, yaml.safe_dump(change)) == {}


def test_a_reverted_setting_can_be_set_again() -> None:
    without = applied_after(WANTED, yaml.safe_dump({**WANTED, "extraKubeProxyArgs": {"--v": "4"}}))
    again = {**WANTED, "extraKubeProxyArgs": {"--v": "4"}}
    assert launch_change(again, without)["extraKubeProxyArgs"] == {"--v": "4"}


def test_a_flag_the_owner_removes_is_removed_once() -> None:
    without_default = {**WANTED, "extraKubeletArgs": {"--cluster-domain": None}}
    applied = applied_after(without_default, yaml.safe_dump(WANTED))
    assert yaml.safe_load(applied)["extraKubeletArgs"] == {"--cluster-domain": None}
    assert launch_change(without_default, applied) == {}


WORKERS = {"version": "0.2.0", "extraKubeletArgs": {"--node-ip": "192.0.2.2", "--max-pods": "50"}}
DEFAULT = {
    "--client-ca-file": "ca.crt",
    "--eviction-hard": "a",
    "--node-labels": "controlplane",
    "--new": "1",
}
OWN = {
    "--client-ca-file": "ca.remote.crt",
    "--eviction-hard": "a",
    "--max-pods": "50",
    "--node-ip": "192.0.2.2",
    "--node-labels": "worker",
    "--resolv-conf": "/run/resolv.conf",
}


@pytest.mark.parametrize(
    ("present", "change"),
    [
        (OWN, None),
        # What a join has copied from the founder.
        (OWN | {"--v": "4"}, {"--v": None}),
        (OWN | {"--max-pods": "200"}, {"--max-pods": "50"}),
        (OWN | {"--eviction-hard": "b"}, {"--eviction-hard": "a"}),
        (OWN | {"--node-ip": "192.0.2.1", "--v": "4"}, {"--node-ip": "192.0.2.2", "--v": None}),
        ({name: value for name, value in OWN.items() if name != "--max-pods"}, {"--max-pods": "50"}),
    ],
)
def test_a_worker_gets_its_own_arguments_back(
    present: dict[str, str], change: dict[str, str | None] | None
) -> None:
    arguments = {"present": present, "default": DEFAULT}
    # The file of its installation tells that they are applied.
    found = worker_change(WORKERS, yaml.safe_dump(WORKERS), arguments)
    assert found == ({"version": "0.2.0", "extraKubeletArgs": change} if change else {})


def test_a_worker_that_has_its_arguments_back_is_left_alone() -> None:
    wanted = WORKERS | {"extraKubeProxyArgs": {"--v": "2"}}
    change = worker_change(
        wanted, yaml.safe_dump(wanted), {"present": OWN | {"--v": "4"}, "default": DEFAULT}
    )
    assert worker_change(wanted, yaml.safe_dump(change), {"present": OWN, "default": DEFAULT}) == {}


def test_a_worker_is_never_told_to_change_an_addon() -> None:
    before = yaml.safe_dump(WORKERS | {"addons": [{"name": "dns"}]})
    assert worker_change(WORKERS, before, {"present": OWN, "default": DEFAULT}) == {}
