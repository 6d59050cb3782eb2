"""The action plugin preflight: names everything that is wrong with inventory, control machine and hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible.errors import AnsibleError, AnsibleFilterError
from ansible.plugins.action import ActionBase
from ansible_collections.homeserver.stack.plugins.filter.microk8s import flags
from ansible_collections.homeserver.stack.plugins.module_utils import (
    grafana_dashboards,
    kibana_objects,
    preflight,
)
from ansible_collections.homeserver.stack.plugins.module_utils.bundle import read_bundle
from ansible_collections.homeserver.stack.plugins.module_utils.image_build import BuildError, find_builder
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import Problem, Specs

_ROLES = Path(__file__).parents[2] / "roles"

_NEEDED_IF = {
    "grafana": "grafana_replicas",
    "kibana": "elk_kibana_replicas",
    "kube_state_metrics": "prometheus_kube_state_metrics_enabled",
    "logstash": "elk_logstash_enabled",
}
"""Images that run only if a variable says so."""

Evaluate = Callable[[Mapping[str, Any], str], Any]
"""Gives the value of a variable among others."""


class ActionModule(ActionBase):
    """Fail with every problem, or do nothing."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge the `hosts`, each by its variables and by what was registered there as _preflight_probe."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        hostvars = (task_vars or {})["hostvars"]
        limits = preflight.Limits(**self._task.args["limits"])
        roles = self._roles()
        homes = [
            _Home(host, hostvars.raw_get(host) | {"hostvars": hostvars}, roles, self._evaluate, limits)
            for host in self._task.args["hosts"]
        ]
        here = [("control machine", problem) for problem in preflight.missing_on_control_machine()]
        problems = _lines([*here, *((home.name, problem) for home in homes for problem in home.problems())])
        result["warnings"] = _lines((home.name, doubt) for home in homes for doubt in home.doubts())
        if problems:
            count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            result.update(failed=True, msg="\n".join([f"{count}, nothing was changed.", *problems]))
        return result

    def _roles(self) -> dict[str, _Role]:
        def read(file: Path) -> Any:
            return self._loader.load_from_file(str(file), trusted_as_template=True)

        return {
            path.name: _Role(
                read(path / "meta/argument_specs.yml")["argument_specs"]["main"].get("options", {}),
                {**read(path / "defaults/main.yml"), "role_path": str(path)},
            )
            for path in sorted(_ROLES.iterdir())
        }

    def _evaluate(self, variables: Mapping[str, Any], name: str) -> Any:
        return self._templar.copy_with_new_env(available_variables=variables).template(variables[name])


def _lines(found: Iterable[tuple[str, Problem]]) -> list[str]:
    """One line for each problem, after the names of all who have it."""
    owners: dict[str, list[str]] = {}
    for name, problem in found:
        owners.setdefault(str(problem), []).append(name)
    return [f"{', '.join(names)}: {problem}" for problem, names in owners.items()]


class _Role(NamedTuple):
    """What a role lets its user set."""

    options: dict[str, Any]
    defaults: dict[str, Any]


class _Home:
    """One host of the inventory with its variables, set or by default."""

    def __init__(
        self,
        name: str,
        variables: dict[str, Any],
        roles: dict[str, _Role],
        evaluate: Evaluate,
        limits: preflight.Limits,
    ) -> None:
        self.name = name
        self._variables = variables
        self._roles = roles
        self._specs: Specs = {role: content.options for role, content in roles.items()}
        self._evaluate = evaluate
        self._limits = limits
        self._probe = variables["_preflight_probe"]

    def problems(self) -> Iterator[Problem]:
        """Name everything wrong with the host and what is set for it."""
        values, unreadable = self._values()
        wrong = [*unreadable, *preflight.wrong_values(values, self._specs)]
        yield from [*preflight.unknown_variables(self._variables, self._specs), *wrong]
        if not wrong:  # else the rest would stumble over them
            yield from self._inventory_problems()
        if self._probe["unfit"]:
            yield Problem(**self._probe["unfit"])
        else:
            yield from preflight.unfit_host(self._probe["host"], self._limits)
            yield from self._mismatches() if not wrong else ()

    def doubts(self) -> Iterator[Problem]:
        """Name what works today and may not tomorrow."""
        if not self._probe["unfit"]:
            address = str(self._variables.get("ansible_host", self.name))
            yield from preflight.doubtful_host(self._probe["host"], address)

    def _values(self) -> tuple[dict[str, Any], list[Problem]]:
        """The roles' variables that are set, and what is wrong with those that cannot be evaluated."""
        values, unreadable = {}, []
        for name in sorted(
            {name for options in self._specs.values() for name in options} & self._variables.keys()
        ):
            try:
                values[name] = self._value(name)
            except AnsibleError as error:
                wrong = f"{name} cannot be evaluated: {str(error).splitlines()[0]}"
                unreadable.append(Problem(wrong, "correct it in the inventory"))
        return values, unreadable

    def _value(self, name: str) -> Any:
        role = next(role for role in self._roles.values() if name in role.options)
        common = self._roles["common"].defaults
        return self._evaluate({**common, **role.defaults, **self._variables}, name)

    def _inventory_problems(self) -> Iterator[Problem]:
        yield from preflight.wrong_domain(
            self._value("homeserver_domain"), self._value("homeserver_acme_email")
        )
        yield from preflight.wrong_channel(self._channel)
        yield from preflight.repeated_routes(self._routes())
        yield from self._flag_problems()
        yield from self._dashboard_problems()
        yield from self._kibana_problems()
        yield from self._builder_problems()
        if directory := self._value("homeserver_bundle"):
            yield from self._bundle_problems(Path(directory).expanduser())

    def _flag_problems(self) -> Iterator[Problem]:
        for name in (name for name in self._roles["microk8s"].options if name.endswith("_args")):
            try:
                flags(self._value(name))
            except AnsibleFilterError as error:
                yield Problem(f"{error} (variable {name})", "correct it in the inventory")

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

    def _builder_problems(self) -> Iterator[Problem]:
        if any(app.get("source") for app in self._value("flask_app_apps")):
            try:
                find_builder()
            except BuildError as error:
                wrong, _, fix = str(error).partition(" -> ")
                yield Problem(wrong, fix)

    def _bundle_problems(self, directory: Path) -> Iterator[Problem]:
        bundle, flaws = read_bundle(directory)
        versions = self._value("homeserver_versions")
        prefix = self._value("homeserver_image_prefix")
        held = {
            "images": [image["reference"] for image in bundle.images],
            "manifests": bundle.manifests,
            "snaps": [snap["name"] for snap in bundle.snaps],
        }
        needed = {
            "images": [prefix + image for name, image in versions["images"].items() if self._runs(name)],
            "manifests": versions["manifests"],
            "snaps": ["microk8s"],
        }
        # Of a bundle that cannot be read, that is all there is to say.
        yield from preflight.wrong_bundle(flaws, held, needed if any(bundle) else {})

    def _runs(self, image: str) -> bool:
        return image not in _NEEDED_IF or bool(self._value(_NEEDED_IF[image]))

    def _mismatches(self) -> Iterator[Problem]:
        """Name what does not go together of the host and what is set for it."""
        host = self._probe["host"]
        yield from preflight.fails_on_cgroup_v1(host, self._value("microk8s_extra_kubelet_args"))
        yield from preflight.missing_channel(self._channel, host["channels"])
        if host["microk8s"]:
            yield from preflight.wrong_upgrade(host["microk8s"]["version"], self._channel)

    @property
    def _channel(self) -> str:
        return str(self._value("homeserver_versions")["microk8s_channel"])

    def _routes(self) -> Iterator[tuple[str, str, str]]:
        domain = self._value("homeserver_domain")
        for own in ("alertmanager", "grafana", "kibana", "prometheus", "traefik"):
            yield f"{own}.{domain}", "/", f"the one of this project's own {own}"
        for variable in ("traefik_routes", "flask_app_apps"):
            for entry in self._value(variable):
                host = entry.get("host") or f"{entry['name']}.{domain}"
                yield host, entry.get("path") or "/", f"{entry['name']} in {variable}"
