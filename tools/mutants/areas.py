"""What is mutated, and which tests cover it."""

from __future__ import annotations

import ast
import fnmatch
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.mutants import mistakes
from tools.mutants.mistakes import Finder, Mistake

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
# These start Elasticsearch, take minutes or install from git; what they cover is covered by others, too.
SLOW = (
    "test_elk_elasticsearch",
    "test_installed_collection",
    "test_elk_retention",
    "test_elk_several",
    "test_filebeat_elasticsearch",
    "test_kibana_queries",
)

# What only a machine shows, and the scenario that does. None of it is mutated.
BY_SCENARIO = {
    # Which metrics there are: every question of a panel must find something.
    "roles/grafana/files/dashboards/*/*.json": "grafana",
    "roles/microk8s/tasks/*": "microk8s",
    "roles/certificate_authority/tasks/*": "traefik",
    "roles/elk/tasks/host*.yml": "elk",
    "roles/elk/tasks/prestart*.yml": "site",
    "roles/*/tasks/absent.yml": "removal",
    "roles/*/tasks/verify.yml": "the role's own",
    "roles/*/tasks/apply.yml": "the role's own",
    "plugins/modules/sideload.py": "microk8s",
    "plugins/modules/kube_network_cleanup.py": "removal",
    "plugins/module_utils/kubernetes/jobs.py": "elk",
    "plugins/module_utils/kubernetes/pulls.py": "microk8s",
    "plugins/action/wait_for_service.py": "traefik",
    "plugins/action/load_images.py": "flask_app",
    "plugins/action/host_probe.py": "site",
}


@dataclass(frozen=True)
class Area:
    """One kind of files.

    Attributes:
        patterns: Which files.
        find: The mistakes in a file's text.
        tests: The tests that cover a file.
        prepare: A command to run after the mistake is made and before the tests.
    """

    patterns: tuple[str, ...]
    find: Callable[[str], list[Mistake]]
    tests: Callable[[str], list[str]]
    prepare: tuple[str, ...] = ()

    def files(self) -> Iterator[Path]:
        """Return the files, without those that only a scenario covers."""
        for pattern in self.patterns:
            for path in sorted(ROOT.glob(pattern)):
                name = str(path.relative_to(ROOT))
                if not any(fnmatch.fnmatch(name, covered) for covered in BY_SCENARIO):
                    yield path


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


def _of_options(_: str) -> list[str]:
    return ["tests/static/test_secrets.py"]


def _of_plugin(file: str) -> list[str]:
    """Return the unit tests that import a plugin or what imports it, or that call it by its name."""
    plugin = Path(file).stem
    plugins = {path.stem: _imported(path) for path in (ROOT / "plugins").rglob("*.py")}
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
        ("roles/*/meta/argument_specs.yml", "roles/*/tasks/*.yml"), _with(*mistakes.TASKS), _of_options
    ),
    "plugins": Area(("plugins/**/*.py",), _with(mistakes.program), _of_plugin),
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
        ("python", "-m", "tools.dashboards.grafana"),
    ),
}
