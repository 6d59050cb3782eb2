"""The entries of the option apps, completed with defaults."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from .app_devices import resources
from .registry.image_lock import Lock, locked

App = Mapping[str, Any]
Options = Mapping[str, Mapping[str, Any]]
"""Options as in an argument spec."""


def complete(
    apps: Sequence[App], options: Options, domain: str, places: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """Return the apps with every option, and with values that are derived from the options of all apps.

    Args:
        apps: entries of the option apps.
        options: the options of an entry.
        domain: the home's domain.
        places: the node of each directory that volumes may use.
    """
    filled = [_filled(app, options) for app in apps]
    for app in filled:
        app["device_resources"] = resources(app)
        app["device_limits"] = dict.fromkeys(app["device_resources"], "1")
        # Two versions must not use the same files, nor the same device.
        app["alone"] = bool(app["volumes"] or app["device_resources"])
        app.setdefault("replicas", 1 if app["alone"] else 2)
        app.setdefault("probe_port", app["port"])
        app.setdefault("writable_root", app["root"])
        app.setdefault("capabilities", ROOT_CAPABILITIES if app["root"] else [])
        app["namespace"] = namespace(app, filled)
        app["routes"] = list(routes(app, domain))
        app["listens"] = list(_listens(app))
        app["pods"] = _pods(app)
        app["hooks"] = _hooks(app)
        app["egress"] = [*app["egress"], *_networks(app)]
        if "stack" in app:
            app.setdefault("hostname", app["name"])
        app["claims"] = _claims(app)
        for volume in app["volumes"]:
            if "place" in volume:
                volume["node"] = (places or {})[directory_of(volume["place"], places or {}) or ""]
    for app in filled:
        app["clients"] = _by_namespace(
            app["namespace"],
            [
                (other["namespace"], pod)
                for other in filled
                for pod in _pods(other)
                if _connects(other, pod, app)
            ],
        )
        reached = [other for other in filled if any(_connects(app, pod, other) for pod in _pods(app))]
        app["reaches"] = _by_namespace(
            app["namespace"], [(other["namespace"], other["name"]) for other in reached]
        )
    return filled


def _claim(app: App, volume: Mapping[str, Any]) -> str:
    """Return the name of a volume's claim. A volume may belong to another app of the stack."""
    return f"{volume.get('app', app['name'])}-{volume['name']}"


def _claims(app: App) -> dict[str, str]:
    """Return the claim of each volume of a pod, and tell each mount which volume it is of.

    A volume may be mounted at several paths, and those of two apps may have the same name.
    """
    claims: dict[str, str] = {}
    for volume in app["volumes"]:
        claim = _claim(app, volume)
        mount, number = f"volume-{volume['name']}", 2
        while claims.get(mount, claim) != claim:
            mount, number = f"volume-{volume['name']}-{number}", number + 1
        volume["mount"] = mount
        claims[mount] = claim
    return claims


# ---- What a pod may do, and the namespace whose Pod Security Standard allows it.

ROOT_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETUID"]
"""Those of an image that starts as root, changes to another user and supervises its processes, as with s6."""
LEVELS = {"apps": "restricted", "apps-root": "baseline", "apps-host": "privileged"}
"""The namespaces of apps, and the Pod Security Standard of each.

See https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""
_RESTRICTED = frozenset({"NET_BIND_SERVICE"})
_BASELINE = _RESTRICTED | {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}


def namespace(app: App, apps: Iterable[App]) -> str:
    """Return the strictest namespace that allows what an app and its stack need.

    Entries need not be complete.
    """
    stack = [each for each in apps if "stack" in app and each.get("stack") == app["stack"]]
    return max(map(_own_namespace, [app, *stack]), key=list(LEVELS).index)


def _own_namespace(app: App) -> str:
    capabilities = set(app.get("capabilities") or [])
    if app.get("host_network") or capabilities - _BASELINE:
        return "apps-host"
    return "apps-root" if app.get("root") or capabilities - _RESTRICTED else "apps"


def namespaces(apps: Sequence[App]) -> dict[str, str]:
    """Return the namespaces that apps need, with their Pod Security Standards; `apps` always exists."""
    used = {"apps", *(namespace(app, apps) for app in apps)}
    return {name: level for name, level in LEVELS.items() if name in used}


_PRIVATE = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
_OTHERWISE_LOCAL = ["100.64.0.0/10", "169.254.0.0/16"]
_CLUSTER = ["10.1.0.0/16", "10.152.183.0/24"]
"""The addresses of MicroK8s' pods and Services, all in 10.0.0.0/8."""


def _networks(app: App) -> Iterator[dict[str, Any]]:
    """Return the egress rules for the internet and the local network, without the cluster."""
    if app["internet"]:
        yield {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [*_PRIVATE, *_OTHERWISE_LOCAL]}}]}
    if app["lan"]:
        ten, *others = _PRIVATE
        yield {
            "to": [
                {"ipBlock": {"cidr": ten, "except": _CLUSTER}},
                *({"ipBlock": {"cidr": each}} for each in others),
            ]
        }


def directory_of(place: str, directories: Iterable[str]) -> str | None:
    """Return which of these directories a place is in, the innermost one; None if it is in none of them."""
    path = PurePosixPath(place)
    around = [each for each in directories if path.is_relative_to(each) and ".." not in path.parts]
    return max(around, key=len, default=None)


def directory_nodes(
    directories: Mapping[str, Iterable[str]],
    nodes: Iterable[Mapping[str, Any]],
    hostvars: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Return the name of the node of each directory.

    Args:
        directories: the directories of each host of the inventory.
        nodes: the nodes of the cluster, as the Kubernetes API returns them.
        hostvars: the variables of all hosts.
    """
    names = {
        address["address"]: node["metadata"]["name"]
        for node in nodes
        for address in node["status"].get("addresses", [])
    }
    found: dict[str, str] = {}
    for host, paths in directories.items():
        address = str(hostvars[host].get("ansible_host", host))
        found |= dict.fromkeys(paths, names.get(address) or names.get(host) or host.lower())
    return found


def stranded_volumes(apps: Iterable[App], claims: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the volumes that an app would no longer find, because it changes its namespace.

    Args:
        apps: complete entries.
        claims: the claims in the cluster, as the Kubernetes API returns them.
    """
    there: dict[str, set[str]] = {}
    for claim in claims:
        there.setdefault(claim["metadata"]["name"], set()).add(claim["metadata"]["namespace"])
    found = []
    for app in apps:
        for volume in app["volumes"]:
            places = there.get(f"{app['name']}-{volume['name']}", set()) & LEVELS.keys()
            if "app" not in volume and "place" not in volume and places and app["namespace"] not in places:
                found.append(
                    f"the volume {app['name']}-{volume['name']} is in the namespace {min(places)},"
                    f" and the app would run in {app['namespace']} with an empty one"
                )
    return found


# ---- Updates, which roles/apps/files/homeserver_update makes.

_RECORD = ("default", "homeserver-updates")


def _recorded(objects: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the records of the program of updates, from the ConfigMaps of the cluster."""
    return {
        name: json.loads(text)
        for obj in objects
        if (obj["metadata"]["namespace"], obj["metadata"]["name"]) == _RECORD
        for name, text in (obj.get("data") or {}).items()
    }


def updated(apps: Iterable[App], records: Iterable[Mapping[str, Any]]) -> list[App]:
    """Return the entries of apps, with the images that they were updated to.

    An entry whose image the owner has changed since keeps it.

    Args:
        apps: entries of the option apps.
        records: the ConfigMaps with the records of updates.
    """
    found = _recorded(records)
    return [
        {**app, "image": record["to"], "updated_from": record["from"]}
        if (record := found.get(app["name"])) and record["from"] == app.get("image")
        else app
        for app in apps
    ]


def update_settings(apps: Sequence[App], policy: str, prefix: str, lock: Lock) -> list[dict[str, Any]]:
    """Return the settings of apps for the program of updates.

    Args:
        apps: complete entries.
        policy: the policy of apps that have none.
        prefix: the beginning of the names of images, with the mirror.
        lock: the digests of images.
    """
    with_data = {app["name"]: app.get("stack", app["name"]) for app in apps if app["volumes"]}
    found = []
    for app in apps:
        own, group = app.get("update") or {}, app.get("stack", app["name"])
        image = str(app.get("updated_from") or app.get("image") or "")
        elsewhere = [name for name in app["needs"] if with_data.get(name, group) != group]
        found.append(
            {
                "name": app["name"],
                "namespace": app["namespace"],
                "group": group,
                "image": image,
                "installed": f"{prefix}{locked(image, lock)}" if image else "",
                "policy": own.get("policy", policy),
                "before": own.get("before", []),
                "after": own.get("after", []),
                "needs": [] if "policy" in own else elsewhere,
                "jobs": [f"{app['name']}-{schedule['name']}" for schedule in app["schedules"]],
                "claims": [_claim(app, volume) for volume in app["volumes"] if "place" not in volume],
                "start_seconds": app["start_seconds"] + app["stop_seconds"],
            }
        )
    return found


def updates_told(records: Iterable[Mapping[str, Any]]) -> str:
    """Return which apps wait for an update, and which updates were taken back; empty without a check.

    Args:
        records: the ConfigMaps with the records of updates.
    """
    about = _recorded(records).get("waiting")
    if not about:
        return ""
    parts = [
        *(f"{name}: {what}" for name, what in sorted(about["waiting"].items())),
        *(f"{name}: {what}" for name, what in sorted(about["taken_back"].items())),
    ]
    return "; ".join(parts) or "no newer version of an app"


def unsaved_volumes(apps: Sequence[App]) -> list[str]:
    """Return the claims of volumes that backups leave out, as namespace/name.

    Entries need not be complete.
    """
    return [
        f"{namespace(app, apps)}/{app['name']}-{volume['name']}"
        for app in apps
        for volume in app.get("volumes", [])
        if not volume.get("backup", True) and "app" not in volume and "place" not in volume
    ]


def _by_namespace(own: str, ends: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return names by namespace. The key of the own namespace is empty."""
    found: dict[str, list[str]] = {}
    for place, name in ends:
        found.setdefault("" if place == own else place, []).append(name)
    return found


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
    if other is app:
        return bool(pod != app["name"])
    return app["name"] in other["needs"]
