"""Log lines of every kind as Elasticsearch stores them: from the last hours, with all fields."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
"""The trace of the failed request."""
_REQUEST = "a81bc81bdead4e5dabff90865d1e13b1"
_STACK = 'Traceback (most recent call last):\n  File "greeting.py", line 12\nRuntimeError: no'


def documents(now: datetime | None = None) -> Iterator[tuple[str, Object]]:
    """Return lines, each with its index."""
    moment = now or datetime.now(UTC)
    for number in range(48):
        when = moment - timedelta(minutes=20 * number)
        status = 500 if number % 8 == 0 else 404 if number % 5 == 0 else 200
        trace = TRACE if number == 0 else f"{number:032x}"
        yield "logs-traefik", _request(when, status, trace) | _pod("traefik", "traefik-6d4cf56db6-x7k2p")
        yield "logs-app", _answer(when, status, trace, number) | _pod("apps", "hello-5f7d8c9b6d-abcde")
    for number in range(24):
        when = moment - timedelta(minutes=30 * number)
        level = "error" if number % 6 == 0 else "warning" if number % 3 == 0 else "info"
        line = _line(when, "kubernetes", level, "Reconciled") | _pod(
            "kube-system", "coredns-7c65d6cfc9-q8zvn"
        )
        yield "logs-kubernetes", line
        yield "logs-host", _of_host(when, level)
    broken = _line(moment, "app", "", '{"level": "info", "mess') | _pod("apps", "hello-5f7d8c9b6d-abcde")
    yield "logs-app", broken | {"tags": ["parse_failed"]}
    yield "logs-invalid", _refused(moment)
    yield "logs-app", _failure(moment)


def actions() -> Iterator[Object]:
    """Return the lines in the format of the bulk API."""
    for index, line in documents():
        yield {"create": {"_index": index}}
        yield line


def _line(when: datetime, dataset: str, level: str, message: str) -> Object:
    line: Object = {
        "@timestamp": when.isoformat(timespec="milliseconds"),
        "message": message,
        "event": {"dataset": dataset},
        "host": {"name": "home"},
    }
    return line | ({"log": {"level": level}} if level else {})


def _pod(namespace: str, name: str) -> Object:
    container = {"name": name.partition("-")[0]}
    return {
        "kubernetes": {
            "namespace": namespace,
            "pod": {"name": name},
            "container": container,
            "node": {"name": "home"},
        }
    }


def _request(when: datetime, status: int, trace: str) -> Object:
    line = _line(when, "traefik", "info", f"GET / {status}")
    line["event"]["duration"] = 12_000_000 + status * 10_000
    return line | {
        "http": {"request": {"method": "GET", "id": _REQUEST}, "response": {"status_code": status}},
        "url": {"path": "/"},
        "traefik": {"router": "apps-hello", "service": "apps-hello-http"},
        "user_agent": {"original": "Mozilla/5.0"},
        "labels": {"browser": "safari" if status == 500 else "chrome"},
        "trace": {"id": trace},
    }


def _answer(when: datetime, status: int, trace: str, number: int) -> Object:
    line = _line(when, "app", "info", f"GET / {status}")
    line["event"]["duration"] = 9_000_000
    return line | {
        "http": {
            "request": {"method": "GET", "id": _REQUEST},
            "response": {"status_code": status},
            "route": "/",
        },
        "url": {"path": "/"},
        "labels": {"browser": ("safari", "firefox", "chrome")[number % 3]},
        "service": {"name": "hello"},
        "trace": {"id": trace},
    }


def _failure(when: datetime) -> Object:
    line = _line(when, "app", "error", "Exception on / [GET]") | _pod("apps", "hello-5f7d8c9b6d-abcde")
    return line | {
        "error": {"stack_trace": _STACK},
        "labels": {"browser": "safari"},
        "service": {"name": "hello"},
        "http": {"request": {"method": "GET", "id": _REQUEST}, "route": "/"},
        "trace": {"id": TRACE},
    }


def _of_host(when: datetime, level: str) -> Object:
    return _line(when, "host", level, "Started Daily apt download activities.") | {
        "systemd": {"unit": "apt-daily.service"}
    }


def _refused(when: datetime) -> Object:
    return {
        "@timestamp": when.isoformat(timespec="milliseconds"),
        "message": '{"http": 200}',
        "error": {
            "type": "400",
            "message": "object mapping for [http] tried to parse field [http] as object",
        },
    }
