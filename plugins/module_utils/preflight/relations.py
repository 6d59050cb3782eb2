"""Checks options against each other. Each value is already valid on its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..app_devices import devices, serial_ports
from ..apps import App, directory_of
from ..apps import routes as app_routes
from ..catalogue import is_part, part
from ..versions import numbers
from .formats import FORMATS, fits
from .problem import Problem

Value = Callable[[str], Any]
"""Returns the value of a variable."""

Placed = tuple[str, Any]
"""The position of an item in a list, and the item."""

_PRIVATE = re.compile(r"(.*\.)?(home\.arpa|local|lan|internal|localdomain|localhost|test)")
_LONGEST_CRON_JOB = 52  # characters that Kubernetes allows
_NOT_IN_PARTS = frozenset({"from", "git", "name", "parts", "source", "stack"})
_WITH_DEVICES = [1, 35]
"""The first version of MicroK8s whose containerd gives devices to apps."""
_TEMPORARY = "/tmp"  # noqa: S108 (in the pod)


def wrong_relations(value: Value) -> Iterator[Problem]:
    """Report all conflicting options."""
    for find in _RELATIONS:
        yield from find(value)


def _runs(value: Value, role: str) -> bool:
    return bool(value(f"{role}_state") == "present")


def _private_domain(value: Value) -> Iterator[Problem]:
    domain = value("homeserver_domain")
    if value("homeserver_acme_email") and _PRIVATE.fullmatch(domain):
        wrong = f"ACME issues no certificate for a private domain (homeserver_domain, {domain!r})"
        yield Problem(wrong, "use a domain of your own, or remove homeserver_acme_email")


def _certificates(value: Value) -> Iterator[Problem]:
    yield from _less(value, "certificate_authority_leaf_days", "certificate_authority_days")
    yield from _less(value, "certificate_authority_renew_days", "certificate_authority_leaf_days")


def _images(value: Value) -> Iterator[Problem]:
    yield from _less(value, "microk8s_image_gc_low_percent", "microk8s_image_gc_high_percent")


def _metrics(value: Value) -> Iterator[Problem]:
    if _runs(value, "prometheus"):
        yield from _less(value, "prometheus_retention_size_gib", "prometheus_volume_size_gib")
        yield from _within_budget(value, "prometheus_volume_size_gib")


def _logs(value: Value) -> Iterator[Problem]:
    if not value("homeserver_logging_enabled") or not _runs(value, "elk"):
        return
    yield from _less(value, "elk_retention_size_gib", "elk_elasticsearch_volume_size_gib")
    heap, memory = value("elk_elasticsearch_heap_mib"), value("elk_elasticsearch_memory_limit_mib")
    if heap > memory * 3 // 4:
        wrong = f"elk_elasticsearch_heap_mib is {heap} (expected at most three quarters of"
        yield Problem(
            f"{wrong} elk_elasticsearch_memory_limit_mib, {memory * 3 // 4})",
            "set a smaller heap, or more memory",
        )
    volumes = ["elk_elasticsearch_volume_size_gib"]
    kept, replicas = value("elk_snapshots_kept"), value("elk_elasticsearch_replicas")
    if kept > 0:
        volumes.append("elk_snapshots_volume_size_gib")
    if value("elk_logstash_enabled"):
        volumes.append("elk_logstash_queue_size_gib")
    yield from _within_budget(value, *volumes)
    if replicas > 1 and kept > 0:
        wrong = f"elk_snapshots_kept is {kept} (expected 0, since elk_elasticsearch_replicas is {replicas})"
        fix = "set it to 0: snapshots are on the disk of one host, and each index has a copy on another host"
        yield Problem(wrong, fix)


def _traces(value: Value) -> Iterator[Problem]:
    stored = value("homeserver_logging_enabled") and _runs(value, "elk")
    if value("homeserver_tracing_enabled") and _runs(value, "tracing") and not stored:
        wrong = "homeserver_tracing_enabled is true, but traces need the Elasticsearch of the logs"
        yield Problem(wrong, "set homeserver_logging_enabled to true, or homeserver_tracing_enabled to false")


def _less(value: Value, small: str, large: str) -> Iterator[Problem]:
    if value(small) >= value(large):
        wrong = f"{small} is {value(small)} (expected less than {large}, {value(large)})"
        yield Problem(wrong, f"set a smaller {small}, or a larger {large}")


def _within_budget(value: Value, *volumes: str) -> Iterator[Problem]:
    budget, wanted = value("homeserver_storage_budget_gib"), sum(value(volume) for volume in volumes)
    if wanted > budget:
        verb = "is" if len(volumes) == 1 else "together are"
        wrong = f"{' and '.join(volumes)} {verb} {wanted}"
        expected = f"(expected at most homeserver_storage_budget_gib, {budget})"
        yield Problem(
            f"{wrong} {expected}", "set smaller volumes, or a larger budget if the disk has the space"
        )


def _traefik(value: Value) -> Iterator[Problem]:
    if not _runs(value, "traefik"):
        return
    by_dns = value("homeserver_acme_email") and value("traefik_acme_challenge") == "dns"
    if by_dns and not value("traefik_acme_dns_provider"):
        wrong = "traefik_acme_dns_provider is empty, and traefik_acme_challenge is dns"
        yield Problem(
            wrong, "set it to a name such as cloudflare, and its variables in traefik_acme_dns_environment"
        )
    yield from _repeated("name", _names("traefik_routes", value("traefik_routes")))
    users = value("traefik_basic_auth_users")
    yield from _repeated("name", _names("traefik_basic_auth_users", users), ["admin"])
    for place, user in _placed("traefik_basic_auth_users", users):
        if len(str(user["password"]).encode()) > 72:
            wrong = f"{place}.password has more than 72 bytes"
            yield Problem(wrong, "choose a shorter one: letters that are not ASCII have several bytes")


def _apps(value: Value) -> Iterator[Problem]:
    apps = list(_placed_apps(value("_apps_entries")))
    yield from _app_names(apps)
    yield from _host_ports(apps)
    yield from _serial_ports(apps)
    yield from _too_old_for_devices(apps, value("homeserver_versions")["microk8s_channel"])
    known = {app["name"] for _, app in apps}
    for place, app in apps:
        others = known - {app["name"]}
        for needed, name in _placed(f"{place}.needs", app.get("needs", [])):
            if name not in others:
                fix = "name an app that is in apps, or remove it"
                yield Problem(f"{needed} is {name!r} (expected the name of another app)", fix)
        routes = (f"{route['host']}{route['path']}" for route in app_routes(app, value("homeserver_domain")))
        yield from _repeated("route", _placed(f"{place}.routes", (route.rstrip("/") for route in routes)))
        yield from _pod_ports(place, app)
        preset = app.get("backup", {}).get("preset")
        if preset and not app.get("volumes"):
            wrong = f"{place}.backup.preset is {preset!r}, and the app has no volume for the dump"
            yield Problem(wrong, "give it a volume, or remove the preset")
        yield from _scaling(place, app, metrics=value("microk8s_metrics_server_enabled"))
        yield from _privileges(place, app)
        yield from _volume_paths(place, app)
        yield from _parts(place, app, apps)
        yield from _stacked(place, app, [other for _, other in apps])
        yield from _places(place, app, value("apps_host_directories"))


def _placed_apps(entries: Iterable[App]) -> Iterator[Placed]:
    """Return the entries with their positions in the option. A stack of the catalogue has one position."""
    number = -1
    main: App = {}
    for app in entries:
        if is_part(app):
            yield f"apps[{number}].parts.{part(app, main)}", app
        else:
            number, main = number + 1, app
            yield f"apps[{number}]", app


def _parts(place: str, app: App, apps: list[Placed]) -> Iterator[Problem]:
    """Report changes of apps that a stack does not have, or that make other apps of them."""
    known = [part(other, app) for there, other in apps if there.startswith(f"{place}.parts.")]
    for name, change in app.get("parts", {}).items():
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "no parts: it is an app of its own"
            fix = "name another app of its stack, which docs/catalogue.md lists, or remove it"
            yield Problem(f"{place}.parts has the key {name!r} (expected {expected})", fix)
        for key in sorted(_NOT_IN_PARTS & change.keys()):
            expected = "a key that leaves it the app that it is"
            wrong = f"{place}.parts.{name} has the key {key!r} (expected {expected})"
            yield Problem(wrong, "remove it, or make the app an entry of its own")


def _volume_paths(place: str, app: App) -> Iterator[Problem]:
    """Report volumes without a path, which only those of the catalogue have already."""
    known = [volume["name"] for volume in app.get("volumes", []) if "path" in volume]
    for volume in app.get("volumes", []):
        if "path" not in volume:
            expected = "a path"
            if "from" in app:
                expected += f", or the name of a volume of {app['name']}: {', '.join(known)}"
            wrong = f"{place}.volumes: {volume['name']!r} has no path (expected {expected})"
            yield Problem(wrong, "set path to where the app finds it")


def _privileges(place: str, app: App) -> Iterator[Problem]:
    if app.get("root") and "user" in app:
        wrong = f"{place}.user is {app['user']}, and {place}.root is true"
        fix = "remove one of them; what the app changes to by itself belongs in env, such as PUID"
        yield Problem(wrong, fix)


def _stacked(place: str, app: App, apps: list[App]) -> Iterator[Problem]:
    """Report probes without a command, and volumes of apps that are not in the same stack."""
    if app.get("probe") == "command" and not app.get("probe_command"):
        yield Problem(f"{place}.probe is command, and probe_command is empty", "name the command")
    shared = {
        (other["name"], volume["name"])
        for other in apps
        if "stack" in app and other.get("stack") == app["stack"]
        for volume in other.get("volumes", [])
        if "app" not in volume
    }
    for inner, volume in _placed(f"{place}.volumes", app.get("volumes", [])):
        if "app" in volume and (volume["app"], volume["name"]) not in shared:
            expected = f"(expected an app of the same stack with a volume {volume['name']!r})"
            wrong = f"{inner}.app is {volume['app']!r} {expected}"
            yield Problem(wrong, "give both apps the same stack, and name a volume of the other app")


def _places(place: str, app: App, directories: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Report volumes outside the directories that apps may use."""
    allowed = [each for paths in directories.values() for each in paths]
    for inner, volume in _placed(f"{place}.volumes", app.get("volumes", [])):
        if "place" in volume and directory_of(volume["place"], allowed) is None:
            listed = ", ".join(allowed) or "which is empty"
            expected = f"(expected a directory in apps_host_directories, {listed})"
            wrong = f"{inner}.place is {volume['place']!r} {expected}"
            fix = "add it: apps_host_directories: {<host of the inventory>: [<directory>]}"
            yield Problem(wrong, fix)


def _app_names(apps: list[Placed]) -> Iterator[Problem]:
    """Report conflicts between the Kubernetes names that are derived from apps and their parts."""
    pods, volumes = [], []
    for place, app in apps:
        pods.append((place, app["name"]))
        for inner, schedule in _placed(f"{place}.schedules", app.get("schedules", [])):
            name = f"{app['name']}-{schedule['name']}"
            pods.append((inner, name))
            if len(name) > _LONGEST_CRON_JOB:
                wrong = f"{inner}.name makes {name!r} with the name of its app"
                expected = f"(expected at most {_LONGEST_CRON_JOB} characters)"
                yield Problem(f"{wrong} {expected}", "choose a shorter one")
        own = list(_placed(f"{place}.volumes", app.get("volumes", [])))
        # An app may have a volume at several paths.
        named = {
            f"{app['name']}-{volume['name']}": inner for inner, volume in reversed(own) if "app" not in volume
        }
        volumes += [(inner, name) for name, inner in named.items()]
        yield from _differing(own)
        paths = [(inner, volume["path"].rstrip("/")) for inner, volume in own if "path" in volume]
        paths += [(f"{place}.files", file) for file in app.get("files", {})]
        paths += [(f"{place}.devices", device.inside) for device in devices(app)]
        shared = ["/dev/shm"] if app.get("shared_memory_mib") else []  # noqa: S108
        yield from _repeated("path", paths, [_TEMPORARY, *shared])
    # The namespace already has a network policy with this name.
    yield from _repeated("name", pods, ["default-deny"])
    yield from _repeated("name", volumes)


def _differing(volumes: list[Placed]) -> Iterator[Problem]:
    """Report a volume whose entries for several paths disagree on more than the path."""
    first: dict[str, tuple[str, App]] = {}
    for place, volume in volumes:
        if "app" in volume:
            continue
        before, known = first.setdefault(volume["name"], (place, volume))
        for key in ("place", "size_gib", "backup"):
            if key in volume and volume[key] != known.get(key):
                wrong = (
                    f"{place}.{key} is {volume[key]!r}, and {before} is the same volume with another value"
                )
                yield Problem(wrong, "set it in the first entry alone, or give the volume another name")


def _host_ports(apps: list[Placed]) -> Iterator[Problem]:
    opened = [
        (inner, f"{port.get('protocol', 'tcp')} {port['port']}")
        for place, app in apps
        for inner, port in _placed(f"{place}.ports", app.get("ports", []))
    ]
    # The ports of Traefik and Kubernetes.
    yield from _repeated("port", opened, ["tcp 80", "tcp 443", "tcp 16443"])


def _too_old_for_devices(apps: list[Placed], channel: str) -> Iterator[Problem]:
    """Report devices of apps where containerd is older than version 2, which would not give them."""
    if numbers(channel)[:2] >= _WITH_DEVICES or not numbers(channel):
        return
    for place, app in apps:
        if devices(app):
            wrong = f"{place} uses devices, and microk8s_channel is {channel!r} (expected 1.35 or later)"
            yield Problem(wrong, "update MicroK8s first: homeserver_version_overrides.microk8s_channel")


def _serial_ports(apps: list[Placed]) -> Iterator[Problem]:
    """Report a serial port of two apps, or of an app that has several pods."""
    first: dict[str, str] = {}
    for place, app in apps:
        several = "autoscaling" in app or app.get("replicas", 1) > 1
        for port in dict.fromkeys(serial_ports(app)):
            if port in first or several:
                other = f"{first[port]} uses it already" if port in first else "the app has several pods"
                wrong = (
                    f"{place}.devices: {port} is a serial port, which only one program can use, and {other}"
                )
                yield Problem(wrong, "leave it to one app with one pod")
            first.setdefault(port, place)


def _pod_ports(place: str, app: App) -> Iterator[Problem]:
    port, metrics = app.get("port", 8000), app.get("metrics_port", 0)
    is_probed_there = app.get("probe", "http") in ("http", "tcp") and "probe_port" not in app
    if port == 0 and (is_probed_there or app.get("routes", [{}])):
        wrong = f"{place}.port is 0, which is for an app without routes and without a probe of its port"
        yield Problem(wrong, "set its port, or probe: none and routes: []")
    if port == metrics != 0:
        wrong = f"{place}.metrics_port is {metrics}, the same as its port"
        yield Problem(wrong, "give one of them another number, or set metrics_port to 0")


def _scaling(place: str, app: App, *, metrics: bool) -> Iterator[Problem]:
    scaling = app.get("autoscaling")
    if scaling and scaling["min"] > scaling["max"]:
        wrong = f"{place}.autoscaling.min is {scaling['min']} (expected at most max, {scaling['max']})"
        yield Problem(wrong, "set a smaller min, or a larger max")
    if scaling and not metrics:
        wrong = f"{place}.autoscaling needs the metrics server, and microk8s_metrics_server_enabled is false"
        yield Problem(wrong, "set it to true, or set replicas instead")


def _scraping(value: Value) -> Iterator[Problem]:
    jobs = value("prometheus_scrape_configs")
    # This renders the whole configuration.
    taken = value("_prometheus_job_names") if jobs else []
    for number, job in enumerate(jobs):
        if taken.count(job["job_name"]) > 1:
            wrong = f"prometheus_scrape_configs[{number}].job_name is {job['job_name']!r}, as for another job"
            yield Problem(wrong, "give it a name that no other job of yours or of this project has")
    rules, targets = value("prometheus_rules_extra"), value("prometheus_target_files")
    # In the cluster, their names end in .rules.yml.
    stems = _placed("prometheus_rules_extra", (Path(path).stem for path in rules))
    yield from _repeated("file name", stems)
    names = _placed("prometheus_target_files", (Path(path).name for path in targets))
    yield from _repeated("file name", names, ["prometheus.yml"])
    for number, probe in enumerate(value("prometheus_probes")):
        wanted = _TARGETS[probe.get("module", "http")]
        if not fits(wanted, probe["target"]):
            wrong = f"prometheus_probes[{number}].target is {probe['target']!r}"
            yield Problem(
                f"{wrong} (expected {FORMATS[wanted].expected})", "correct it, or set another module"
            )


_TARGETS = {
    "http": "url",
    "http_insecure": "url",
    "icmp": "host",
    "tcp": "host-with-port",
    "tls": "host-with-port",
}


def _alerts(value: Value) -> Iterator[Problem]:
    hours = value("alertmanager_quiet_hours")
    if hours and len(set(hours.split("-"))) == 1:
        wrong = f"alertmanager_quiet_hours is {hours!r}: it ends at the time it starts"
        yield Problem(wrong, "write another end, or leave it empty for none")


def _log_source(value: Value) -> Iterator[Problem]:
    if bool(value("grafana_elasticsearch_user")) != bool(value("grafana_elasticsearch_password")):
        wrong = "one of grafana_elasticsearch_user and grafana_elasticsearch_password is empty"
        yield Problem(wrong, "set both or none")


def _backups(value: Value) -> Iterator[Problem]:
    repositories = value("backup_repositories")
    yield from _repeated("name", _names("backup_repositories", repositories))
    if repositories and not any(value("backup_keep").values()):
        yield Problem("backup_keep keeps nothing", "keep at least one copy, such as {daily: 7}")
    for place, repository in _placed("backup_repositories", repositories):
        if value("backup_prune_from") == "control" and not repository.get("prune"):
            wrong = f"{place} has no prune, and backup_prune_from is 'control'"
            yield Problem(wrong, "set how the control machine reaches it: prune: {location: …}")


def _placed(place: str, entries: Iterable[Any]) -> Iterator[Placed]:
    return ((f"{place}[{number}]", entry) for number, entry in enumerate(entries))


def _names(place: str, entries: Iterable[Mapping[str, Any]]) -> Iterator[Placed]:
    return _placed(place, (str(entry["name"]) for entry in entries))


def _repeated(what: str, given: Iterable[Placed], reserved: Iterable[str] = ()) -> Iterator[Problem]:
    first = dict.fromkeys(reserved, "this project")
    for place, name in given:
        if name in first:
            wrong = f"{place} has the {what} {name!r}, which {first[name]} already has"
            yield Problem(wrong, f"give it another {what}")
        first.setdefault(name, place)


_RELATIONS = (
    _private_domain,
    _certificates,
    _images,
    _metrics,
    _logs,
    _traces,
    _traefik,
    _apps,
    _scraping,
    _alerts,
    _log_source,
    _backups,
)
