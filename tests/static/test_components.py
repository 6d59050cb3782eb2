"""What the roles declare in meta/component.yml agrees with what they have, and nothing else says it again."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.components import (
    Declaration,
    components,
    own_namespaces,
)

from harness.manifests import APPLIED, SERVICES, Object, of
from harness.rendering import ROOT

SCHEMA = yaml.safe_load((ROOT / "roles/common/files/component.schema.yml").read_text())
VERSIONS = yaml.safe_load((ROOT / "roles/common/vars/main/versions.yml").read_text())
BUILT_FROM = "python"  # an image of no component: those that are built start from it
CHECKED_IN = "check-…"  # as the documentation calls the namespaces that start so
DECLARED = components()
# How many files of others name a component, besides declarations, stages, versions and documentation: what is
# special between two components, such as a data source.
NAMED_IN = {
    "alertmanager": 5,
    "disk_cleanup": 2,
    "elk": 4,
    "grafana": 6,
    "prometheus": 14,
    "tracing": 11,
    "welcome": 3,
}
each = pytest.mark.parametrize(("role", "declared"), DECLARED.items(), ids=DECLARED)


@each
def test_it_fits_the_schema(role: str, declared: Declaration) -> None:
    jsonschema.validate(declared, SCHEMA)
    assert {*declared.get("needs", [])} <= DECLARED.keys()
    assert (ROOT / f"playbooks/stages/{declared['stage']}.yml").exists(), role


def test_a_component_is_applied_after_those_that_it_needs() -> None:
    for role in SERVICES:
        later = SERVICES[SERVICES.index(role) :]
        assert {*later} & {*DECLARED[role].get("needs", [])} == set(), role


def test_every_component_is_applied() -> None:
    """The cluster itself is no service."""
    assert set(SERVICES) == DECLARED.keys() - {"microk8s"}
    assert set(APPLIED) == {role for role, declared in DECLARED.items() if "namespace" in declared}


def test_the_dry_run_runs_the_stages_of_the_services() -> None:
    plays = yaml.safe_load((ROOT / "tests/static/cluster.yml").read_text())
    run = [play["ansible.builtin.import_playbook"].rpartition(".")[2] for play in plays]

    assert run == [*dict.fromkeys(DECLARED[role]["stage"] for role in APPLIED)]


def test_all_workloads_are_removed_in_the_reverse_order() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/stages/remove_workloads.yml").read_text())
    stages = dict.fromkeys(DECLARED[role]["stage"] for role in reversed(APPLIED))

    assert [play["ansible.builtin.import_playbook"] for play in plays] == [f"{name}.yml" for name in stages]
    assert all(play["vars"] == {"homeserver_workloads_state": "absent"} for play in plays)


@each
def test_its_namespace_is_created_before_its_objects(role: str, declared: Declaration) -> None:
    creators = [name for name in DECLARED if declared.get("namespace") in own_namespaces(name, _fixed)]

    assert len(creators) == ("namespace" in declared)
    assert {*creators} <= {role, *declared.get("needs", [])}


@each
def test_its_objects_are_in_its_namespace(role: str, declared: Declaration) -> None:
    templates = (ROOT / f"roles/{role}/templates").glob("*.yaml.j2")
    named = {
        name
        for file in templates
        for name in re.findall(r"^  namespace: ([a-z-]+)$", file.read_text(), re.MULTILINE)
    }

    # Apps have several; tests/unit/test_apps_manifests.py says which.
    assert "namespace" not in declared or declared["namespace"] in named or role == "apps"


@each
def test_its_images_are_those_that_it_uses(role: str, declared: Declaration) -> None:
    files = [*(ROOT / f"roles/{role}").glob("templates/**/*"), *(ROOT / f"roles/{role}").glob("vars/**/*")]
    text = "".join(file.read_text() for file in files if file.is_file())

    assert set(re.findall(r"homeserver_image_prefix }}{{ homeserver_versions\.images\.(\w+)", text)) - {
        BUILT_FROM
    } == {*declared.get("images", {})}


def test_every_image_has_a_component() -> None:
    used = {image for declared in DECLARED.values() for image in declared.get("images", {})}

    assert used | {BUILT_FROM} == VERSIONS["homeserver_pinned_versions"]["images"].keys()


@each
def test_its_conditions_use_its_own_options(role: str, declared: Declaration) -> None:
    conditions = [
        declared["enabled"],
        *declared.get("pages", {}).values(),
        *declared.get("images", {}).values(),
    ]
    options = {
        name
        for owner in (role, "common")
        for name in yaml.safe_load((ROOT / f"roles/{owner}/defaults/main.yml").read_text())
    }
    words = {word for text in map(str, conditions) for word in re.findall(r"\b[a-z]\w*_\w+", text)}

    assert words <= options


@pytest.mark.parametrize("role", APPLIED)
def test_its_routes_serve_its_pages(role: str, objects_of: Callable[[str], list[Object]]) -> None:
    served = {
        host
        for obj in of(objects_of("defaults"), "IngressRoute")
        if obj["metadata"]["labels"]["app.kubernetes.io/part-of"] == DECLARED[role].get("application", role)
        for rule in obj["spec"]["routes"]
        for host in re.findall(r"Host\(`([^`]+)`\)", rule["match"])
    }

    # Besides pages, there are an owner's apps.
    assert served - {"hello.home.arpa"} == {f"{page}.home.arpa" for page in DECLARED[role].get("pages", {})}


def _fixed(value: object) -> Any:
    """Return the part of a declaration that depends on no option."""
    return {} if isinstance(value, str) else value


def _namespaces(declared: Declaration) -> set[str]:
    """Return the namespaces of a component, and the one in which its check runs."""
    own = {declared["namespace"]} if "namespace" in declared else set()
    own |= {*_fixed(declared.get("pod_security", {}))}
    return own | ({CHECKED_IN} if "check" in declared else set())


def test_the_architecture_shows_every_namespace_with_its_components() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    rows = [
        [set(re.findall("`(.+?)`", cell)) for cell in cells]
        for cells in re.findall(r"^\| (`.+`) \| .+ \| (`.+`) \|$", text, re.MULTILINE)
    ]
    namespaces = {role: _namespaces(declared) for role, declared in DECLARED.items()}

    assert set.union(*(shown for shown, _ in rows)) == set.union(*namespaces.values())
    for shown, roles in rows:
        # The role flask_app describes an app, which the role apps runs.
        assert roles - {"flask_app"} == {role for role, own in namespaces.items() if own & shown}, shown


def _code(file: Path) -> str:
    """Return a file without comments and documentation."""
    text = file.read_text(errors="replace")
    if file.suffix == ".py":
        text = re.sub(r'"""[\s\S]*?"""', "", text)
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith(("#", "//", "{#")))


@pytest.mark.parametrize("role", NAMED_IN)
def test_few_other_files_name_it(role: str) -> None:
    others = (
        file
        for folder in ("plugins", "playbooks", "roles")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in (".py", ".yml", ".j2")
        and not file.is_relative_to(ROOT / f"roles/{role}")
        and not file.is_relative_to(ROOT / "playbooks/stages")
        and not (file.suffix == ".yml" and file.is_relative_to(ROOT / "plugins"))
        and file.name not in ("component.yml", "versions.yml", "argument_specs.yml")
    )
    naming = [file for file in others if re.search(rf"(?<![a-z_]){role}(\b|_\w)", _code(file))]

    assert len(naming) <= NAMED_IN[role], naming
