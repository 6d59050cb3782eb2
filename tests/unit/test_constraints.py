"""Wrong values are made from the schema of every option, and each is told by its place."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import constraints
from ansible_collections.homeserver.stack.plugins.module_utils.preflight.formats import FORMATS, fits

from harness.roles import ROLES, ROOT

Schema = dict[str, Any]
Step = str | int

# By format, texts that have it and texts that do not.
RIGHT: dict[str, list[str]] = {
    "absolute-path": ["/srv/bundle", "~/bundle"],
    "address": ["192.168.1.10", "fd00::1"],
    "backup-location": [
        *("/mnt/nas/home", "sftp:backup@nas.lan:/home", "sftp://backup@nas.lan:2222//home"),
        *(
            "s3:https://s3.example.org/home",
            "s3:s3.amazonaws.com/home",
            "rest:https://a:b@nas.lan:8000/home/",
        ),
    ],
    "calendar": [
        *("*-*-* 03:15", "Mon..Fri *-*-* 03:15", "daily", "Sun 04:00", "*-*-01 06:15:00", "Mon,Thu 22:30"),
        *("00/6:00", "*-*-* 03:15 Europe/Berlin", "*-01,07-01 00:00", "03:15 UTC"),
    ],
    "certificate-name": ["nas.home.arpa", "*.example.org"],
    "cron": ["*/15 * * * *", "0 3 1,15 * 1-5", "59 23 31 12 6"],
    "dns-label": ["apps", "9-lives"],
    "e-mail": ["you@example.org", "a.b+c@mail.example.org"],
    "e-mails": ["a@example.org", "a@example.org, b@example.org"],
    "environment-variable": ["LOG_LEVEL", "spring.profiles-active"],
    "file": [str(ROOT / "README.md")],
    "host": ["nas", "nas.home.arpa", "192.168.1.10", "fd00::1"],
    "host-name": ["nas", "nas.home.arpa", "xn--bcher-kva.example", "a" * 63],
    "host-with-port": ["smtp.example.org:587", "192.168.1.20:25", "[fd00::1]:25"],
    "https-url": ["https://ca.example.org/directory"],
    "image": ["blog", "blog:1", "localhost:5000/a/b_c:v1.2-3", f"quay.io/a/b:1@sha256:{'0' * 64}"],
    "network": ["192.168.1.0/24", "192.168.1.1", "fd00::/8", "192.168.1.7/24"],
    "quantity": ["100m", "0.5", "2", "256Mi", "1Gi", "1e3"],
    "registry": ["docker.io", "localhost:5000", "mirror.example.org/docker/hub"],
    "service-name": ["blog", "b-2"],
    "source": [str(ROOT / "app")],
    "time-zone": ["UTC", "Europe/Berlin"],
    "url": ["http://jaeger.tracing:16686", "https://example.org/a?b=c", "http://[fd00::1]:80/"],
    "url-with-address": ["http://192.168.1.20:5000", "https://[fd00::1]/"],
}
WRONG: dict[str, list[str]] = {
    "absolute-path": ["bundle", "./bundle"],
    "address": ["192.168.1.256", "home", "192.168.1.0/24"],
    "backup-location": [
        *("mnt", "/", "/mnt/", "nas:/home", "sftp:nas", "rest:nas.lan", "https://nas.lan", "/mnt/my disk"),
        *("/var/lib/homeserver-backup/more", "/var/snap/microk8s"),
    ],
    "calendar": [
        *("25:00", "*-*-* 03:60", "*-13-01 03:00", "*-*-* 3h", "03:15:00:00", "Foo 03:00", "tomorrow"),
        *("03:15 Nowhere/Land", "30 3 * * *", "03:15 04:00"),
    ],
    "certificate-name": ["*", "a.*.org", "Nas", "192.168.1.10"],
    "cron": ["* * * *", "60 * * * *", "5-1 * * * *", "*/0 * * * *", "a * * * *", "* * * * 7", "@daily"],
    "dns-label": ["My-Apps", "-a", "a.b", "a" * 64],
    "e-mail": ["you", "you@", "a b@example.org", "a@b, c@d"],
    "e-mails": ["you", "a@example.org; b@example.org", "a@example.org,"],
    "environment-variable": ["1ST", "MY NAME", "A=B"],
    "file": ["/nowhere", "README.md", str(ROOT), "/\0", "~nobody-there/x", f"/{'x' * 5000}"],
    "host": ["a b", "a_b", "http://nas"],
    "host-name": ["Nas", "nas_1", "-nas", "nas.", "a..b", "192.168.1.10", "123", "a" * 64, f"{'a.' * 127}b"],
    "host-with-port": ["smtp.example.org", "smtp.example.org:0", ":25", "a:99999", "a:b", "a:25/x", "u@a:25"],
    "https-url": ["http://ca.example.org", "ca.example.org"],
    "image": ["Blog:1", "blog:", "https://quay.io/a", "a b", "blog@sha256:12"],
    "network": ["192.168.1.0/33", "home", "192.168.1"],
    "quantity": ["256 MB", "1Gb", "-1", "half"],
    "registry": ["https://docker.io", "docker.io/", "Docker.io"],
    "service-name": ["9lives", "My-Blog", "a.b", "blog-"],
    "source": ["/nowhere", "app", str(ROOT / "docs")],
    "time-zone": ["Berlin", "GMT+25"],
    "url": ["jaeger:16686", "ftp://a", "http://", "http://a:99999", "http://a b", "http://[::1"],
    "url-with-address": ["http://nas:5000", "http://192.168.1.20/path"],
}


def _constraints(role: str) -> dict[str, Schema]:
    content: dict[str, Schema] = yaml.safe_load((ROOT / f"roles/{role}/meta/constraints.yml").read_text())
    return content


CONSTRAINTS = {name: schema for role in ROLES for name, schema in _constraints(role.name).items()}
OPTIONS = {name: option for role in ROLES for name, option in role.options.items()}
SCHEMAS = {name: constraints.schema(option, CONSTRAINTS.get(name)) for name, option in OPTIONS.items()}


def _nodes(node: Schema, path: tuple[Step, ...] = ()) -> Iterator[tuple[tuple[Step, ...], Schema]]:
    """Every schema below one, with the path of a value that it is for."""
    yield path, node
    for key, inner in node.get("properties", {}).items():
        yield from _nodes(inner, (*path, key))
    if "items" in node:
        yield from _nodes(node["items"], (*path, 0))
    if isinstance(node.get("additionalProperties"), dict):
        yield from _nodes(node["additionalProperties"], (*path, _sample(node.get("propertyNames", {}))))


def _sample(node: Schema) -> Any:
    """A right value."""
    if "examples" in node or "enum" in node:
        return (node.get("examples") or node["enum"])[0]
    if "format" in node:
        return RIGHT[node["format"]][0]
    kind = node.get("type", "string")
    samples: dict[str, Any] = {
        "integer": node.get("minimum", 1),
        "number": node.get("minimum", 1),
        "boolean": True,
        "array": [_sample(node.get("items", {}))] if "minItems" in node else [],
        "object": {key: _sample(node.get("properties", {}).get(key, {})) for key in node.get("required", [])},
    }
    return samples.get(kind if isinstance(kind, str) else kind[0], "text")


def _with(node: Schema, path: tuple[Step, ...], leaf: Any) -> Any:
    """A value that is right but for what is at a path."""
    if not path:
        return leaf
    step, *rest = path
    if step == 0:
        return [_with(node["items"], tuple(rest), leaf)]
    inner = node.get("properties", {}).get(step) or node["additionalProperties"]
    return {**_sample({**node, "type": "object"}), step: _with(inner, tuple(rest), leaf)}


# By keyword of a schema, values that break it.
BREAKERS: dict[str, Callable[[Schema], list[Any]]] = {
    "type": lambda node: ["text" if "string" not in node["type"] else [["a list"]]],
    "minimum": lambda node: [node["minimum"] - 1],
    "maximum": lambda node: [node["maximum"] + 1],
    "exclusiveMaximum": lambda node: [node["exclusiveMaximum"]],
    "enum": lambda _: ["none of these"],
    "pattern": lambda node: [
        "\"' `\\",
        f"{node['examples'][0]}\n" if node["pattern"].endswith("$") else "x",
    ],
    "format": lambda node: WRONG[node["format"]],
    "minLength": lambda _: [""],
    "maxLength": lambda node: ["x" * (node["maxLength"] + 1)],
    "minItems": lambda _: [[]],
    "minProperties": lambda _: [{}],
    "maxProperties": lambda _: [{"a": {}, "b": {}}],
    "not": lambda node: [node["not"]["const"]],
}
OTHERS = {
    "$anchor",
    "$ref",
    "additionalProperties",
    "const",
    "description",
    "examples",
    "items",
    "properties",
    "propertyNames",
    "required",
}


def _wrong(node: Schema) -> Iterator[Any]:
    for keyword, breakers in BREAKERS.items():
        yield from breakers(node) if keyword in node else []


CASES = [
    pytest.param(name, path, value, id=f"{name}-{'.'.join(map(str, path))}-{str(value)[:20]}")
    for name, schema in SCHEMAS.items()
    for path, node in _nodes(schema)
    for value in _wrong(node)
]
OBJECTS = [
    (name, path)
    for name, schema in SCHEMAS.items()
    for path, node in _nodes(schema)
    if node.get("properties") and node.get("additionalProperties") is False
]
ODD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    "",
    "a b",
    "{",
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": None},
    {1: 2},
    {None: []},
]


def _told(name: str, value: Any) -> list[str]:
    return [str(each) for each in constraints.wrong_value(name, OPTIONS[name], CONSTRAINTS.get(name), value)]


def _place(name: str, path: tuple[Step, ...]) -> str:
    return name + "".join(f"[{step}]" if step == 0 else f".{step}" for step in path)


@pytest.mark.parametrize(("name", "path", "value"), CASES)
def test_a_wrong_value_is_told_by_its_place(name: str, path: tuple[Step, ...], value: Any) -> None:
    (message,) = _told(name, _with(SCHEMAS[name], path, value))

    assert message.startswith(f"{_place(name, path)} is ")
    assert "(expected " in message
    assert "-> it is: " in message


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [
        (name, path, text)
        for name, schema in SCHEMAS.items()
        for path, node in _nodes(schema)
        if "propertyNames" in node
        for text in _wrong(node["propertyNames"])
        if isinstance(text, str)
    ],
)
def test_a_wrong_key_is_told_by_its_place(name: str, path: tuple[Step, ...], text: str) -> None:
    value = _sample(dict(_nodes(SCHEMAS[name]))[path]["additionalProperties"])

    (message,) = _told(name, _with(SCHEMAS[name], path, {text: value}))

    assert message.startswith(f"a key of {_place(name, path)} is ")


@pytest.mark.parametrize(("name", "path"), OBJECTS)
def test_an_unknown_key_is_told_by_its_place(name: str, path: tuple[Step, ...]) -> None:
    node = dict(_nodes(SCHEMAS[name]))[path]

    (message,) = _told(
        name, _with(SCHEMAS[name], path, {**_sample({**node, "type": "object"}), "nonsense": 1})
    )

    assert message.startswith(f"unknown key {_place((name), path)}.nonsense -> ")


@pytest.mark.parametrize(
    ("name", "path", "key"),
    [
        (name, path, key)
        for name, path in OBJECTS
        for key in dict(_nodes(SCHEMAS[name]))[path].get("required", [])
    ],
)
def test_a_missing_key_is_told_by_its_place(name: str, path: tuple[Step, ...], key: str) -> None:
    whole = _sample({**dict(_nodes(SCHEMAS[name]))[path], "type": "object"})
    del whole[key]

    (message,) = _told(name, _with(SCHEMAS[name], path, whole))

    assert message.startswith(f"{_place(name, path)}.{key} is not set -> it is: ")


@pytest.mark.parametrize("name", OPTIONS)
def test_nothing_makes_it_stumble(name: str) -> None:
    nested = [_with(SCHEMAS[name], path, value) for path, _ in _nodes(SCHEMAS[name]) for value in ODD]

    assert all(isinstance(message, str) for value in nested for message in _told(name, value))


SECRETS = [
    (name, path)
    for name, schema in SCHEMAS.items()
    for path, _ in _nodes(schema)
    if OPTIONS[name].get("no_log")
    or OPTIONS[name].get("options", {}).get(path[-1] if path else "", {}).get("no_log")
]


@pytest.mark.parametrize(("name", "path"), SECRETS)
@pytest.mark.parametrize("value", ["hush`hush \n", ["hush"], {"key": "hush"}, [["hush"]]])
def test_no_message_shows_a_secret(name: str, path: tuple[Step, ...], value: Any) -> None:
    for place in (path, path[:-1]):
        assert not any("hush" in message for message in _told(name, _with(SCHEMAS[name], place, value)))


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RIGHT.items() for text in texts])
def test_a_text_with_a_format_is_accepted(name: str, text: str) -> None:
    assert fits(name, text)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [("int", "30", 30), ("float", "0.5", 0.5), ("float", 3, 3), ("str", 8080, "8080"), ("int", "3x", "3x")],
)
def test_a_number_may_be_in_quotes_and_a_text_be_a_number(kind: str, given: Any, expected: Any) -> None:
    assert constraints.normal(constraints.schema({"type": kind}), given) == expected


# ---- what is declared


@pytest.mark.parametrize(("given", "meant"), [("false", "false"), ("No", "false"), ("on", "true")])
def test_a_boolean_from_the_command_line_is_told_how_to_be_given(given: str, meant: str) -> None:
    option = {"type": "bool", "description": "Whether there are logs."}

    (problem,) = constraints.wrong_value("logs", option, None, given)

    assert problem.fix == f"""on the command line: -e '{{"logs": {meant}}}'"""


def test_constraints_are_of_options() -> None:
    assert CONSTRAINTS.keys() <= OPTIONS.keys()


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_name_keys_that_exist(name: str) -> None:
    declared = {path for path, _ in _nodes(constraints.schema(OPTIONS[name]))}
    free = {path for path in declared if not any(other[: len(path)] == path != other for other in declared)}
    strange = [
        path
        for path, _ in _nodes(CONSTRAINTS[name])
        if path not in declared and not any(path[: len(leaf)] == leaf for leaf in free)
    ]

    assert strange == []


def test_every_number_has_its_limits() -> None:
    unlimited = [
        _place(name, path)
        for name, schema in SCHEMAS.items()
        for path, node in _nodes(schema)
        if node.get("type") in ("integer", "number") and not {"minimum", "enum", "not"} & node.keys()
    ]

    assert unlimited == []


def test_every_pattern_says_what_it_means_by_an_example_that_has_it() -> None:
    nodes = [
        inner
        for schema in SCHEMAS.values()
        for _, node in _nodes(schema)
        for inner in (node, node.get("propertyNames", {}))
    ]
    patterns = [node for node in nodes if "pattern" in node]

    assert patterns
    assert [node for node in patterns if not node.get("description") or not node.get("examples")] == []
    for node in patterns:
        for example in node["examples"]:
            assert constraints.wrong_value("x", {"type": "raw", "description": "x"}, node, example) == []


def test_every_keyword_is_tried() -> None:
    used = {keyword for schema in SCHEMAS.values() for _, node in _nodes(schema) for keyword in node}

    assert used - OTHERS == set(BREAKERS)


def test_every_format_is_used_and_tried() -> None:
    used = {
        inner["format"]
        for schema in SCHEMAS.values()
        for _, node in _nodes(schema)
        for inner in (node, node.get("propertyNames", {}))
        if "format" in inner
    }

    assert used == set(FORMATS) == set(RIGHT) == set(WRONG)


@pytest.mark.parametrize(
    "name", [name for name, option in OPTIONS.items() if "{{" not in str(option.get("default"))]
)
def test_a_default_is_right(name: str) -> None:
    assert _told(name, OPTIONS[name]["default"]) == []
