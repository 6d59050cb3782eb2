"""Every role has the same structure, and describes itself correctly."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import checks

from harness.roles import ROLES, ROOT, Role

SHAPE = {"catalogue", "defaults", "meta", "tasks", "templates", "files", "handlers", "vars"}
# There is nothing to remove of them.
STATELESS = {"common", "flask_app", "preflight", "restore"}
# They do nothing by themselves: others depend on them.
PASSIVE = {"common", "flask_app"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "str": str,
    "path": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
    "raw": object,
}
SAYS_WHAT_IT_COUNTS = re.compile(
    r"\b(milliseconds?|seconds?|minutes?|hours?|days?|[MG]iB|percent|port|number|how many)\b", re.IGNORECASE
)
# If a description names one of these units, the name of the option ends in one of them.
UNITS = {
    "milliseconds": "_milliseconds",
    "seconds": "_seconds",
    "per second": "_per_second",
    "minutes": "_minutes",
    "hours": "_hours",
    "days": "_days",
    "MiB": "_mib",
    "GiB": "_gib",
    "percent": "_percent",
}
ENDS_WITHOUT_UNIT = re.compile(r".*_(count|interval|memory|percentage|ratio|share|size|time|timeout|rate)")

# Each role has the files that it needs. Entry points are further files.
TASKS = {"main", "check", "prepare", "images", "apply", "verify", "absent"}
MORE_TASKS = {
    "apps": {
        "clone",
        "update",
        "update_one",
        "updates",
        "updates_absent",
        "updates_held",
        "updates_released",
    },
    "backup": {"prune", "recovery_sheet", "remove", "save"},
    "welcome": {"mdns"},
    "elk": {"host", "host_absent", "join", "leave", "start_early"},
    "microk8s": {
        *(
            "certificates",
            "encrypt",
            "install",
            "install_file",
            "keep_volumes",
            "kubeconfig",
            "snapd",
        ),
        *("join", "verify_join", "find_back", "leave", "node", "remove_node", "store_secrets"),
        *("verify_worker", "follow_host"),
        *("present", "change", "finish", "upgrade", "prepare_upgrade", "drain", "run_again", "revert"),
    },
    "traefik": {"download"},
    "restore": {
        *("finish", "inventory", "objects", "start", "stop", "workloads"),
        *("move_in", "move_stop", "move_start", "move_back", "move_report"),
    },
}
# Names of manifests in all roles, with their kinds if no others may be in them.
# Any other template has the name of a component and contains all of its objects.
TEMPLATES: dict[str, set[str]] = {
    "rbac": {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"},
    "network-policies": {"NetworkPolicy"},
    "configuration": {"ConfigMap", "Secret"},
    "secrets": {"Secret"},
    "certificates": set(),
    "middlewares": {"Middleware", "Secret"},
    "routes": set(),
}
# Templates of several similar components.
COLLECTIONS = {"apps", "dashboards", "metrics", "scaling", "services", "volumes"}

every_role = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def _walk(parent: str, options: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, option in options.items():
        yield f"{parent}{name}", option
        yield from _walk(f"{parent}{name}.", option.get("options", {}))


def _all_options(role: Role) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry_point, content in role.entry_points.items():
        yield from _walk(f"{entry_point}: ", content.get("options", {}))


def test_there_are_roles() -> None:
    assert {"common", "preflight", "microk8s", "traefik", "apps"} <= {role.name for role in ROLES}


@every_role
def test_has_the_common_folders_and_files(role: Role) -> None:
    assert {entry.name for entry in role.path.iterdir()} <= SHAPE | {"README.md"}
    assert (role.path / "defaults/main.yml").is_file()
    assert (role.path / "meta/main.yml").is_file()
    assert (role.path / "meta/argument_specs.yml").is_file()
    assert (role.path / "meta/constraints.yml").is_file()
    assert (role.path / "tasks/main.yml").is_file() is (role.name not in PASSIVE)


@every_role
def test_task_files_have_common_names(role: Role) -> None:
    files = {path.stem for path in (role.path / "tasks").glob("*")}

    assert files - TASKS - set(role.entry_points) == MORE_TASKS.get(role.name, set())


def _included(role: Role, file: str) -> set[str]:
    """Return the files that a file of tasks includes, itself or by others."""
    tasks = yaml.safe_load((role.path / "tasks" / file).read_text())
    tasks = [inner for task in tasks for inner in task.get("block", [task])]
    kinds = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks")
    included = {task[kind] for task in tasks for kind in kinds if kind in task}
    return included.union(*(_included(role, name) for name in included))


@every_role
def test_main_is_a_table_of_contents(role: Role) -> None:
    if role.name in PASSIVE:
        return  # it has only entry points, if any
    included = _included(role, "main.yml")

    parts = {
        f"{name}.yml" for name in TASKS - {"main", "images"} if (role.path / f"tasks/{name}.yml").exists()
    }
    assert parts <= included
    assert included <= {path.name for path in (role.path / "tasks").iterdir()}


@every_role
def test_manifests_have_common_names(role: Role) -> None:
    for path in (role.path / "templates").glob("*.yaml.j2"):
        name, text = path.name.removesuffix(".yaml.j2"), path.read_text()
        kinds = set(re.findall(r"^kind: (\w+)$", text, re.MULTILINE))
        if name in TEMPLATES:
            assert not TEMPLATES[name] or kinds <= TEMPLATES[name], path.name
        else:
            assert name in COLLECTIONS or re.search(rf"^  name: (\S+-)?{name}$", text, re.MULTILINE), (
                path.name
            )
        assert "Namespace" not in kinds, path.name


@every_role
def test_can_be_removed(role: Role) -> None:
    if role.name in STATELESS:
        assert f"{role.name}_state" not in role.options
    else:
        assert role.options[f"{role.name}_state"]["choices"] == ["present", "absent"]
        assert role.options[f"{role.name}_state"]["default"] == "present"


@every_role
def test_defaults_and_specs_name_the_same_options(role: Role) -> None:
    optional = {name for name, option in role.options.items() if not option.get("required")}

    assert set(role.defaults) == optional


@every_role
def test_public_names_have_the_roles_prefix(role: Role) -> None:
    prefix = "homeserver_" if role.name == "common" else f"{role.name}_"

    assert [name for name in role.options if not name.startswith(prefix) and name != role.name] == []


@every_role
def test_defaults_are_the_documented_ones(role: Role) -> None:
    documented = {name: option["default"] for name, option in role.options.items() if "default" in option}
    for former, name in checks.DEPRECATED.items():
        if name in documented:
            documented[name] = f"{{{{ {former} | default({_as_expression(documented[name])}) }}}}"

    assert role.defaults == documented


def _as_expression(default: object) -> str:
    """Return a default as it is written within another template."""
    if isinstance(default, list):
        return f"[{', '.join(map(_as_expression, default))}]"
    template = re.fullmatch(r"{{ (.*) }}", default) if isinstance(default, str) else None
    return template[1] if template else repr(default)


@every_role
def test_defaults_have_the_documented_type(role: Role) -> None:
    wrong = [
        name
        for name, option in role.options.items()
        if "default" in option and not _fits(option["default"], option.get("type", "str"))
    ]

    assert wrong == []


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, str) and value.startswith("{{"):
        return True  # its rendered value is checked when the role runs
    if isinstance(value, bool):
        return kind in ("bool", "raw")
    return isinstance(value, TYPES[kind])


@every_role
def test_every_list_has_a_type_of_elements(role: Role) -> None:
    assert [
        name
        for name, option in _all_options(role)
        if option.get("type") == "list" and "elements" not in option
    ] == []


@every_role
def test_every_option_is_described(role: Role) -> None:
    assert [name for name, option in _all_options(role) if not option.get("description")] == []


@every_role
def test_every_number_has_a_unit(role: Role) -> None:
    numbers = [
        (name, option) for name, option in _all_options(role) if option.get("type") in ("int", "float")
    ]

    assert [name for name, option in numbers if not SAYS_WHAT_IT_COUNTS.search(_text(option))] == []


@every_role
def test_the_unit_is_in_the_name(role: Role) -> None:
    numbers = {
        name: _text(option) for name, option in _all_options(role) if option.get("type") in ("int", "float")
    }

    assert [name for name, text in numbers.items() if not _ends_in_unit(name, text)] == []


def _ends_in_unit(name: str, description: str) -> bool:
    named = [ending for unit, ending in UNITS.items() if re.search(rf"(?i)\b{unit}\b", description)]
    return name.endswith(tuple(named)) if named else not ENDS_WITHOUT_UNIT.fullmatch(name)


@every_role
def test_shares_are_percent(role: Role) -> None:
    fractions = [
        name
        for name, option in _all_options(role)
        if re.match("Share ", _text(option)) and not name.endswith("_percent")
    ]

    assert fractions == []


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("microk8s_ready_timeout", "Seconds until the cluster must be ready."),
        ("traefik_memory_limit", "Memory limit, in MiB."),
        ("elk_retention_seconds", "Days for which logs are kept."),
        ("apps_pod_count", "How many pods run."),
        ("traefik_sample_rate", "Number of requests."),
    ],
)
def test_a_name_without_a_unit_is_found(name: str, description: str) -> None:
    assert not _ends_in_unit(name, description)


def _text(option: dict[str, Any]) -> str:
    return " ".join(
        [option["description"]] if isinstance(option["description"], str) else option["description"]
    )


def test_every_module_supports_dry_runs() -> None:
    """A module that does not is skipped, and later tasks fail or show other changes."""
    modules = [path for path in ROOT.glob("plugins/modules/*.py") if "AnsibleModule(" in path.read_text()]

    assert modules
    assert [path.name for path in modules if "supports_check_mode=True" not in path.read_text()] == []
