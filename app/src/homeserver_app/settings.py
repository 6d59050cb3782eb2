"""The app's settings: read once from the environment and validated together."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Self
from urllib.parse import urlsplit

from homeserver_app import browsers

PREFIX = "HOMESERVER_APP_"
LOG_LEVELS = ("debug", "info", "warning", "error")
ACCESS_LOGS = ("all", "unusual")


class SettingsError(ValueError):
    """The environment is invalid. The message has one line per problem."""


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _anything(value: str) -> str:
    return value


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


def _between(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return parse


def _url_or_nothing(value: str) -> str:
    if not value:
        return ""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be empty or a URL like http://collector:4318")
    return value.rstrip("/")


def _fault_or_nothing(value: str) -> str:
    browser, _, route = value.partition(":")
    if value and not (browser in browsers.FAMILIES and route.startswith("/")):
        raise ValueError(f"must be empty or like safari:/, with one of {', '.join(browsers.FAMILIES)}")
    return value


def _setting(default: Any, parse: Callable[[str], Any]) -> Any:
    return field(default=default, metadata={"parse": parse})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The available settings. Field `x` is read from the variable `HOMESERVER_APP_X`.

    Attributes:
        name: The service's name in logs and traces.
        greeting: The text of the greeting.
        log_level: The least severe level that is logged.
        access_log: Which requests are logged: all, or those that failed or were slow.
        host: The address to listen on.
        port: The TCP port of the app.
        probe_port: The TCP port of the probes, which have a thread of their own.
        metrics_port: The TCP port of the metrics.
        workers: Worker processes; 0 for one per CPU that the container may use.
        threads: Threads per worker, which is the number of concurrent requests per worker.
        drain_seconds: Seconds to keep serving, not ready, after the order to stop.
        graceful_seconds: Seconds that requests in flight then have to finish.
        trusted_proxies: Number of reverse proxies in front whose X-Forwarded-* headers are trusted.
        tracing_endpoint: Base URL of an OTLP/HTTP receiver; empty to export no traces.
        fault: The browser and route whose requests fail on purpose in a drill, such as `safari:/`.
        pod: Name of the pod, for logs and traces.
        namespace: Namespace of the pod, for logs and traces.
        node: Node of the pod, for logs and traces.
        revision: The source revision of the image, for the build information metric.
    """

    name: str = _setting("hello", _text)
    greeting: str = _setting("Hello from the home server!", _text)
    log_level: str = _setting("info", _one_of(LOG_LEVELS))
    access_log: str = _setting("all", _one_of(ACCESS_LOGS))
    host: str = _setting("0.0.0.0", _text)  # noqa: S104 -- a container's address is not known in advance
    port: int = _setting(8000, _between(1, 65535))
    probe_port: int = _setting(8001, _between(1, 65535))
    metrics_port: int = _setting(9000, _between(1, 65535))
    workers: int = _setting(0, _between(0, 64))
    threads: int = _setting(4, _between(1, 256))
    drain_seconds: int = _setting(5, _between(0, 300))
    graceful_seconds: int = _setting(20, _between(1, 300))
    trusted_proxies: int = _setting(0, _between(0, 8))
    tracing_endpoint: str = _setting("", _url_or_nothing)
    fault: str = _setting("", _fault_or_nothing)
    pod: str = _setting("", _anything)
    namespace: str = _setting("", _anything)
    node: str = _setting("", _anything)
    revision: str = _setting("unknown", _text)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings from environment variables.

        Raises:
            SettingsError: A variable is unknown or has an invalid value.
        """
        known = {PREFIX + f.name.upper(): f for f in fields(cls)}
        values: dict[str, Any] = {}
        problems: list[str] = []
        for variable, text in sorted(environment.items()):
            if not variable.startswith(PREFIX):
                continue
            if variable not in known:
                problems.append(f"{variable} is not a setting{_meant(variable, known)}")
                continue
            setting = known[variable]
            try:
                values[setting.name] = setting.metadata["parse"](text)
            except ValueError as error:
                problems.append(f"{variable} {error}, not {text!r}")
        if problems:
            raise SettingsError("\n".join(problems))
        settings = cls(**values)
        if len({settings.port, settings.probe_port, settings.metrics_port}) < 3:
            raise SettingsError(f"{PREFIX}PORT, {PREFIX}PROBE_PORT and {PREFIX}METRICS_PORT must differ")
        return settings


def _meant(variable: str, known: Mapping[str, Field[Any]]) -> str:
    # Compare without the common prefix.
    close = difflib.get_close_matches(variable[len(PREFIX) :], (name[len(PREFIX) :] for name in known), n=1)
    return f"; did you mean {PREFIX}{close[0]}?" if close else ""
