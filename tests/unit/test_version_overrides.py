"""An owner overrides one version; all others stay the collection's."""

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import checks

from harness.rendering import Role
from lab.catalogue import pinned_versions

PINNED = pinned_versions()


def _versions(state: Path, overrides: Any) -> dict[str, Any]:
    versions: dict[str, Any] = Role("traefik", state, homeserver_version_overrides=overrides).value(
        "homeserver_versions"
    )
    return versions


def test_without_overrides_the_collections_versions_apply(tmp_path: Path) -> None:
    assert _versions(tmp_path, {}) == PINNED


def test_an_override_changes_one_image(tmp_path: Path) -> None:
    versions = _versions(tmp_path, {"images": {"grafana": "example.org/grafana:1.0.0"}})

    assert versions == PINNED | {"images": PINNED["images"] | {"grafana": "example.org/grafana:1.0.0"}}


def test_an_override_changes_the_channel(tmp_path: Path) -> None:
    assert _versions(tmp_path, {"microk8s_channel": "1.36/stable"}) == PINNED | {
        "microk8s_channel": "1.36/stable"
    }


def test_an_empty_section_overrides_nothing(tmp_path: Path) -> None:
    assert _versions(tmp_path, {"images": None}) == PINNED


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            {"images": {"grafanna": "example.org/grafana:1.0.0"}},
            "unknown name grafanna (homeserver_version_overrides.images) -> did you mean grafana?",
        ),
        (
            {"manifests": {"crds": {}}},
            "unknown name crds (homeserver_version_overrides.manifests) -> known names: traefik_crds",
        ),
    ],
)
def test_a_name_that_the_collection_does_not_have_is_reported(
    overrides: dict[str, Any], problem: str
) -> None:
    assert [str(each) for each in checks.unknown_overrides(overrides, PINNED)] == [problem]


@pytest.mark.parametrize("overrides", [{}, {"images": None}, {"images": {"grafana": "x"}}])
def test_names_of_the_collection_are_accepted(overrides: dict[str, Any]) -> None:
    assert list(checks.unknown_overrides(overrides, PINNED)) == []
