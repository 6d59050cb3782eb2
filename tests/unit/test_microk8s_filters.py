from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.homeserver.stack.plugins.filter.microk8s import flags, hosts_toml, launch_change

WANTED: dict[str, Any] = {
    "version": "0.2.0",
    "addons": [{"name": "dns"}, {"name": "rbac"}],
    "extraKubeletArgs": {"--cluster-domain": "cluster.local"},
}


def applied_after(wanted: dict[str, Any], before: str) -> str:
    return yaml.safe_dump(launch_change(wanted, before))


def test_flags_become_texts() -> None:
    assert flags({"--a": True, "--b": 80, "--c": "x=1,y=2", "--d": None}) == {
        "--a": "true",
        "--b": "80",
        "--c": "x=1,y=2",
        "--d": None,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fail-swap-on": False}, "'fail-swap-on' is not a flag"),
        ({"--node-labels": "a=1, b=2"}, "--node-labels is 'a=1, b=2': MicroK8s passes no value with spaces"),
    ],
)
def test_flags_that_would_stop_the_cluster_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        flags(arguments)


def test_a_mirror_is_asked_before_the_registry_itself() -> None:
    tomls = hosts_toml({"docker.io": "https://mirror.lan", "ghcr.io": "https://mirror.lan/ghcr"})
    assert tomls["docker.io"].startswith('server = "https://registry-1.docker.io"\n')
    assert '[host."https://mirror.lan"]\n  capabilities = ["pull", "resolve"]' in tomls["docker.io"]
    assert tomls["ghcr.io"].startswith('server = "https://ghcr.io"\n')


def test_nothing_changes_when_the_wanted_is_applied() -> None:
    assert launch_change(WANTED, yaml.safe_dump(WANTED)) == {}


@pytest.mark.parametrize("applied", ["", "just text", "a: [", "- list"])
def test_all_is_applied_where_nothing_readable_was(applied: str) -> None:
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
def test_what_is_no_longer_wanted_is_taken_back_once(section: str, content: Any, taken_back: Any) -> None:
    more = {
        **WANTED,
        section: {**WANTED.get(section, {}), **content} if isinstance(content, dict) else content,
    }
    change = launch_change(WANTED, yaml.safe_dump(more))
    assert change[section] == taken_back
    assert launch_change(WANTED, yaml.safe_dump(change)) == {}


def test_what_was_taken_back_can_be_wanted_again() -> None:
    without = applied_after(WANTED, yaml.safe_dump({**WANTED, "extraKubeProxyArgs": {"--v": "4"}}))
    again = {**WANTED, "extraKubeProxyArgs": {"--v": "4"}}
    assert launch_change(again, without)["extraKubeProxyArgs"] == {"--v": "4"}


def test_a_flag_the_owner_removes_is_removed_once() -> None:
    without_default = {**WANTED, "extraKubeletArgs": {"--cluster-domain": None}}
    applied = applied_after(without_default, yaml.safe_dump(WANTED))
    assert yaml.safe_load(applied)["extraKubeletArgs"] == {"--cluster-domain": None}
    assert launch_change(without_default, applied) == {}
