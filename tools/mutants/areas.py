"""What is mutated, and which tests cover it."""

from __future__ import annotations

import ast
import fnmatch
import functools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.mutants import mistakes
from tools.mutants.mistakes import Finder, Mistake
from tools.mutants.programs import program

ROOT = Path(__file__).parents[2]

# The tests of rendered objects, those first that say the most in the least time.
RENDERED = (
    "tests/static/test_secrets.py",
    "tests/static/test_users.py",
    "tests/static/test_connections.py",
    "tests/static/test_manifests.py",
    "tests/static/test_durations.py",
    "tests/static/test_scraping.py",
)
# These start Elasticsearch, take minutes, measure or install from git. Others cover the same.
SLOW = (
    "test_elk_elasticsearch",
    "test_installed_collection",
    "test_elk_retention",
    "test_elk_several",
    "test_filebeat_elasticsearch",
    "test_kibana_queries",
    "test_cpu",
    "test_every_browser",
    "test_loadtest",
    "test_memory",
)

# These run an image's program with what it talks to.
WITH_PROGRAMS = {
    "devices": (),
    "disk_cleanup": ("test_disk_cleanup_policy",),
    "door": (),
    "welcome": (),
    "logstore": ("test_logstore_metrics", "test_elk_elasticsearch", "test_elk_retention"),
}
# The tasks and playbooks that fast tests run, and those tests.
RUN_BY = {
    "playbooks/bundle.yml": ("test_bundle_making",),
    "playbooks/stages/keep_volumes.yml": ("test_keep_volumes",),
    "playbooks/lock_images.yml": ("test_image_lock",),
    "playbooks/stages/preflight.yml": ("test_preflight_playbook",),
    "playbooks/prune_backups.yml": ("test_backup_remote",),
    "playbooks/recovery_sheet.yml": ("test_recovery_sheet",),
    "playbooks/reset.yml": ("test_reset",),
    "playbooks/restore_inventory.yml": ("test_restore_inventory",),
    "playbooks/rotate.yml": ("test_rotation",),
    "playbooks/stages/apply_rotated.yml": ("test_rotation",),
    "playbooks/status.yml": ("test_kubernetes_actions",),
    "roles/apps/tasks/images.yml": ("test_apps_images",),
    "roles/backup/tasks/prune.yml": ("test_backup_remote",),
    "roles/backup/tasks/recovery_sheet.yml": ("test_recovery_sheet",),
    "roles/certificate_authority/tasks/*.yml": ("test_certificate_authority",),
    "roles/common/tasks/images.yml": ("test_platform", "test_apps_images"),
    "roles/common/tasks/remove_files.yml": ("test_rotation",),
    "roles/elk/tasks/check.yml": ("test_elk_input",),
    "roles/microk8s/tasks/certificates.yml": ("test_microk8s_tasks",),
    "roles/microk8s/tasks/install_file.yml": ("test_microk8s_tasks",),
    "roles/microk8s/tasks/join.yml": ("test_microk8s_tasks",),
    "roles/microk8s/tasks/keep_volumes.yml": ("test_microk8s_tasks",),
    "roles/microk8s/tasks/verify_join.yml": ("test_microk8s_tasks",),
    "roles/preflight/tasks/main.yml": ("test_preflight_playbook", "test_preflight_mistakes"),
    "roles/restore/tasks/inventory.yml": ("test_restore_inventory",),
    "roles/restore/tasks/prepare.yml": ("test_restore_inventory",),
}
# What only a machine shows, and the test of a scenario that does: files, or a kind of mistake in a file.
# None of it is mutated.
BY_SCENARIO: dict[str, str] = {
    pattern: test
    for test, patterns in yaml.safe_load((Path(__file__).parent / "scenarios.yml").read_text()).items()
    for pattern in patterns
}


@dataclass(frozen=True)
class Area:
    """One kind of files.

    Attributes:
        patterns: Which files.
        find: The mistakes in a file's text.
        tests: The tests that cover a file.
        directory: Where they are run, from the project's root.
        prepare: A command to run after the mistake is made and before the tests.
    """

    patterns: tuple[str, ...]
    find: Callable[[str], list[Mistake]]
    tests: Callable[[str], list[str]]
    directory: str = "."
    prepare: tuple[str, ...] = ()

    def files(self) -> Iterator[Path]:
        """Return the files, without those that only a scenario covers."""
        for pattern in self.patterns:
            for path in sorted(ROOT.glob(pattern)):
                name = str(path.relative_to(ROOT))
                if run_by(name) or not any(fnmatch.fnmatch(name, covered) for covered in BY_SCENARIO):
                    yield path


def run_by(file: str) -> list[str]:
    """Return the fast tests that run a file of tasks or a playbook; none if only a scenario does."""
    names = [name for pattern, names in RUN_BY.items() if fnmatch.fnmatch(file, pattern) for name in names]
    return ["tests/static/test_tasks.py", *(f"tests/unit/{name}.py" for name in names)] if names else []


def _defaults() -> dict[str, object]:
    """Return the options of all roles, without what is the same in every home."""
    found: dict[str, object] = {}
    for path in ROOT.glob("roles/*/defaults/main.yml"):
        options: dict[str, object] = yaml.safe_load(path.read_text())
        shared = "roles/common/" in str(path)
        found |= {name: value for name, value in options.items() if not (shared and "{{" in str(value))}
    return found


def _with(*finders: Finder) -> Callable[[str], list[Mistake]]:
    return lambda text: mistakes.find(text, finders)


def _naming(*words: str) -> list[str]:
    """Return the unit tests that name one of these words, the quick ones first."""
    found = [
        path
        for path in sorted((ROOT / "tests/unit").glob("test_*.py"))
        if path.stem not in SLOW and any(word in path.read_text() for word in words)
    ]
    return [str(path.relative_to(ROOT)) for path in sorted(found, key=lambda path: path.stat().st_size)]


def _of_role(file: str) -> list[str]:
    role = file.split("/")[1]
    own = _naming(f"{role}_role", f'"{role}"', f"roles/{role}")
    return [*RENDERED, *(test for test in own if "docs" not in test and "collection" not in test)]


def _of_options(file: str) -> list[str]:
    role = _of_role(file) if re.search("/(templates|vars)/", file) else ["tests/static/test_secrets.py"]
    return [*role, *run_by(file)]


def _of_host_program(file: str) -> list[str]:
    name = Path(file).parts[3].removeprefix("homeserver_").removesuffix(".py")
    return _naming(f"{name}.py", f"{name}_program")


def _of_image(file: str) -> list[str]:
    image = Path(file).parts[1]
    own = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(f"images/{image}/tests/test_*.py"))
    return [*own, *(f"tests/unit/{name}.py" for name in WITH_PROGRAMS[image])]


def _of_app(file: str) -> list[str]:
    """Return the app's tests, those that name the module first, without those that only take long."""
    tests = sorted((ROOT / "app/tests").glob("test_*.py"))
    quick = [path for path in tests if path.stem not in SLOW]
    quick.sort(key=lambda path: Path(file).stem not in path.stem and Path(file).stem not in path.read_text())
    return [str(path.relative_to(ROOT / "app")) for path in quick]


def _of_plugin(file: str) -> list[str]:
    """Return the unit tests that import a plugin or what imports it, or that call it by its name."""
    plugin = Path(file).stem
    plugins = {path.stem: _imported(path) for path in ROOT.glob("plugins/**/*.py")}
    users, found = {plugin}, {plugin}
    while found:
        found = {name for name, imported in plugins.items() if imported & found} - users
        users |= found
    tests = [path for path in sorted((ROOT / "tests/unit").glob("test_*.py")) if path.stem not in SLOW]
    called = (f"stack.{plugin}", f"{plugin}.yml")
    direct = [
        path
        for path in tests
        if plugin in _imported(path) or any(name in path.read_text() for name in called)
    ]
    others = [path for path in tests if users & _imported(path)]
    if plugin == "kubernetes_apply":
        direct.append(ROOT / "tests/static/test_dry_run.py")  # which shows what it renders
    found_tests = [*direct, *others, ROOT / "tests/unit/test_kubernetes_actions.py"]
    return ["tests/static/test_roles.py", *dict.fromkeys(str(path.relative_to(ROOT)) for path in found_tests)]


@functools.cache
def _imported(path: Path) -> frozenset[str]:
    """Return the last parts of the names of all plugins that a file imports."""
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if node.level or "homeserver.stack.plugins" in (node.module or "")]
    names = {alias.name for node in ours for alias in node.names}
    return frozenset(names | {str(node.module).rpartition(".")[2] for node in ours})


AREAS = {
    "templates": Area(
        ("roles/*/templates/**/*.j2",), _with(*mistakes.MANIFESTS, *mistakes.SCRAPING), _of_role
    ),
    "variables": Area(("roles/*/vars/**/*.yml",), _with(*mistakes.VARIABLES), _of_role),
    "options": Area(
        (
            "roles/*/meta/argument_specs.yml",
            "roles/*/templates/**/*.j2",
            "roles/*/vars/**/*.yml",
            "roles/*/tasks/*.yml",
            "playbooks/**/*.yml",
        ),
        _with(*mistakes.SECRETS, mistakes.options(_defaults())),
        _of_options,
    ),
    "tasks": Area(("roles/*/tasks/*.yml",), _with(*mistakes.TASKS), run_by),
    "playbooks": Area(("playbooks/**/*.yml",), _with(*mistakes.TASKS), run_by),
    "backup": Area(("roles/*/files/**/*.py",), _with(program), _of_host_program),
    "app": Area(("app/src/**/*.py",), _with(program), _of_app, directory="app"),
    "images": Area(("images/*/src/**/*.py",), _with(program), _of_image),
    "plugins": Area(("plugins/**/*.py",), _with(program), _of_plugin),
    "rules": Area(
        ("roles/prometheus/files/rules/*.yml",),
        _with(*mistakes.RULES),
        lambda _: ["tests/static/test_durations.py", "tests/unit/test_rules.py"],
    ),
    "generators": Area(
        ("tools/dashboards/grafana/*.py",),
        _with(*mistakes.GENERATORS),
        lambda _: [
            "tests/static/test_units.py",
            "tests/unit/test_dashboards.py",
            "tests/static/test_scraping.py",
        ],
        prepare=("python", "-m", "tools.dashboards.grafana"),
    ),
}
