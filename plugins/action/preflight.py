"""The action plugin preflight: reports all problems with inventory, control machine and hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

from ansible.constants import INJECT_FACTS_AS_VARS
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import needs_image
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import joining
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import (
    checks,
    constraints,
    grafana_dashboards,
    kibana_objects,
    logstash_filters,
    machines,
    promtool,
)
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.checks import Specs
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.problem import Problem
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.relations import wrong_relations
from ansible_collections.homeserver.stack.plugins.module_utils.registry.bundle import Bundle, read_bundle
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_builders import (
    BuildError,
    find_builder,
)
from ansible_collections.homeserver.stack.plugins.module_utils.registry.image_lock import locked
from ansible_collections.homeserver.stack.plugins.module_utils.routes import Route, routes
from ansible_collections.homeserver.stack.plugins.plugin_utils.apps_lookup import IMPORTED
from ansible_collections.homeserver.stack.plugins.plugin_utils.role_defaults import role_defaults

_ROLES = Path(__file__).parents[2] / "roles"

_NAME_IMAGES = {"homeserver_image_mirror", "homeserver_image_prefix", "homeserver_version_overrides"}
"""Variables that determine the required content of a bundle."""

_CONDITION = "_preflight_condition"

Evaluate = Callable[[Mapping[str, Any], str], Any]
"""Returns the value of a variable in the context of others."""


class ActionModule(ActionBase):
    """Fail with every problem, or do nothing."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check the `hosts`, each with its variables and its registered result _preflight_probe."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        hostvars = (task_vars or {})["hostvars"]
        groups = (task_vars or {})["groups"]
        founder, several = groups["control_plane"][0], len(groups["home_servers"]) > 1
        limits = checks.Limits(**self._task.args["limits"])
        roles = self._roles()
        homes = [
            HostChecks(host, hostvars.raw_get(host) | {"hostvars": hostvars}, roles, self._evaluate, limits)
            for host in self._task.args["hosts"]
        ]
        missing = [*checks.missing_on_control_machine()]
        complete = not missing
        trusted = checks.trusts_facts(INJECT_FACTS_AS_VARS)
        found = ((home.name, problem) for home in homes for problem in home.problems(judge_values=complete))
        doubts = (
            (home.name, doubt)
            for home in homes
            for doubt in home.doubts(several=several, judge_values=complete)
        )
        together = ClusterChecks(homes, founder, groups, hostvars, channels=complete)
        here = (("control machine", problem) for problem in (*missing, *trusted))
        problems = _lines([*here, *together.problems(), *found])
        result["warnings"] = _lines([*doubts, *together.doubts()])
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            result.update(failed=True, msg="\n".join([f"{count}, nothing was changed.", *problems]))
        return result

    def _roles(self) -> dict[str, _Role]:
        def read(file: Path) -> Any:
            return self._loader.load_from_file(str(file), trusted_as_template=True)

        return {
            path.name: _Role(
                _options(read(path / "meta/argument_specs.yml")["argument_specs"]),
                read(path / "meta/constraints.yml"),
                role_defaults(path.name),
                {name: value for file in path.glob("vars/**/*.yml") for name, value in read(file).items()},
            )
            for path in sorted(_ROLES.iterdir())
        }

    def _evaluate(self, variables: Mapping[str, Any], name: str) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables).template(variables[name])


def _options(entry_points: Mapping[str, Any]) -> Any:
    """Return the options of the role itself, which are in the first entry point."""
    return next(iter(entry_points.values())).get("options", {})


def _lines(found: Iterable[tuple[str, Problem]]) -> list[str]:
    """Return one line for each problem, with the names of all affected hosts."""
    owners: dict[str, list[str]] = {}
    for name, problem in found:
        owners.setdefault(str(problem), []).append(name)
    return [f"{', '.join(names)}: {problem}" for problem, names in owners.items()]


class ClusterChecks:
    """Checks of all machines of a home together."""

    def __init__(
        self,
        homes: list[HostChecks],
        founder: str,
        groups: Mapping[str, list[str]],
        hostvars: Any,
        *,
        channels: bool,
    ) -> None:
        self._second = [home.name for home in homes if home.name in groups["control_plane"][1:]]
        looked_at = [home.machine(channel=channels) for home in homes if home.stays]
        fit = [machine for machine in looked_at if machine and machine.name not in self._second]
        self._founder = next((machine for machine in fit if machine.name == founder), None)
        self._workers = [machine for machine in fit if machine.name != founder]
        names = {machine.name for machine in fit}
        self._others = {
            name: str(hostvars.raw_get(name).get("ansible_host", name))
            for name in groups["home_servers"]
            if name not in names
        }

    def problems(self) -> Iterator[machines.Found]:
        """Report conflicts between machines. If the founder is not part of the run, its state is unknown."""
        for name in self._second:
            yield name, joining.second_control_plane(name)
        if self._founder:
            yield from machines.problems(self._founder, self._workers)

    def doubts(self) -> Iterator[machines.Found]:
        """Report problems that may occur later."""
        if self._founder:
            yield from machines.doubts(self._founder, self._workers, self._others)


class _Role(NamedTuple):
    """The options of a role with their constraints, and its variables."""

    options: dict[str, Any]
    constraints: dict[str, Any]
    defaults: dict[str, Any]
    vars: dict[str, Any]


class HostChecks:
    """One host of the inventory with its variables, set or by default."""

    def __init__(
        self,
        name: str,
        variables: dict[str, Any],
        roles: dict[str, _Role],
        evaluate: Evaluate,
        limits: checks.Limits,
    ) -> None:
        self.name = name
        self._variables = variables
        self._unset: Set[str] = frozenset()
        self._roles = roles
        self._specs: Specs = {role: content.options for role, content in roles.items()}
        # A role may declare constraints for another role, as apps does for the entries of its list.
        self._constraints = {
            name: schema for role in roles.values() for name, schema in role.constraints.items()
        }
        self._evaluate = evaluate
        self._limits = limits
        self._probe = variables["_preflight_probe"]

    @property
    def stays(self) -> bool:
        """Whether it is, or becomes, part of the home."""
        return bool(self._variables.get("microk8s_state") != "absent")

    def machine(self, *, channel: bool) -> machines.Machine | None:
        """Return the machine for checks against others; None if it could not be probed."""
        if self._probe["unfit"]:
            return None
        closed = self._variables.get("_preflight_ports", {}).get("closed", [])
        wanted = self._channel if channel and not self._unset & _NAME_IMAGES else ""
        return machines.Machine(self.name, self.address, self._probe["host"], closed, wanted)

    @property
    def address(self) -> str:
        """Its address in the inventory."""
        return str(self._variables.get("ansible_host", self.name))

    def problems(self, *, judge_values: bool) -> Iterator[Problem]:
        """Report all problems with the host and its variables. Judging values requires Python packages."""
        yield from checks.unknown_variables(self._variables, self._specs)
        yield from checks.doubled_variables(self._variables)
        if judge_values:
            yield from self._value_problems()
        if self._probe["unfit"]:
            yield Problem(**self._probe["unfit"])
        else:
            yield from checks.unfit_host(self._probe["host"], self._limits)
            yield from self._mismatches() if judge_values else ()

    def _value_problems(self) -> Iterator[Problem]:
        wrong = self._wrong_values()
        causes = []
        for name in wrong:
            # A value that is only wrong because another value is wrong is not reported.
            self._unset = wrong.keys() - {name}
            causes += self._wrong_value(name)
        # If variables refer to each other in a circle, none of them is the cause.
        yield from causes or [problem for problems in wrong.values() for problem in problems]
        # The other checks use defaults instead of wrong values, which avoids consequential problems.
        self._unset = wrong.keys()
        yield from self._inventory_problems()

    def doubts(self, *, several: bool, judge_values: bool) -> Iterator[Problem]:
        """Report problems that may occur later."""
        yield from checks.deprecated_variables(self._variables)
        if self._probe["unfit"]:
            return
        yield from checks.doubtful_host(self._probe["host"], self.address)
        if judge_values and self._is_saved:
            yield from checks.absent_repositories(self._probe["host"], self._value("backup_repositories"))
        if several and judge_values:
            encrypt = self._value("microk8s_encrypt_between_nodes")
            yield from checks.sends_clear_text(self._probe["host"], encrypt)

    def _wrong_values(self) -> dict[str, list[Problem]]:
        """Return the problems of each role variable that is set."""
        options = {name for role in self._roles.values() for name in role.options}
        named = {checks.DEPRECATED.get(name, name) for name in self._variables}
        imported = {name for name in self._variables if name.startswith(IMPORTED)}
        judged = {name: self._wrong_value(name) for name in sorted(options & named | imported)}
        return {name: problems for name, problems in judged.items() if problems}

    def _wrong_value(self, name: str) -> list[Problem]:
        # playbooks/import_compose.yml writes entries of the option apps.
        option = "apps" if name.startswith(IMPORTED) else name
        role = self._owner(option)
        try:
            value = self._evaluated(name)
        except AnsibleError as error:
            wrong = f"{name} cannot be evaluated: {str(error).splitlines()[0]}"
            return [Problem(wrong, "correct it in the inventory")]
        return constraints.wrong_value(name, role.options[option], self._constraints.get(option), value)

    def _value(self, name: str) -> Any:
        """Evaluate a variable, and keep numbers as numbers."""
        role, value = self._owner(name), self._evaluated(name)
        schema = constraints.schema(role.options[name]) if name in role.options else {}
        return constraints.normal(schema, value)

    def _owner(self, name: str) -> _Role:
        """Return the role that has a variable."""
        owners = (role for role in self._roles.values() if name in role.options or name in role.vars)
        return next(owners, self._roles["common"])

    def _evaluated(self, name: str) -> Any:
        return self._evaluate(self._ranked(self._owner(name)), name)

    def _ranked(self, role: _Role) -> dict[str, Any]:
        """Return all variables as a role sees them.

        Ansible ranks them for a task of that role only, and this runs before any.
        """
        common = self._roles["common"]
        given = {
            name: value
            for name, value in self._variables.items()
            if checks.DEPRECATED.get(name, name) not in self._unset
        }
        return {**common.defaults, **role.defaults, **given, **common.vars, **role.vars}

    def _inventory_problems(self) -> Iterator[Problem]:
        yield from checks.unknown_overrides(
            self._value("homeserver_version_overrides"), self._value("homeserver_pinned_versions")
        )
        yield from checks.repeated_routes(self._routes())
        yield from wrong_relations(self._value)
        yield from self._dashboard_problems()
        yield from self._kibana_problems()
        yield from self._logstash_problems()
        yield from promtool.flaws(
            self._value("prometheus_rules_extra"), self._value("prometheus_scrape_configs")
        )
        yield from self._builder_problems()
        if not self._unset & _NAME_IMAGES:
            yield from self._image_problems()

    def _dashboard_problems(self) -> Iterator[Problem]:
        taken = [file.stem for file in (_ROLES / "grafana/files/dashboards").glob("*/*.json")]
        sources = grafana_dashboards.OPTIONAL_SOURCES
        missing = [uid for uid, variable in sources.items() if not self._value(variable)]
        for flaw in grafana_dashboards.flaws(self._value("grafana_dashboards_extra"), taken, missing):
            yield Problem(f"{flaw.wrong} (grafana_dashboards_extra)", flaw.fix)

    def _kibana_problems(self) -> Iterator[Problem]:
        taken = kibana_objects.ids((_ROLES / "elk/files/kibana/homeserver.ndjson").read_text())
        for flaw in kibana_objects.flaws(self._value("elk_kibana_files"), taken):
            yield Problem(f"{flaw.wrong} (elk_kibana_files)", flaw.fix)

    def _logstash_problems(self) -> Iterator[Problem]:
        filters = self._value("elk_logstash_filters_extra")
        if filters and self._value("elk_logstash_enabled") and (flaw := logstash_filters.flaw(filters)):
            fix = "write only the contents of the section filter, without its braces"
            yield Problem(f"elk_logstash_filters_extra cannot be read by Logstash: {flaw}", fix)

    def _builder_problems(self) -> Iterator[Problem]:
        if self._value("_apps_builds"):
            try:
                find_builder()
            except BuildError as error:
                wrong, _, fix = str(error).partition(" -> ")
                yield Problem(wrong, fix)

    def _image_problems(self) -> Iterator[Problem]:
        if mirror := self._value("homeserver_image_mirror"):
            yield from checks.short_images(mirror, self._value("_apps_entries"))
        bundle = Bundle([], [], {})
        if directory := self._value("homeserver_bundle"):
            bundle, flaws = read_bundle(Path(directory).expanduser())
            yield from self._bundle_problems(bundle, flaws)
        if not bundle.images:
            prefix, lock = self._value("homeserver_image_prefix"), self._value("homeserver_locked_images")
            images = self._value("homeserver_versions")["images"].items()
            pulled = [image for name, image in images if self._runs(name)]
            named = [app.get("image") for app in self._value("_apps_entries")]
            pulled += [locked(image, lock) for image in named if image]
            own = self._value("homeserver_microk8s_images").get(self._channel.partition("/")[0], [])
            mirrors = self._value("microk8s_registry_mirrors")
            yield from checks.plain_mirrors(mirrors, [prefix + image for image in pulled], own)

    def _bundle_problems(self, bundle: Bundle, flaws: list[str]) -> Iterator[Problem]:
        versions = self._value("homeserver_unlocked_versions")
        prefix = self._value("homeserver_image_prefix")
        held = {
            "images": [image["reference"] for image in bundle.images],
            "manifests": bundle.manifests,
            "snaps": [snap["name"] for snap in bundle.snaps],
        }
        named = [prefix + image for name, image in versions["images"].items() if self._runs(name)]
        needed = {
            # If a bundle has no images, they come from registries.
            "images": named if bundle.images else [],
            "manifests": versions["manifests"],
            "snaps": ["microk8s"],
        }
        # A bundle that cannot be read is not checked further.
        yield from checks.wrong_bundle(flaws, held, needed if any(bundle) else {})
        if not flaws:
            pinned = {name: manifest["sha256"] for name, manifest in versions["manifests"].items()}
            unsigned = self._value("homeserver_bundle_unsigned_snaps")
            yield from checks.untrusted_bundle(bundle, pinned, unsigned_snaps=unsigned)

    def _runs(self, image: str) -> bool:
        return needs_image(image, self._holds)

    def _holds(self, role: str, condition: str | bool) -> bool:
        """Evaluate a condition of a component's declaration."""
        if isinstance(condition, bool):
            return condition
        known = self._ranked(self._roles[role]) | {_CONDITION: trust_as_template(condition)}
        return bool(self._evaluate(known, _CONDITION))

    def _mismatches(self) -> Iterator[Problem]:
        """Report conflicts between the host and its variables."""
        host = self._probe["host"]
        yield from checks.fails_on_cgroup_v1(host, self._value("microk8s_extra_kubelet_args"))
        if self._is_saved:
            yield from checks.missing_directories(host, self._value("backup_repositories"))
        yield from checks.cannot_encrypt(host, self._value("microk8s_encrypt_between_nodes"))
        yield from checks.missing_channel(self._channel, host["channels"])
        platform = self._value("homeserver_platform") if "homeserver_platform" in self._variables else ""
        yield from checks.wrong_architecture(host, platform, self._bundle_architecture())
        if host["microk8s"]:
            yield from checks.wrong_upgrade(host["microk8s"]["version"], self._channel)

    @property
    def _is_saved(self) -> bool:
        return self.stays and self._value("backup_state") == "present"

    def _bundle_architecture(self) -> str:
        directory = self._value("homeserver_bundle")
        return read_bundle(Path(directory).expanduser())[0].architecture if directory else ""

    @property
    def _channel(self) -> str:
        return str(self._value("homeserver_versions")["microk8s_channel"])

    def _routes(self) -> Iterator[Route]:
        names = ("homeserver_domain", "homeserver_hosts", "_apps_entries", "traefik_routes")
        return routes(*(self._value(name) for name in names))
