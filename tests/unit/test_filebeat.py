"""The documents that the real Filebeat makes of raw lines, with the role's configuration."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from harness.filebeat import ADDRESS, NODE, UID, Document, Role, cri, shipped, written
from harness.rendering import ROOT, find
from harness.traefik import in_front_of
from harness.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS")  # its certificate is made up

LONG = "x" * 100_000
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
PYTHON = """ERROR:root:the job failed
Traceback (most recent call last):
  File "/app/job.py", line 3, in <module>
    work()
ValueError: no such thing

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/job.py", line 5, in <module>
    clean_up()
shop.errors.CleanUpError: it got worse"""
JAVA = """2026-11-24 21:30:00.000 ERROR 1 --- [main] shop.Till : it failed
java.lang.IllegalStateException: no money
\tat shop.Till.open(Till.java:12)
\tat shop.Main.main(Main.java:3)
Caused by: java.io.IOException: no till
\tat shop.Drawer.pull(Drawer.java:7)
\t... 2 more"""


@dataclass(frozen=True)
class Case:
    """Some lines of a container, and the resulting documents."""

    name: str
    raw: bytes
    documents: list[dict[str, Any]]
    namespace: str = "apps"
    without: list[str] = field(default_factory=list)


def _json(**fields: Any) -> bytes:
    return written(json.dumps(fields))


def _hostile(**fields: Any) -> str:
    return json.dumps({"message": "hello"} | fields)


CASES = [
    # ---- plain text
    Case("plain", written("Listening on 8080"), [{"message": "Listening on 8080", "log.level": None}]),
    Case("two-lines", written("one\ntwo"), [{"message": "one"}, {"message": "two"}]),
    Case("level", written("[ERROR] plugin/errors: no answer"), [{"log.level": "error"}]),
    Case(
        "calico",
        written("2026-11-24 21:30:00.123 [WARNING][88] felix/table.go 710: Slow"),
        [{"log.level": "warning"}],
        namespace="kube-system",
    ),
    Case("logfmt", written('ts=2026-11-24T21:30:00Z level=warn msg="slow"'), [{"log.level": "warning"}]),
    Case("no-level", written("No ERROR is here, said INFO"), [{"log.level": None}]),
    Case(
        "klog",
        written("W1124 21:30:00.123456       7 reflector.go:533] failed to list: EOF"),
        [
            {
                "message": "failed to list: EOF",
                "log.level": "warning",
                "log.origin.file.name": "reflector.go",
                "log.origin.file.line": 533,
                "event.dataset": "kubernetes",
            }
        ],
        namespace="kube-system",
    ),
    # ---- stack traces
    Case(
        "python",
        written(PYTHON + "\nnext"),
        [
            {"message": "ERROR:root:the job failed", "error.stack_trace": PYTHON, "log.level": "error"},
            {"message": "next", "error.stack_trace": None},
        ],
    ),
    Case(
        "crash",
        written("Traceback (most recent call last):\n  File x\nKeyboardInterrupt"),
        [{"message": "KeyboardInterrupt", "log.level": "error"}],
    ),
    Case(
        "java",
        written(JAVA + "\nnext"),
        [
            {"message": JAVA.splitlines()[0], "error.stack_trace": JAVA, "log.level": "error"},
            {"message": "next"},
        ],
    ),
    Case(
        "crash-of-json",
        written('{"message": "begun"}\nTraceback (most recent call last):\n  File x\nKeyError: 1'),
        [
            {
                "message": "begun",
                "error.stack_trace": "Traceback (most recent call last):\n  File x\nKeyError: 1",
                "tags": None,
            }
        ],
    ),
    # ---- CRI
    Case(
        "partial",
        cri('{"message": "in ', partial=True) + cri("three ", partial=True) + cri('parts"}') + cri("next"),
        [{"message": "in three parts", "tags": None}, {"message": "next"}],
    ),
    Case("streams", cri("out") + cri("err", stream="stderr"), [{"stream": "stdout"}, {"stream": "stderr"}]),
    Case("empty-lines", cri("a") + cri("") + cri("b"), [{"message": "a"}, {"message": "b"}]),
    Case("long", written(LONG), [{"message": LONG, "log.flags": None}]),
    Case("long-json", _json(message=LONG, status=200), [{"message": LONG, "http.response.status_code": 200}]),
    Case("too-long", written("y" * 200_000), [{"message": "y" * 131_072, "log.flags": ["truncated"]}]),
    Case(
        "not-utf-8",
        written(b"gr\xfc\xdfe"),
        [{"message": "gr\ufffd\ufffde"}],
    ),
    Case("utf-8", written("grüße 🎉 \u2028"), [{"message": "grüße 🎉"}]),
    Case("control", written("\x1b[31mred\x1b[0m \x00"), [{"message": "\x1b[31mred\x1b[0m \x00"}]),
    # ---- JSON
    Case(
        "broken-json",
        written('{"message": "half'),
        [{"message": '{"message": "half', "tags": ["parse_failed"], "json": None}],
    ),
    Case(
        "two-objects",
        written('{"a": 1}{"b": 2}'),
        [{"message": '{"a": 1}{"b": 2}', "tags": ["parse_failed"]}],
    ),
    Case(
        "not-utf-8-in-json",
        written(b'{"message": "gr\xfcn", "status": 200}'),
        [{"message": "gr\ufffdn", "http.response.status_code": 200, "tags": None}],
    ),
    *(
        Case(f"no-object-{name}", written(text), [{"message": text, "tags": None, "json": None}])
        for name, text in {
            "list": '[{"message": "x"}]',
            "text": '"x"',
            "number": "5",
            "null": "null",
        }.items()
    ),
    Case("empty-object", written("{}"), [{"message": "{}", "tags": None, "json": None}]),
    Case("no-message", written('{"a": 1}'), [{"message": '{"a": 1}', "json": {"a": 1}}]),
    Case("msg", _json(msg="hi", level="WARN"), [{"message": "hi", "log.level": "warning", "json": None}]),
    Case("unknown-level", _json(message="x", level="loud"), [{"log.level": None, "json": {"level": "loud"}}]),
    Case(
        "over-lines",
        written('{\n  "message": "x",\n  "a": [\n    1\n  ]\n}\nnext'),
        [{"message": "x", "json": {"a": [1]}, "tags": None}, {"message": "next"}],
    ),
    Case("indented", written('  {"message": "x"}'), [{"message": "x"}]),
    Case(
        "own-fields",
        _json(message="sold", order={"id": 7, "items": ["a", {"b": None}]}, paid=True),
        [{"message": "sold", "json": {"order": {"id": 7, "items": ["a", {"b": None}]}, "paid": True}}],
    ),
    Case(
        "long-number",
        written('{"message": "x", "id": 9007199254740993}'),
        [{"json": {"id": 9007199254740993}}],
    ),
    # ---- Times: those of the container runtime count.
    Case(
        "time-zones",
        written(
            "\n".join(
                _hostile(time=time)
                for time in (
                    "2026-11-24T23:30:00+02:00",
                    "2026-11-24 11:00",
                    "yesterday",
                    "2199-01-01T00:00:00Z",
                )
            )
        ),
        [{"@timestamp": "2026-11-24T21:30:00.000Z"}] * 4,
    ),
    Case(
        "own-zone",
        b"2026-11-24T23:30:00.123456789+02:00 stdout F hello\n",
        [{"@timestamp": "2026-11-24T21:30:00.123Z", "message": "hello"}],
    ),
    # ---- Hostile: values that do not fit a field stay in `json`, and Filebeat's own fields are safe.
    Case(
        "names",
        written(
            _hostile(
                **{
                    "@timestamp": "1970-01-01T00:00:00Z",
                    "@metadata": {"_id": "mine", "index": "logs-host"},
                    "_id": "mine",
                    "kubernetes": {"namespace": "kube-system"},
                    "event": {"dataset": "traefik"},
                    "event.dataset": "traefik",
                    "host": "elsewhere",
                    "tags": "x",
                    "json": "y",
                    "__proto__": {"z": 1},
                    "hasOwnProperty": 1,
                    "constructor": "c",
                }
            )
        ),
        [
            {
                "message": "hello",
                "@timestamp": "2026-11-24T21:30:00.000Z",
                "kubernetes.namespace": "apps",
                "event.dataset": "app",
                "host.name": NODE,
                "tags": None,
                "json.host": "elsewhere",
                "json.json": "y",
            }
        ],
    ),
    Case(
        "types",
        written(
            _hostile(
                level={"a": 1},
                status="teapot",
                duration_ms="fast",
                client_address="1.2.3.4.5",
                trace_id="x",
                span_id=5,
                path=["/"],
                browser="netscape",
                stack=7,
            )
        ),
        [
            {
                "message": "hello",
                "log.level": None,
                "http": None,
                "client": None,
                "trace": None,
                "labels": None,
                "json.status": "teapot",
                "json.client_address": "1.2.3.4.5",
            }
        ],
    ),
    Case("message-object", written('{"message": {"a": 1}}'), [{"message": '{"message": {"a": 1}}'}]),
    Case(
        "duplicate-keys",
        written('{"message": "first", "message": "last", "a": 1, "a": 2}'),
        [{"message": "last", "json": {"a": 2}}],
    ),
    Case(
        "dotted-keys",
        written('{"message": "x", "a.b": 1, "a": {"b": 2}, ".": 3, "a.": 4, "log.level": "error"}'),
        [{"message": "x", "log.level": "error", "json": {"a.b": 1, "a": {"b": 2}, ".": 3, "a.": 4}}],
    ),
    Case(
        "deep",
        written('{"message": "x", "a": ' + '{"a":' * 40 + "1" + "}" * 41),
        [{"tags": ["too_complex"], "json": None}],
    ),
    Case(
        "many",
        _json(message="x", **{f"key{number}": number for number in range(1000)}),
        [{"tags": ["too_complex"], "json": None}],
    ),
    Case(
        "no-name", written('{"message": "x", "": 1}'), [{"message": '{"message": "x", "": 1}', "json": None}]
    ),
    Case("nul-name", written('{"message": "x", "a\\u0000b": 1}'), [{"tags": ["too_complex"], "json": None}]),
    *(
        Case(
            f"user-agent-{name}",
            _json(message="x", user_agent=user_agent),
            [
                {
                    "user_agent.original": user_agent[:2048].replace("\ud800", "\ufffd"),
                    "labels.browser": browser,
                }
            ],
        )
        for name, user_agent, browser in [
            ("safari", SAFARI, "safari"),
            ("injection", '"}\n{"level": "error", "message": "forged"}', "bot"),
            ("script", "<script>alert(1)</script>${jndi:ldap://x}", "bot"),
            ("long", "Mozilla/5.0 " + "Safari/" * 2000, "safari"),
            ("control", "Mozilla/5.0 \x00\x1b[2J", "other"),
            ("lone", "Mozilla/5.0 \ud800 Firefox/1", "firefox"),
        ]
    ),
    *(
        Case(f"address-{index}", _json(message="x", client_address=given), [{"client.ip": kept}])
        for index, (given, kept) in enumerate(
            [
                ("192.0.2.7", "192.0.2.7"),
                ("2001:db8::1", "2001:db8::1"),
                ("::", "::"),
                ("256.1.1.1", None),
                ("01.2.3.4", None),
                ("1::2::3", None),
                (":1", None),
                ("1:2:3:4:5:6:7:8:9", None),
                ("localhost", None),
            ]
        )
    ),
]


def _asked(message: str, client: str | None, status: int = 200, agent: str = "kube-probe/1.35") -> str:
    return json.dumps({"message": message, "user_agent": agent, "status": status, "client_address": client})


CASES += [
    # ---- Probes: dropped if they come from a pod or from the host.
    Case(
        "probes",
        written(
            "\n".join(
                [
                    _asked("from the host", ADDRESS),
                    _asked("from a pod", "10.1.4.7", agent="Blackbox Exporter/0.28.0"),
                    _asked("failed", ADDRESS, status=503),
                    _asked("from a stranger", "203.0.113.5"),
                    _asked("from a neighbour", "10.10.4.7"),
                    _asked("from nobody", None),
                    _asked("of another program", ADDRESS, agent="curl/8.5"),
                ]
            )
        ),
        [
            {"message": message}
            for message in (
                "failed",
                "from a stranger",
                "from a neighbour",
                "from nobody",
                "of another program",
            )
        ],
    ),
    Case(
        "of-traefik",
        _json(
            RequestMethod="GET",
            RequestHost="a",
            RequestPath="/",
            DownstreamStatus=200,
            ClientHost=ADDRESS,
            **{"request_User-Agent": "kube-probe/1"},
        ),
        [{"message": "GET a/ 200", "user_agent.original": "kube-probe/1", "client.ip": ADDRESS}],
        namespace="traefik",
    ),
    Case(
        "of-an-app-that-gives-ids",
        b"".join(
            _json(
                time="2026-11-24T21:30:00Z",
                msg="",
                RequestMethod="GET",
                RequestHost="a",
                RequestPath="/",
                DownstreamStatus=status,
                OriginDuration=5,
                ClientUsername="-",
                **{"origin_X-Request-Id": "r-2", "downstream_X-Request-Id": "r-2"},
            )
            for status in (200, 500)
        ),
        [
            {"message": "GET a/ 200", "http.request.id": None, "traefik.origin.duration": 5},
            {"message": "GET a/ 500", "http.request.id": "r-2", "traefik.origin.duration": 5},
        ],
        namespace="traefik",
        without=["json"],
    ),
]


def _flat(document: Document, path: str) -> Any:
    """Return a field by its dotted name, or None."""
    value: Any = document
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Document]]:
    """The documents of all cases, by container, from one run of Filebeat."""
    found = shipped(
        tmp_path_factory.mktemp("filebeat"),
        {(case.namespace, case.name): case.raw for case in CASES},
        expected=sum(len(case.documents) for case in CASES),
    )
    by_container = defaultdict(list)
    for document in found:
        by_container[_flat(document, "kubernetes.container.name")].append(document)
    return {
        name: sorted(of_one, key=lambda document: document["log"]["offset"])
        for name, of_one in by_container.items()
    }


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_lines_become_documents(documents: dict[str, list[Document]], case: Case) -> None:
    found = documents[case.name]

    assert len(found) == len(case.documents), found
    for document, expected in zip(found, case.documents, strict=True):
        assert {path: _flat(document, path) for path in expected} == expected
        assert _flat(document, "kubernetes.pod.uid") == UID
        assert document["host"] == {"name": NODE}
        assert not {"agent", "ecs", "input"} & document.keys()


def test_each_line_has_a_unique_id(documents: dict[str, list[Document]]) -> None:
    ids = [document["@metadata"]["_id"] for of_one in documents.values() for document in of_one]

    assert len(set(ids)) == len(ids) == sum(len(case.documents) for case in CASES)


# ---- The home's own programs


@pytest.fixture(scope="module")
def traefik_log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The log of the real Traefik with the role's configuration, after one request."""
    directory = tmp_path_factory.mktemp("traefik")
    headers = {"User-Agent": SAFARI, "X-Request-Id": "r-1", "traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}
    # No backend listens there.
    with in_front_of("http://127.0.0.1:1", directory) as traefik:
        url = traefik.url("websecure", "/secret?token=x")
        requests.get(url, headers=headers, verify=False, timeout=30)  # noqa: S501
        wait_until(lambda: traefik.lines(**{"request_X-Request-Id": "r-1"}))
        return traefik.log.read_bytes()


def test_traefiks_access_log_has_ecs_names(tmp_path: Path, traefik_log: bytes) -> None:
    lines = traefik_log.strip().splitlines()
    found = shipped(tmp_path, {("traefik", "traefik"): written(b"\n".join(lines))}, expected=len(lines))
    (line,) = [document for document in found if _flat(document, "http.request.id") == "r-1"]

    assert line["event"].pop("duration") > 0
    assert line.pop("trace")["id"] == TRACE_ID
    assert len(line.pop("span")["id"]) == 16
    assert {
        path: _flat(line, path)
        for path in (
            *("message", "event", "http", "url.path", "url.scheme", "client.ip", "user_agent.original"),
            *("labels.browser", "service.name", "traefik.entry_point", "log.level"),
        )
    } == {
        "message": f"GET {line['url']['domain']}/secret 502",
        "event": {"dataset": "traefik"},
        "http": {
            "request": {"method": "GET", "id": "r-1", "body": {"bytes": 0}},
            "response": {"status_code": 502, "body": {"bytes": 11}},
            "version": "HTTP/1.1",
        },
        "url.path": "/secret",
        "url.scheme": "https",
        "client.ip": "127.0.0.1",
        "user_agent.original": SAFARI,
        "labels.browser": "safari",
        "service.name": "traefik",
        "traefik.entry_point": "websecure",
        "log.level": "info",
    }
    # Traefik's own messages are there too, and all of them were parsed.
    assert {_flat(document, "log.level") for document in found} >= {"info"}
    assert [document for document in found if "tags" in document] == []


APP = f"""
import logging.config, sys
from homeserver_app import create_app, logs
from homeserver_app.settings import Settings
settings = Settings(pod="web-1", namespace="apps", node="{NODE}")
logging.config.dictConfig(logs.config(settings))
app = create_app(settings)
@app.get("/broken")
def broken(): raise RuntimeError("it broke\\nin two lines")
headers = {{"traceparent": "00-{TRACE_ID}-{SPAN_ID}-01", "X-Request-Id": "r-1", "User-Agent": "{SAFARI}"}}
app.test_client().get("/broken", headers=headers)
"""


@pytest.fixture(scope="module")
def app_log() -> bytes:
    """The log of the real app after a request that fails."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "app/src")}
    return subprocess.run(
        [sys.executable, "-c", APP], env=environment, capture_output=True, check=True
    ).stdout


def test_the_apps_log_has_ecs_names(tmp_path: Path, app_log: bytes) -> None:
    lines = app_log.strip().splitlines()
    found = shipped(tmp_path, {("apps", "hello"): written(b"\n".join(lines))}, expected=len(lines))
    (access,) = [each for each in found if _flat(each, "log.logger") == "homeserver_app.access"]
    (error,) = [each for each in found if _flat(each, "log.level") == "error"]

    assert "RuntimeError: it broke\nin two lines" in error["error"]["stack_trace"]
    assert access["event"].pop("duration") > 0
    assert {
        path: _flat(access, path)
        for path in (
            *("message", "event", "http", "url", "trace.id", "labels.browser", "user_agent.original"),
            *("client.ip", "service.name", "log.level", "kubernetes.pod.name", "tags"),
        )
    } == {
        "message": "GET /broken 500",
        "event": {"dataset": "app"},
        "http": {
            "request": {"method": "GET", "id": "r-1"},
            "response": {"status_code": 500},
            "route": "/broken",
        },
        "url": {"path": "/broken"},
        "trace.id": TRACE_ID,
        "labels.browser": "safari",
        "user_agent.original": SAFARI,
        "client.ip": "127.0.0.1",
        "service.name": "hello",
        "log.level": "info",
        "kubernetes.pod.name": "web-1",
        "tags": None,
    }
    assert {document.get("json", {}).keys() - {"time"} == set() for document in found} == {True}


# ---- Browsers


def _table() -> list[tuple[str, str]]:
    """Return the app's table of browsers and their user agents."""
    command = [sys.executable, "-c", "import json, test_browsers; print(json.dumps(test_browsers.TABLE))"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([f"{ROOT}/app/tests", f"{ROOT}/app/src"])}
    printed = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
    return [(family, user_agent) for family, user_agent in json.loads(printed)]


def test_browsers_are_recognized_as_in_the_app(tmp_path: Path) -> None:
    table = [(family, user_agent) for family, user_agent in _table() if user_agent]
    lines = "\n".join(
        json.dumps({"message": str(number), "user_agent": user_agent})
        for number, (_, user_agent) in enumerate(table)
    )
    found = shipped(tmp_path, {("apps", "web"): written(lines)}, expected=len(table))

    assert {int(each["message"]): each["labels"]["browser"] for each in found} == {
        number: family for number, (family, _) in enumerate(table)
    }


# ---- Annotations of a pod


@pytest.mark.parametrize(
    ("annotations", "kept"),
    [
        ({}, ["GET /healthz", "GET /", "oops"]),
        ({"co_elastic_logs/enabled": "false"}, []),
        ({"co_elastic_logs/enabled": "true"}, ["GET /healthz", "GET /", "oops"]),
        ({"co_elastic_logs/exclude_lines": "^GET /health"}, ["GET /", "oops"]),
        ({"co_elastic_logs/include_lines": "^GET"}, ["GET /healthz", "GET /"]),
        (
            {"co_elastic_logs/include_lines": "^GET", "co_elastic_logs/exclude_lines": "/$"},
            ["GET /healthz"],
        ),
        # An invalid pattern loses no line.
        ({"co_elastic_logs/exclude_lines": "("}, ["GET /healthz", "GET /", "oops"]),
    ],
)
def test_a_pods_annotations_choose_its_lines(
    tmp_path: Path, annotations: dict[str, str], kept: list[str]
) -> None:
    found = shipped(
        tmp_path,
        {("apps", "web"): written("GET /healthz\nGET /\noops")},
        expected=len(kept),
        kubernetes={"annotations": annotations, "labels": {"app_kubernetes_io/name": "shop"}},
    )

    assert [document["message"] for document in found] == kept
    for document in found:
        assert "annotations" not in document["kubernetes"]
        assert document["service"]["name"] == "shop"


def test_filebeat_does_not_collect_its_messages_about_refused_lines(tmp_path: Path) -> None:
    pod = find(Role(tmp_path).objects(["filebeat.yaml.j2"]), "DaemonSet", "filebeat")["spec"]["template"]
    said = [
        '{"level":"warn","message":"Cannot index event (status=403), trying dead letter index."}',
        '{"level":"error","message":"Can\'t deliver to dead letter index event (status=403)."}',
        '{"level":"error","message":"failed to publish events"}',
    ]
    found = shipped(
        tmp_path,
        {("logging-host", "filebeat"): written("\n".join(said))},
        expected=1,
        kubernetes={
            "annotations": {
                name.replace(".", "_"): value for name, value in pod["metadata"]["annotations"].items()
            }
        },
    )

    assert [document["message"] for document in found] == ["failed to publish events"]


# ---- The host


def test_the_journal_has_ecs_names(tmp_path: Path) -> None:
    entry = {
        "__REALTIME_TIMESTAMP": "1764019800123456",
        "_PID": "17",
        "SYSLOG_IDENTIFIER": "sshd",
        "PRIORITY": "4",
    }
    found = shipped(
        tmp_path,
        {},
        expected=4,
        journal=[
            entry | {"__CURSOR": "a", "MESSAGE": "Invalid user", "_SYSTEMD_UNIT": "ssh.service"},
            entry
            | {
                "__CURSOR": "b",
                "MESSAGE": "E1124 21:30:00.123456    123 kubelet.go:12] no such pod",
                "_SYSTEMD_UNIT": "snap.microk8s.daemon-kubelite.service",
            },
            # journald writes binary data as numbers.
            entry | {"__CURSOR": "c", "MESSAGE": list(b"gr\xfcn"), "PRIORITY": "x", "_PID": "y"},
            entry | {"__CURSOR": "d", "MESSAGE": None},
        ],
    )
    ssh, kubelet, binary, nothing = found

    assert ssh["@timestamp"] == "2025-11-24T21:30:00.123Z"
    assert ssh["event"]["dataset"] == "host"
    assert (ssh["message"], ssh["log"]["level"]) == ("Invalid user", "warning")
    assert (ssh["service"]["name"], ssh["process"]["pid"]) == ("sshd", 17)
    assert ssh["systemd"]["unit"] == "ssh.service"
    assert kubelet["event"]["dataset"] == "kubernetes"
    assert (kubelet["message"], kubelet["log"]["level"]) == ("no such pod", "error")
    assert binary["message"] == "gr\ufffdn"
    assert nothing["message"] == ""
    assert len({document["@metadata"]["_id"] for document in found}) == 4


def test_without_the_hosts_logs_only_pods_are_read(tmp_path: Path) -> None:
    inputs = Role(tmp_path, elk_host_logs_enabled=False).configuration()["filebeat.inputs"]

    assert [each["id"] for each in inputs] == ["pods"]
