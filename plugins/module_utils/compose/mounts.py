"""Translates the mounts of a compose file to volumes and files of apps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from . import loading
from .devices import is_device
from .errors import ComposeError, Remarks
from .loading import Files
from .names import slug, unique
from .project import Project, Service
from .syntax import Mount, mounts

Volume = dict[str, Any]
_HOSTS_OWN = re.compile(r"/|/(proc|sys|boot|root|etc|var/run|run|var/lib|bin|sbin|lib|lib64|usr|snap)(/.*)?")
_SOCKET = re.compile(r".*(docker|podman|containerd|crio)[\w.-]*\.sock.*")
_HARMLESS = {
    "/etc/localtime": "the variable TZ sets the time zone",
    "/etc/timezone": "the variable TZ sets the time zone",
    "/usr/share/zoneinfo": "the image has its own time zones",
    "/etc/ssl/certs": "the image has its own certificates",
    "/opt/vc/lib": "it belongs to the system of a Raspberry Pi",
    "/dev/shm": "an app has its own",  # noqa: S108
    "/run/udev": "an app gets its devices without it",
    "/run/dbus": "an app cannot use Bluetooth and other services of the server's own system",
    "/var/run/dbus": "an app cannot use Bluetooth and other services of the server's own system",
    "/lib/modules": "the server loads modules of the kernel by itself",
    "/etc/passwd": "the image has its own users",
    "/etc/group": "the image has its own groups",
    "/etc/machine-id": "each app has its own",
    "/etc/hosts": "the cluster resolves names",
    "/etc/resolv.conf": "the cluster resolves names",
}
_TEMPORARY = ("/tmp", "/dev/shm")  # noqa: S108 (in the pod)
_LARGEST_FILE = 512 * 1024  # bytes
_MOST_FILES = 900 * 1024  # bytes of all files of an app, which are one object of Kubernetes
_SIZE_GIB = 5
_VOLUME_PATH = re.compile(r"/[^:\s]+")
_FILE_PATH = re.compile(r"(/(?!\.)[\w.-]+)+")
# Directories in which each app has one of its own.
_COLLECTIONS = {
    "appdata",
    "app-data",
    "apps",
    "config",
    "configs",
    "containers",
    "docker",
    "opt",
    "stacks",
    "volumes",
}
# Directories in which images have files of their own.
_OF_IMAGES = re.compile(r"/(etc|usr|opt|app|var/www|srv)(/.*)?")
_EXTENSION = re.compile(r"\.(?!d$)[A-Za-z][A-Za-z0-9]{1,9}")


class _Place(NamedTuple):
    """The volume or directory of the host that keeps a mount's content."""

    root: str
    """The path or name of the volume that it is in."""
    inside: str
    """The directory in that volume; empty for the whole."""
    owned: bool


class Data(NamedTuple):
    """What a volume of an app had before, in Docker."""

    app: str
    volume: str
    source: str
    """The path of a directory, or the name of a volume of Docker; empty for one without a name."""


class Mounts:
    """The mounts of all services."""

    def __init__(
        self, project: Project, services: Mapping[str, Service], names: Mapping[str, str], remarks: Remarks
    ) -> None:
        """Look at all of them, because services share volumes."""
        self.directories: list[str] = []
        self._project = project
        self._names = names
        self._remarks = remarks
        self._files = Files(project.directory)
        self._mounts = {key: list(self._read(key, service)) for key, service in services.items()}
        for key, found in self._mounts.items():
            self._mounts[key] = [mount for mount in found if not self._is_missing(key, mount)]
        self._roots = self._find_roots()
        self._owners: dict[str, tuple[str, str]] = {}
        self._used: set[str] = set()

    def volumes(self, key: str) -> list[Volume]:
        """Return the volumes of a service."""
        found: list[Volume] = []
        for mount in self._mounts[key]:
            if mount.kind == "file":
                continue
            volume = self._volume(key, mount)
            found.append(volume)
        return found

    def data(self) -> list[Data]:
        """Return what the volumes of all services had; `volumes` has named them before."""
        found = []
        for root, (key, name) in self._owners.items():
            source = root if root.startswith("/") else self._docker_name(root)
            found.append(Data(self._names[key], name, source))
        return found

    def _docker_name(self, volume: str) -> str:
        """Return the name that Docker has for a volume; empty for one without a name."""
        definitions = self._project.rest.get("volumes", {})
        if volume not in definitions:
            return ""
        definition = definitions[volume] or {}
        name = definition.get("name") or (volume if definition.get("external") else "")
        return name or f"{self._project.docker_name}_{volume}"

    def files(self, key: str) -> dict[str, str]:
        """Return the files of a service, their contents by path."""
        return {mount.target: mount.source for mount in self._mounts[key] if mount.kind == "file"}

    # ---- Mounts of one service.

    def _read(self, key: str, service: Service) -> Iterator[Mount]:
        try:
            listed = list(mounts(service.get("volumes", [])))
        except ValueError as error:
            self._remarks.refuse(key, "volumes", str(error))
            return
        seen: set[str] = set()
        size = 0
        for mount in [*self._bound_all(key, listed), *self._given(key, service)]:
            size += len(mount.source.encode(errors="replace")) if mount.kind == "file" else 0
            if mount.target in seen:
                text = f"{mount.target} is mounted twice -> remove one of both"
                self._remarks.refuse(key, "volumes", text)
            elif self._has_path(key, mount):
                yield mount
            seen.add(mount.target)
        if size > _MOST_FILES:
            self._remarks.refuse(
                key, "volumes", "its files have more than 900 KiB together -> use a directory"
            )

    def _has_path(self, key: str, mount: Mount) -> bool:
        """Return whether an app can have a mount's path; otherwise remark on it."""
        if mount.target in _TEMPORARY:
            text = f"{mount.target} is left out: an app has an own one, which is empty at each start"
            self._remarks.change(key, "volumes", text)
            return False
        path = _FILE_PATH if mount.kind == "file" else _VOLUME_PATH
        if not path.fullmatch(mount.target):
            kind = "letters, digits and -_." if mount.kind == "file" else "no spaces or colons"
            text = f"{mount.target!r} cannot be mounted -> name an absolute path with {kind}"
            self._remarks.refuse(key, "volumes", text)
        return bool(path.fullmatch(mount.target))

    def _bound_all(self, key: str, found: list[Mount]) -> Iterator[Mount]:
        for mount in map(self._defined, found):
            target = mount.target if mount.target == "/" else mount.target.rstrip("/")
            if mount.kind == "bind":
                yield from self._bound(key, mount._replace(target=target))
            elif mount.kind == "volume":
                yield from self._named(key, mount._replace(target=target))
            elif mount.kind != "tmpfs":
                fix = "use a volume or a directory"
                self._remarks.refuse(key, "volumes", f"{target} is of the type {mount.kind} -> {fix}")

    def _defined(self, mount: Mount) -> Mount:
        """Return a mount of a volume that is a directory, or in memory, as one of that."""
        options = self._definition(mount).get("driver_opts", {})
        if mount.kind != "volume" or not options:
            return mount
        if "bind" in str(options.get("o") or "").split(",") and options.get("device"):
            inner = "/".join(filter(None, [options["device"].rstrip("/"), mount.subdirectory]))
            return mount._replace(kind="bind", source=inner, subdirectory="")
        return mount._replace(kind="tmpfs") if options.get("type") == "tmpfs" else mount

    def _definition(self, mount: Mount) -> dict[str, Any]:
        found: dict[str, Any] = self._project.rest.get("volumes", {}).get(mount.source, {})
        return found

    def _named(self, key: str, mount: Mount) -> Iterator[Mount]:
        """Return a volume of Docker if an app can have it; otherwise remark on it."""
        definition = self._definition(mount)
        options, driver = definition.get("driver_opts", {}), definition.get("driver", "local")
        if options.get("type") or options.get("device") or driver != "local":
            kind = options.get("type") or driver
            fix = "mount it on the server, and name its directory instead"
            self._remarks.refuse(key, "volumes", f"{mount.source} is storage of the kind {kind} -> {fix}")
            return
        if definition.get("external"):
            fix = "copy its files into the new one, and do not share it with another project"
            self._remarks.change(
                key, "volumes", f"{mount.source} becomes a new volume of this app alone -> {fix}"
            )
        if mount.source and _OF_IMAGES.fullmatch(mount.target):
            text = f"{mount.target} is empty at first, and Docker would copy the image's files to it"
            self._remarks.change(key, "volumes", f"{text} -> copy them if the app needs them")
        yield mount

    def _bound(self, key: str, mount: Mount) -> Iterator[Mount]:
        """Return a bind mount if an app can have it; otherwise remark on it."""
        path = self._path(mount)
        inside = _is_in(path, _normal(self._project.directory))
        if is_device(path):
            return  # translated with other devices
        if reason := _left_out(path):
            self._remarks.change(key, "volumes", f"{path} is left out: {reason}")
        elif wrong := _forbidden(path, inside=inside):
            self._remarks.refuse(key, "volumes", f"{path}: {wrong}")
        elif inside and not self._files.allows(Path(path)):
            fix = "name its target, or copy it"
            self._remarks.refuse(key, "volumes", f"{path} is a link out of the project's directory -> {fix}")
        elif _is_file(path, mount.target) and not inside:
            yield from self._file_of_server(key, path, mount)
        elif _is_file(path, mount.target):
            yield from self._file(key, path, mount)
        else:
            self._remark_on_content(key, mount, path)
            yield mount

    def _remark_on_content(self, key: str, mount: Mount, path: str) -> None:
        if mount.propagation in ("shared", "rshared", "slave", "rslave"):
            text = f"{mount.target} shows disks that are mounted later only after a restart of the app"
            self._remarks.change(key, "volumes", text)
        if self._is_owned(mount) and _has_files(path):
            text = f"{mount.target} is empty at first: {mount.source} has files -> copy them into the volume"
            self._remarks.change(key, "volumes", text)

    def _file_of_server(self, key: str, path: str, mount: Mount) -> Iterator[Mount]:
        """Return a file of the server as a part of its directory."""
        directory, name = os.path.split(path)
        if wrong := _forbidden(directory, inside=False):
            self._remarks.refuse(key, "volumes", f"{path}: {wrong}")
            return
        text = f"{path} has to be a file on the server before the app starts, or becomes a directory"
        self._remarks.change(key, "volumes", f"{text} -> put it there")
        yield mount._replace(kind="place", source=directory, subdirectory=name)

    def _file(self, key: str, path: str, mount: Mount) -> Iterator[Mount]:
        wrong = ""
        if not self._files.allows(Path(path)):
            wrong = "it is outside of the directory of the compose file -> copy it beside that"
        elif not loading.is_file(Path(path)):
            wrong = "it is not there -> put it there before the import"
        elif Path(path).stat().st_size > _LARGEST_FILE:
            wrong = "it has more than 512 KiB -> mount a directory with it"
        if wrong:
            self._remarks.refuse(key, "volumes", f"{path}: {wrong}")
            return
        try:
            content = loading.read(Path(path), "a mounted file")
        except ComposeError:
            self._remarks.refuse(key, "volumes", f"{path}: it is not a text -> mount a directory with it")
            return
        yield from self._text(key, path, content, mount)

    def _text(self, key: str, path: str, content: str, mount: Mount) -> Iterator[Mount]:
        """Return a file with its content."""
        if any(mark in content for mark in "\x00\x01\x02"):
            self._remarks.refuse(key, "volumes", f"{path}: it is not a text -> mount a directory with it")
            return
        if not mount.read_only:
            text = f"{mount.target} is read-only -> change the file in the entry, not in the app"
            self._remarks.change(key, "volumes", text)
        yield Mount("file", content, mount.target, read_only=True)

    def _given(self, key: str, service: Service) -> Iterator[Mount]:
        """Return the secrets and configs of a service as files."""
        for section, directory in (("secrets", "/run/secrets/"), ("configs", "/")):
            for entry in service.get(section, []):
                name = entry.get("source", "") if isinstance(entry, dict) else entry
                target = (entry.get("target") if isinstance(entry, dict) else "") or name
                target = target if target.startswith("/") else directory + target
                yield from self._defined_file(key, section, name, target)

    def _defined_file(self, key: str, section: str, name: str, target: str) -> Iterator[Mount]:
        source = self._project.rest.get(section, {}).get(name, {})
        mount = Mount("bind", source.get("file", ""), target, read_only=True)
        if "content" in source:
            yield Mount("file", source["content"], target, read_only=True)
        elif mount.source:
            yield from self._file(key, self._path(mount), mount)
        else:
            why = "is kept by Docker Swarm" if source.get("external") else "is not defined"
            fix = f"define it with a file in {section}"
            self._remarks.refuse(key, section, f"{name!r} {why} -> {fix}")

    # ---- Volumes of all services.

    def _is_missing(self, key: str, mount: Mount) -> bool:
        """Return whether a mount has nothing to read, and remark on it: nobody would ever write there."""
        path = self._path(mount) if mount.kind == "bind" else ""
        inside = _is_in(path, _normal(self._project.directory))
        if not mount.read_only or not inside or loading.exists(Path(path)):
            return False
        written = [
            self._path(each) for found in self._mounts.values() for each in found if not each.read_only
        ]
        if any(_is_in(path, each) or _is_in(each, path) for each in written):
            return False
        self._remarks.refuse(key, "volumes", f"{path} is not there -> put it there before the import")
        return True

    def _find_roots(self) -> list[str]:
        """Return the owned paths that become volumes. Paths below them become directories in these."""
        owned = {
            self._path(each) for found in self._mounts.values() for each in found if self._is_owned(each)
        }
        return [path for path in sorted(owned) if not _around(path, owned)]

    def _path(self, mount: Mount) -> str:
        """Return the absolute path of a bind mount, or the name of a volume."""
        if mount.kind not in ("bind", "place"):
            return mount.source or f"unnamed volume at {mount.target}"
        path = Path(mount.source)
        if mount.source.startswith("~"):
            path = Path(os.path.expanduser(mount.source))  # noqa: PTH111 (raises nothing)
        return _normal(self._project.directory / path)

    def _is_owned(self, mount: Mount) -> bool:
        """Return whether only this project has the content, so that it moves into a volume of its own."""
        if mount.kind in ("file", "place"):
            return False
        if mount.kind != "bind":
            return True
        path = self._path(mount)
        own = {slug(self._project.name), *map(slug, self._names)}
        within = any(
            before.lower() in _COLLECTIONS and slug(part) in own
            for before, part in pairwise(PurePosixPath(path).parts)
        )
        return _is_in(path, _normal(self._project.directory)) or within

    def _place(self, key: str, mount: Mount) -> _Place:
        path = self._path(mount)
        if not self._is_owned(mount):
            return _Place(path, "", owned=False)
        if not mount.source:
            return _Place(f"{key} {path}", "", owned=True)
        root = max((each for each in self._roots if _is_in(path, each)), key=len)
        inside = "" if mount.kind != "bind" else str(PurePosixPath(path).relative_to(root))
        return _Place(root, "" if inside == "." else inside, owned=True)

    def _volume(self, key: str, mount: Mount) -> Volume:
        place = self._place(key, mount)
        if place.owned and place.root in self._owners:
            owner, name = self._owners[place.root]
            volume: Volume = {"name": name, "path": mount.target} | (
                {} if owner == key else {"app": self._names[owner]}
            )
        else:
            source = place.root if mount.source and mount.kind != "place" else ""
            name = unique(_called(source, mount.target), self._used)
            self._used.add(name)
            volume = {"name": name, "path": mount.target}
            if place.owned:
                self._owners[place.root] = key, name
                volume |= {"size_gib": _SIZE_GIB}
            else:
                place = place._replace(root=self._without_spaces(key, place.root))
                self.directories.append(place.root)
                volume |= {"place": place.root}
        if inside := "/".join(filter(None, [place.inside, mount.subdirectory.strip("/")])):
            volume["subdirectory"] = self._subdirectory(key, inside)
        return volume | ({"read_only": True} if mount.read_only else {})

    def _without_spaces(self, key: str, path: str) -> str:
        """Return a path of the server as its volume can have it."""
        found = re.sub(r"[\s:]+", "-", path)
        if found != path:
            text = f"{path} has a space or a colon -> rename the directory on the server to {found}"
            self._remarks.change(key, "volumes", text)
        return found

    def _subdirectory(self, key: str, inside: str) -> str:
        if not re.fullmatch(r"(?!\.\.?(/|$))[^/:\s]+(/(?!\.\.?(/|$))[^/:\s]+)*", inside):
            text = f"{inside!r} cannot be a directory in a volume -> name one without spaces, colons and .."
            self._remarks.refuse(key, "volumes", text)
        return inside


def _left_out(path: str) -> str:
    """Return the reason why an app needs no such directory of the host; empty if it may need it."""
    return next((why for known, why in _HARMLESS.items() if _is_in(path, known)), "")


def _forbidden(path: str, *, inside: bool) -> str:
    """Return the reason why no app is given a path of the host."""
    if _SOCKET.fullmatch(path):
        return "each program with it owns the server -> leave out the service that needs it"
    if _is_in(path, "/dev"):
        return "it has all devices, also the disks -> name each that the service needs in devices"
    if _HOSTS_OWN.fullmatch(path) and not inside:
        return "files of the server's own system are not given to apps -> use a directory below /srv or /home"
    return ""


def _is_file(path: str, target: str) -> bool:
    """Return whether a mount is of a single file; one that is not there is known by its name."""
    if loading.exists(Path(path)):
        return loading.is_file(Path(path))
    suffix = PurePosixPath(path).suffix
    return suffix == PurePosixPath(target).suffix and bool(_EXTENSION.fullmatch(suffix))


def _has_files(path: str) -> bool:
    try:
        return any(each.name not in (".gitkeep", ".gitignore") for each in Path(path).iterdir())
    except OSError:
        return False


def _normal(path: Path) -> str:
    return "/" + os.path.normpath(path).lstrip("/")


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _around(path: str, paths: Iterable[str]) -> list[str]:
    """Return the paths that another one is below."""
    return [each for each in paths if each != path and _is_in(path, each)]


def _called(root: str, target: str) -> str:
    """Return a name for a volume: that of its source, or of its target."""
    name = re.sub(r"[^a-z0-9]+", "-", (PurePosixPath(root).name or PurePosixPath(target).name).lower()).strip(
        "-"
    )
    return name[:40].strip("-") or "data"
