"""Reads a compose file with all that it refers to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from . import dotenv, loading, shapes
from .errors import ComposeError
from .interpolation import InterpolationError, Variables
from .loading import Files
from .merging import merged

__all__ = ["ComposeError", "Project", "Service", "read_project"]

Service = dict[str, Any]
_DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_DEEPEST = 16  # files that include each other, or services that extend each other
_REFERENCE = "https://docs.docker.com/reference/compose-file/services/"


class Project(NamedTuple):
    """What a compose file says, with variables, anchors, extensions and profiles resolved."""

    name: str
    directory: Path
    services: dict[str, Service]
    """Each with `environment` as a dictionary of texts, and other keys in the form of `shapes`."""
    rest: dict[str, Any]
    """The other sections, such as volumes, configs and secrets."""
    unset: list[str]
    """Variables that the file uses, and that nothing sets."""
    inactive: Mapping[str, list[str]] = {}
    """The profiles of services whose profiles are not wanted."""
    docker_name: str = ""
    """The name of the project in Docker, with which the names of its volumes begin."""


def read_project(
    file: Path, name: str = "", variables: Mapping[str, str] | None = None, profiles: Collection[str] = ()
) -> Project:
    """Read a compose file, its override and the `.env` beside it.

    Args:
        file: the compose file.
        name: the name of the project; by default that in `.env` or the file, or that of its directory.
        variables: values that override those in `.env`.
        profiles: the profiles whose services are wanted, too; `*` for all.

    Raises:
        ComposeError: it cannot be read.
    """
    file = Path(os.path.abspath(file))  # noqa: PTH100 (does not follow links, as Compose)
    reader = _Reader(file.parent, dict(variables or {}))
    try:
        return reader.project(file, name, profiles)
    except InterpolationError as error:
        raise ComposeError(
            f"{file}: {error} -> mend it, or set the variable in {file.parent / '.env'}"
        ) from None
    except shapes.ShapeError as error:
        key = "/".join(re.findall(r"^[^.]+\.([a-z_]+)", error.place)) or "name"
        raise ComposeError(f"{file}: {error} -> see {_REFERENCE}#{key}") from None
    except RecursionError:
        raise ComposeError(f"{file} contains itself by an alias -> write the part out") from None


class _Source(NamedTuple):
    """A file, and where its paths and variables are from."""

    file: Path
    directory: Path
    content: dict[str, Any]
    variables: Variables


class _Reader:
    def __init__(self, directory: Path, given: dict[str, str]) -> None:
        self._directory = directory
        self._files = Files(directory)
        self._given = given
        self._unset: dict[str, None] = {}

    def project(self, file: Path, name: str, profiles: Collection[str]) -> Project:
        known = self._dotenv(self._directory / ".env") | self._given
        main = self._main(file)
        chosen = self._name(name, main, known)
        variables = Variables(known | {"COMPOSE_PROJECT_NAME": chosen})
        sources = list(self._included(_Source(file, self._directory, main, variables), 0))
        wanted = {*profiles, *filter(None, known.get("COMPOSE_PROFILES", "").split(","))}
        services, inactive = self._services(sources, wanted)
        if not services:
            named = sorted({each for found in inactive.values() for each in found})
            fix = f"name one of its profiles: {', '.join(named)}"
            raise ComposeError(f"{file} has no service without a profile -> {fix}")
        rest = self._rest(sources)
        for source in sources:
            self._unset |= source.variables.unset
        # https://docs.docker.com/compose/how-tos/project-name/
        docker = re.sub(r"[^a-z0-9_-]", "", self._name("", main, known).lower()).lstrip("_-")
        return Project(chosen, self._directory, services, rest, sorted(self._unset), inactive, docker)

    def _main(self, file: Path) -> dict[str, Any]:
        """Return the file's content, with that of its override if it has a default name."""
        content = loading.content(loading.read(file, "the compose file"), file)
        override = file.with_name(f"{file.stem}.override{file.suffix}")
        if file.name not in _DEFAULT_NAMES or not loading.is_file(override):
            return content
        own = loading.content(self._files.text(override, "the override"), override)
        found: dict[str, Any] = merged(content, own)
        return found

    def _name(self, name: str, main: Mapping[str, Any], known: Mapping[str, str]) -> str:
        given = Variables(known).interpolate(main.get("name") or "")
        return name or known.get("COMPOSE_PROJECT_NAME") or shapes.text(given, "name") or self._directory.name

    def _dotenv(self, file: Path, text: str | None = None) -> dict[str, str]:
        """Return the variables of a `.env`; none if it does not exist."""
        if text is None:
            text = self._files.text(file, "the file of variables") if loading.exists(file) else ""
        found, unset = dotenv.parsed(text, self._given)
        self._unset |= dict.fromkeys(unset)
        return {key: value for key, value in found.items() if value is not None}

    def _included(self, source: _Source, depth: int) -> Iterator[_Source]:
        """Return a file, after those that it includes."""
        if depth > _DEEPEST:
            raise ComposeError(f"{source.file}: files include each other in a circle -> remove one include")
        value = source.variables.interpolate(source.content.get("include") or [])
        for entry in shapes.include(value, "include"):
            yield from self._included(self._include(source, entry), depth + 1)
        yield source

    def _include(self, source: _Source, long: dict[str, Any]) -> _Source:
        paths = [source.directory / each for each in long["path"]]
        if not paths:
            raise ComposeError(f"{source.file}: include has an entry without a path -> remove it")
        directory = source.directory / long.get("project_directory", paths[0].parent)
        content: dict[str, Any] = {}
        for path in paths:
            content = merged(content, loading.content(self._files.text(path, "an included file"), path))
        own: dict[str, str] = {}
        for each in [source.directory / each for each in long.get("env_file", [])] or [directory / ".env"]:
            own |= self._dotenv(each)
        return _Source(paths[-1], directory, content, Variables(own | source.variables.values))

    # ---- Services.

    def _services(
        self, sources: list[_Source], wanted: Collection[str]
    ) -> tuple[dict[str, Service], dict[str, list[str]]]:
        """Return the services that are wanted, and the profiles of the others."""
        found: dict[str, Service] = {}
        inactive: dict[str, list[str]] = {}
        for source in sources:
            for key in self._services_of(source):
                if key in found or key in inactive:
                    fix = "give one of them another name"
                    raise ComposeError(f"{source.file}: the service {key} is in two files -> {fix}")
                service = shapes.service(self._extended(source, key, 0), key)
                named = service.get("profiles", [])
                if named and "*" not in wanted and not {*named} & {*wanted}:
                    inactive[key] = named
                else:
                    found[key] = self._complete(source, key, service)
        return found, inactive

    def _services_of(self, source: _Source) -> dict[str, Any]:
        services = source.content.get("services")
        if (not isinstance(services, dict) or not services) and not source.content.get("include"):
            raise ComposeError(
                f"{source.file} has no services: it is not a compose file -> name a compose file"
            )
        return {str(key): each for key, each in services.items()} if isinstance(services, dict) else {}

    def _extended(self, source: _Source, key: str, depth: int) -> dict[str, Any]:
        """Return a service with all that it extends, with its variables and paths resolved."""
        services = self._services_of(source)
        if key not in services:
            fix = f"name one of {', '.join(services)}"
            raise ComposeError(f"{source.file} has no service {key!r}, which another one extends -> {fix}")
        if depth > _DEEPEST:
            raise ComposeError(f"{source.file}: services extend each other in a circle -> remove one extends")
        service = source.variables.interpolate(services[key] or {})
        if not isinstance(service, dict):
            raise shapes.ShapeError(key, service, "a dictionary")
        service = self._anchored(service, source.directory)
        extends = service.pop("extends", None)
        if not extends:
            return service
        wanted = shapes.extends(extends, f"{key}.extends")
        base = self._extended(self._other(source, wanted.get("file")), wanted["service"], depth + 1)
        found: dict[str, Any] = merged(base, service)
        return found

    def _other(self, source: _Source, name: str | None) -> _Source:
        """Return the file that a service extends."""
        if not name:
            return source
        path = source.directory / name
        content = loading.content(self._files.text(path, "a file that a service extends"), path)
        return _Source(path, path.parent, content, source.variables)

    def _anchored(self, service: dict[str, Any], directory: Path) -> dict[str, Any]:
        """Return a service whose relative paths begin in the directory of its file."""
        if directory == self._directory:
            return dict(service)
        at = _Anchor(directory)
        return {key: at.change(key, each) for key, each in service.items()}

    # ---- Environment.

    def _complete(self, source: _Source, key: str, service: Service) -> Service:
        """Return a service with the environment that is in its files, too."""
        found: dict[str, str | None] = {}
        for entry in service.get("env_file", []):
            found |= self._env_file(source, key, entry if isinstance(entry, dict) else {"path": entry})
        found |= service.get("environment", {})
        environment = {name: self._value(source, name, value) for name, value in found.items()}
        return service | {
            "environment": {name: each for name, each in environment.items() if each is not None}
        }

    def _env_file(self, source: _Source, key: str, entry: dict[str, Any]) -> dict[str, str | None]:
        path = self._directory / entry["path"]
        if not loading.exists(path) and not entry.get("required", True):
            return {}
        text = self._files.text(path, f"env_file of {key}")
        found, unset = dotenv.parsed(text, source.variables.values, raw=entry.get("format") == "raw")
        self._unset |= dict.fromkeys(unset)
        return found

    def _value(self, source: _Source, name: str, value: str | None) -> str | None:
        """Return a variable's value; one of a name alone is taken from `.env`."""
        return source.variables.get(name) if value is None else value

    # ---- Other sections.

    def _rest(self, sources: list[_Source]) -> dict[str, Any]:
        rest: dict[str, Any] = {"x-casaos": self._casaos(sources[-1])}
        for name in shapes.SECTIONS:
            rest[name] = {}
            for source in sources:
                value = source.variables.interpolate(source.content.get(name) or {})
                for key, each in shapes.section(value, name).items():
                    rest[name][key] = self._definition(source, each)
        return rest

    def _definition(self, source: _Source, found: dict[str, Any]) -> dict[str, Any]:
        """Return a definition with its file's path, and the content of a variable."""
        if "file" in found:
            found = found | {"file": str(source.directory / found["file"])}
        if variable := found.get("environment"):
            value = source.variables.get(variable)
            return {"content": value} if value is not None else {}
        return found

    def _casaos(self, source: _Source) -> dict[str, str]:
        """Return what CasaOS says about the page."""
        found = source.content.get("x-casaos")
        pairs = found.items() if isinstance(found, dict) else ()
        kept = {str(key): each for key, each in pairs if key in ("main", "port_map", "scheme")}
        return {key: shapes.scalar(source.variables.interpolate(each)) for key, each in kept.items()}


class _Anchor:
    """Makes the paths of a service absolute."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changes: dict[str, Callable[[Any], Any]] = {
            "build": self._build,
            "env_file": self._env_file,
            "extends": lambda value: value,
            "volumes": lambda value: (
                [self._volume(each) for each in value] if isinstance(value, list) else value
            ),
        }

    def change(self, key: str, value: Any) -> Any:
        """Return the value of a key with absolute paths."""
        return self._changes.get(key, lambda same: same)(value)

    def _path(self, value: Any) -> Any:
        is_local = isinstance(value, str) and not re.match(r"~|[a-z+]+://|git@", value)
        return os.path.normpath(self._directory / value) if is_local else value

    def _build(self, value: Any) -> Any:
        if isinstance(value, dict):
            return value | {"context": self._path(value.get("context", "."))}
        return self._path(value)

    def _env_file(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._env_file(each) for each in value]
        if isinstance(value, dict):
            return value | {"path": self._path(value.get("path"))}
        return self._path(value)

    def _volume(self, value: Any) -> Any:
        if isinstance(value, dict):
            is_bind = value.get("type") == "bind"
            return value | {"source": self._path(value.get("source"))} if is_bind else value
        source, colon, rest = str(value).partition(":")
        return f"{self._path(source)}{colon}{rest}" if source.startswith(".") else value
