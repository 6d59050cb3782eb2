"""The entries of the option apps, completed with defaults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

App = Mapping[str, Any]
Options = Mapping[str, Mapping[str, Any]]
"""Options as in an argument spec."""


def complete(apps: Sequence[App], options: Options, domain: str) -> list[dict[str, Any]]:
    """Return the apps with every option, and with values that are derived from the options of all apps.

    Args:
        apps: entries of the option apps.
        options: the options of an entry.
        domain: the home's domain.
    """
    filled = [_filled(app, options) for app in apps]
    for app in filled:
        app.setdefault("replicas", 1 if app["volumes"] else 2)
        app.setdefault("probe_port", app["port"])
        app["routes"] = list(routes(app, domain))
        app["listens"] = list(_listens(app))
        app["pods"] = _pods(app)
        app["hooks"] = _hooks(app)
        app["clients"] = [pod for other in filled for pod in _pods(other) if _connects(other, pod, app)]
    return filled


_DUMPS = {
    # Always through its socket, even if other commands use another host.
    "postgresql": 'PGHOST= PGPASSWORD="$POSTGRES_PASSWORD" pg_dumpall'
    ' --username="${POSTGRES_USER:-postgres}"',
    "mariadb": 'MYSQL_PWD="${MARIADB_ROOT_PASSWORD:-$MYSQL_ROOT_PASSWORD}" mariadb-dump --user=root'
    " --all-databases --single-transaction",
}


def _hooks(app: App) -> dict[str, list[list[str]]]:
    """Return the commands that an app runs before and after a backup, if there are any."""
    backup = app.get("backup") or {}
    before, after = list(backup.get("before") or []), list(backup.get("after") or [])
    if dump := _DUMPS.get(backup.get("preset", "")):
        # Written atomically, and readable by its user only. The file stays because the machine of the volume
        # may be saved later than the founder, which requests the dump.
        file = f"{app['volumes'][0]['path'].rstrip('/')}/homeserver-backup.sql"
        script = f'umask 077; {dump} > "$1.new" && mv "$1.new" "$1"'
        before.append(["sh", "-c", script, "sh", file])
        after.append(["rm", "-f", f"{file}.new"])
    return {when: commands for when, commands in (("before", before), ("after", after)) if commands}


def _filled(entry: App, options: Options) -> dict[str, Any]:
    """Return an entry with the defaults of its options, also in nested entries."""
    defaults = {name: option["default"] for name, option in options.items() if "default" in option}
    filled = {**defaults, **entry}
    for name in filled.keys() & options.keys():
        nested = options[name].get("options")
        if nested and isinstance(filled[name], Mapping):
            filled[name] = _filled(filled[name], nested)
        elif nested:
            filled[name] = [_filled(each, nested) for each in filled[name]]
    return filled


def routes(app: App, domain: str) -> Iterator[dict[str, str]]:
    """Return host and path of each of an app's routes; the entry need not be complete."""
    own = app.get("host") or f"{app['name']}.{domain}"
    for route in app.get("routes", [{}]):
        yield {"host": route.get("host") or own, "path": route.get("path") or "/"}


def entry_points(apps: Iterable[App]) -> list[dict[str, Any]]:
    """Return name, number and protocol of the ports that Traefik opens for apps, in a fixed order."""
    opened = sorted(set(_opened(apps)))
    return [{"name": f"{kind}-{port}", "port": port, "protocol": kind} for kind, port in opened]


def _opened(apps: Iterable[App]) -> Iterator[tuple[str, int]]:
    for app in apps:
        for port in app.get("ports", []):
            yield port.get("protocol", "tcp"), int(port["port"])


def _listens(app: App) -> Iterator[dict[str, Any]]:
    """Return name, number and protocol of each port of an app's pods, each once."""
    http = "http" if app["routes"] else f"tcp-{app['port']}"
    wanted = [
        (http, app["port"], "TCP"),
        ("metrics", app["metrics_port"], "TCP"),
        *(
            (f"{port['protocol']}-{_target(port)}", _target(port), port["protocol"].upper())
            for port in app["ports"]
        ),
    ]
    seen = set()
    for name, port, protocol in wanted:
        if port and (port, protocol) not in seen:
            seen.add((port, protocol))
            yield {"name": name, "port": port, "protocol": protocol}


def _target(port: Mapping[str, Any]) -> Any:
    return port.get("target_port") or port["port"]


def _pods(app: App) -> list[str]:
    """Return the names that its pods have as a label: its own, and those of its schedules."""
    return [app["name"], *(f"{app['name']}-{schedule['name']}" for schedule in app.get("schedules", []))]


def clones(apps: Iterable[App]) -> dict[str, Any]:
    """Return the repositories to clone, by the name of the app."""
    return {app["name"]: app["git"] for app in apps if app.get("git")}


def sources(apps: Sequence[App], cloned: str) -> dict[str, str]:
    """Return the directory of each app that is built, by its name; `cloned` has those that are cloned."""
    given = {app["name"]: str(app["source"]) for app in apps if app.get("source")}
    fetched = {
        name: f"{cloned}/{name}/{git.get('directory', '')}".rstrip("/") for name, git in clones(apps).items()
    }
    return given | fetched


def _connects(other: App, pod: str, app: App) -> bool:
    """Return whether a pod of an app may connect to another app; schedules connect to their own app, too."""
    return app["name"] in other["needs"] or (other is app and pod != app["name"])
