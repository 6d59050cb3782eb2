"""A compose file is read as Compose reads it, and a wrong one is told in one sentence."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.compose.dotenv import parsed
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import translate
from ansible_collections.homeserver.stack.plugins.module_utils.compose.interpolation import (
    InterpolationError,
    Variables,
    secret_marker,
    split_at_secrets,
)
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import (
    ComposeError,
    Project,
    read_project,
)

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes files by name, and returns the path of the first one."""

    def written(content: str, **others: str) -> Path:
        (tmp_path / "shop").mkdir(exist_ok=True)
        for name, text in {"compose.yml": content, **others}.items():
            path = tmp_path / "shop" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path / "shop" / "compose.yml"

    return written


VALUES = {"A": "a", "EMPTY": "", "PORT": "8080"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A ${A} x$PORT", "a a x8080"),
        ("$$A $${A} 5$ $1", "$A ${A} 5$ $1"),
        ("${NONE}|${NONE-x}|${NONE:-x}", "|x|x"),
        ("${EMPTY}|${EMPTY-x}|${EMPTY:-x}", "||x"),
        ("${A+y}|${EMPTY+y}|${EMPTY:+y}|${NONE+y}|${NONE:+y}", "y|y|||"),
        ("${NONE:-${A}}|${NONE:-${NONE-$PORT}}|${A:-${NONE:?no}}", "a|8080|a"),
        ("${A:?no}|${EMPTY?no}", "a|"),
        ('${NONE:-{"a": 1}}', '{"a": 1}'),
        ("{{ A }}", "{{ A }}"),
        ("\x01stolen\x02", "stolen"),
    ],
)
def test_variables_are_interpolated(text: str, expected: str) -> None:
    assert Variables(VALUES).interpolate({"key": [text, 1, None]}) == {"key": [expected, 1, None]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("${NONE:?name it}", "the variable NONE is not set: name it"),
        ("${EMPTY:?}", "the variable EMPTY is not set: it is required"),
        ("${A", "closing brace"),
        ("${A/b}", "is no expression"),
    ],
)
def test_a_wrong_variable_is_told(text: str, reason: str) -> None:
    with pytest.raises(InterpolationError, match=reason):
        Variables(VALUES).interpolate(text)


@pytest.mark.parametrize(
    ("name", "is_generated"),
    [
        ("DB_PASSWORD", True),
        ("POSTGRES_PASS", True),
        ("APP_SEED", True),
        ("SECRET_KEY_BASE", True),
        # Those of others cannot be made here.
        ("OPENAI_API_KEY", False),
        ("CLIENT_SECRET", False),
        ("TUNNEL_TOKEN", False),
        ("MAX_TOKENS", False),
        ("PASSWORD_LENGTH", False),
    ],
)
def test_a_password_that_is_not_set_is_generated(name: str, is_generated: bool) -> None:
    variables = Variables({})
    found = variables.interpolate(f"x-${name}")

    assert split_at_secrets(found) == (["x-", name.lower(), ""] if is_generated else ["x-"])
    assert list(variables.unset) == ([] if is_generated else [name])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\n\n# B=2\n export C = 3 \nD: 4\nE=\nF", {"A": "1", "C": "3", "D": "4", "E": "", "F": None}),
        ("A=x # note\nB=x#y\nC=# note", {"A": "x", "B": "x#y", "C": ""}),
        ("A='$X # \"y\"' # note\nB='it\\'s'", {"A": '$X # "y"', "B": "it's"}),
        ('A="a\\n\\"b\\" \\$c" # note\nB="${A}!"', {"A": 'a\n"b" $c', "B": 'a\n"b" $c!'}),
        ('KEY="-----BEGIN\nabc\n-----END"\nB=2', {"KEY": "-----BEGIN\nabc\n-----END", "B": "2"}),
        ("A=1\r\nB=${A}${HOME_DIR:-/x}\r\n", {"A": "1", "B": "1/x"}),
        ("A=$KNOWN", {"A": "known"}),
        ("not a line\n=x\nA=1", {"A": "1"}),
    ],
)
def test_a_file_of_variables_is_read(text: str, expected: dict[str, str | None]) -> None:
    assert parsed(text, {"KNOWN": "known"})[0] == expected


def test_a_raw_file_is_taken_as_it_is() -> None:
    assert parsed("A='$x' # y\n", {}, raw=True)[0] == {"A": "'$x' # y"}


def test_scalars_are_those_of_yaml_1_2(write: Write) -> None:
    file = write("""
services:
  web:
    image: a
    ports: [22:22, 2022:22]
    environment: {A: yes, B: on, C: 2024-01-01, D: true, E: 1.10, F: 1.0, G: 022, H: 0x10, I: "~", J: 12:30}
""")
    service = read_project(file).services["web"]

    assert service["ports"] == ["22:22", "2022:22"]
    assert service["environment"] == {
        "A": "yes",
        "B": "on",
        "C": "2024-01-01",
        "D": "true",
        "E": "1.1",
        "F": "1",
        "G": "18",
        "H": "16",
        "I": "~",
        "J": "12:30",
    }


def test_anchors_are_merged(write: Write) -> None:
    file = write("""
x-base: &base {image: a, environment: &env {A: 1, B: 2}}
services:
  web: {<<: *base, environment: {<<: *env, B: 3}}
""")
    assert read_project(file).services["web"]["environment"] == {"A": "1", "B": "3"}


def test_an_environment_has_all_its_sources(write: Write) -> None:
    text = """
services:
  web:
    image: a
    env_file: [web.env, {path: none.env, required: false}, {path: raw.env, format: raw}]
    environment: [A=own, FROM_DOTENV, LEFT_OUT, NEW_PASSWORD, "EQUALS=a=b"]
"""
    files = {"web.env": "A=file\nB=${FROM_DOTENV}\nFROM_FILE=x", "raw.env": "R=$A", ".env": "FROM_DOTENV=dot"}
    project = read_project(write(text, **files))

    assert project.services["web"]["environment"] == {
        "A": "own",
        "B": "dot",
        "FROM_FILE": "x",
        "R": "$A",
        "FROM_DOTENV": "dot",
        "NEW_PASSWORD": secret_marker("NEW_PASSWORD"),
        "EQUALS": "a=b",
    }
    assert project.unset == ["LEFT_OUT"]


def test_a_given_variable_comes_before_dotenv(write: Write) -> None:
    file = write("services: {web: {image: 'a:$TAG'}}", **{".env": "TAG=1"})

    assert read_project(file).services["web"]["image"] == "a:1"
    assert read_project(file, variables={"TAG": "2"}).services["web"]["image"] == "a:2"


@pytest.mark.parametrize(
    ("text", "dotenv", "given", "expected"),
    [
        ("", "", "", "shop"),
        ("name: in-$A", "A=file", "", "in-file"),
        ("name: file", "COMPOSE_PROJECT_NAME=dotenv", "", "dotenv"),
        ("name: file", "COMPOSE_PROJECT_NAME=dotenv", "given", "given"),
    ],
)
def test_a_project_has_a_name(write: Write, text: str, dotenv: str, given: str, expected: str) -> None:
    services = "services: {web: {image: a, hostname: '$COMPOSE_PROJECT_NAME'}}"
    project = read_project(write(f"{text}\n{services}", **{".env": dotenv}), given)

    assert (project.name, project.services["web"]["hostname"]) == (expected, expected)


@pytest.mark.parametrize(
    ("profiles", "dotenv", "expected"),
    [
        ([], "", ["web"]),
        (["debug"], "", ["web", "tool"]),
        ([], "COMPOSE_PROFILES=x,debug", ["web", "tool"]),
        (["*"], "", ["web", "tool", "shell"]),
    ],
)
def test_profiles_choose_services(
    write: Write, profiles: list[str], dotenv: str, expected: list[str]
) -> None:
    text = """
services:
  web: {image: a}
  tool: {image: "a:${TOOL:?}", profiles: [debug]}
  shell: {image: a, profiles: [never]}
"""
    project = read_project(write(text, **{".env": dotenv}), "", {"TOOL": "1"}, profiles)

    assert list(project.services) == expected
    assert set(project.services) | set(project.inactive) == {"web", "tool", "shell"}


BASE = """
services:
  base:
    image: a
    build: ./app
    env_file: base.env
    command: [old, words]
    environment: [A=1, B=2, C=3]
    ports: ["1:1"]
    volumes: ["./data:/data", "named:/named"]
    healthcheck: {test: [CMD, old], interval: 5s}
"""


def test_a_service_extends_another_one_of_a_file_below(write: Write) -> None:
    text = """
services:
  web:
    extends: {file: below/base.yml, service: base}
    command: new
    environment: {B: 3, C: }
    ports: ["2:2"]
    volumes: ["/other:/data"]
    healthcheck: {test: [CMD, new]}
  worker: {extends: web, image: b}
"""
    file = write(text, below__base_dot_yml=BASE, **{"below/base.env": "FROM=base"})
    web, worker = (read_project(file).services[key] for key in ("web", "worker"))

    below = file.parent / "below"
    assert web["build"] == str(below / "app")
    assert web["command"] == ["new"]
    assert web["environment"] == {"FROM": "base", "A": "1", "B": "3"}
    assert web["ports"] == ["1:1", "2:2"]
    assert web["volumes"] == ["/other:/data", "named:/named"]
    assert web["healthcheck"] == {"test": ["CMD", "new"], "interval": "5s"}
    assert (worker["image"], worker["ports"]) == ("b", web["ports"])


def test_an_override_is_merged(write: Write) -> None:
    override = "services: {web: {image: b, environment: [B=2]}, db: {image: c}}\nvolumes: {v: {name: w}}"
    file = write("services: {web: {image: a, environment: {A: 1}}}", **{"compose.override.yml": override})
    project = read_project(file)

    assert {key: each["image"] for key, each in project.services.items()} == {"web": "b", "db": "c"}
    assert project.services["web"]["environment"] == {"A": "1", "B": "2"}
    assert project.rest["volumes"] == {"v": {"name": "w"}}


def test_an_included_file_has_its_own_paths_and_variables(write: Write) -> None:
    included = """
services: {db: {image: "db:$TAG", volumes: ["./data:/data"]}}
secrets: {key: {file: key.txt}}
"""
    file = write(
        "include: [db/compose.yml]\nservices: {web: {image: 'web:$TAG'}}",
        **{".env": "TAG=1", "db/.env": "TAG=0\nX=1", "db/compose.yml": included},
    )
    project = read_project(file)

    assert {key: each["image"] for key, each in project.services.items()} == {"db": "db:1", "web": "web:1"}
    assert project.services["db"]["volumes"] == [f"{file.parent}/db/data:/data"]
    assert project.rest["secrets"] == {"key": {"file": f"{file.parent}/db/key.txt"}}


def test_a_definition_takes_its_content_from_a_variable(write: Write) -> None:
    text = "services: {web: {image: a}}\nsecrets: {a: {environment: KEY}, b: {environment: NONE}}"

    rest = read_project(write(text, **{".env": "KEY=value"})).rest
    assert rest["secrets"] == {"a": {"content": "value"}, "b": {}}


GOOD = "services: {web: {image: a}}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is not YAML"),
        ("- a", "has no services"),
        ("version: 3", "has no services"),
        ("services: {}", "has no services"),
        ("services: {web: {image: a, image: b}}", "'image' is there twice"),
        ("services: {web: {image: a, ports: !reset []}}", "docker compose config"),
        ("services: {web: &web {image: a, x: *web}}", "contains itself|not YAML"),
        ("services: {web: {image: '${A:?name it}'}}", "A is not set: name it"),
        ("services: {web: [a]}", r"web is a list \(expected a dictionary\)"),
        ("services: {web: {image: [a]}}", r"web\.image is a list \(expected a text\) -> .*#image"),
        ("services: {web: {image: a, ports: '80'}}", r"web\.ports is '80' \(expected a list\)"),
        ("services: {web: {image: a, ports: [{published: 80}]}}", r"web\.ports\[0\]\.target is empty"),
        ("services: {web: {image: a, privileged: perhaps}}", r"web\.privileged .*true or false"),
        ('services: {web: {image: a, command: "it\'s"}}', r"web\.command .*whose quotes end"),
        ("services: {web: {image: a, healthcheck: {test: [curl]}}}", r"test\[0\] .*CMD, CMD-SHELL or NONE"),
        ("services: {web: {image: a, deploy: {replicas: two}}}", r"replicas .*a whole number"),
        ("services: {web: {image: a, profiles: [x]}}", "no service without a profile -> .* x"),
        ("services: {web: {extends: other}}", "no service 'other', which another one extends"),
        ("services: {a: {extends: b}, b: {extends: a}}", "in a circle"),
        ("services: {web: {image: a, env_file: none.env}}", "env_file of web is not a file"),
        (
            "services: {web: {image: a, env_file: ../outside.env}}",
            "outside the directory of the compose file",
        ),
        ("services: {web: {image: a, env_file: /etc/passwd}}", "outside the directory of the compose file"),
        ("services: {web: {image: a, env_file: link.env}}", "outside the directory of the compose file"),
        ("services: {web: {extends: {file: ../o.yml, service: a}}}", "outside the directory"),
        (f"include: [../o.yml]\n{GOOD}", "outside the directory"),
        (f"include: [compose.yml]\n{GOOD}", "in a circle"),
        (f"include: 5\n{GOOD}", r"include is '5' \(expected a list\)"),
        (f"include: [same.yml]\n{GOOD}", "the service web is in two files"),
        (f"{GOOD}\nvolumes: [a]", r"volumes is a list \(expected a dictionary\)"),
    ],
)
def test_a_wrong_file_is_told_with_a_fix(write: Write, text: str, reason: str) -> None:
    file = write(text, **{"same.yml": GOOD})
    (file.parent.parent / "outside.env").write_text("A=1")
    (file.parent / "link.env").symlink_to("/etc/passwd")

    with pytest.raises(ComposeError, match=reason) as error:
        read_project(file)
    assert str(file.parent) in str(error.value)
    assert "->" in str(error.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"\x00"])
def test_a_file_that_is_no_text_is_told(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "compose.yml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ComposeError, match="->"):
        read_project(file)


ALL_KEYS: dict[str, Any] = yaml.safe_load("""
services:
  web:
    image: registry.example.org/web:1
    build: {context: ., args: {A: 1}}
    ports: ["8080:80", {target: 90, published: "9090"}]
    environment: {A: "1", B: null}
    env_file: [{path: x.env, required: false}]
    volumes: ["./a:/a:ro,z", {type: bind, source: /srv/x, target: /x}, {type: volume, source: v, target: /v}]
    secrets: [s, {source: s, target: t}]
    configs: [c]
    healthcheck: {test: [CMD, a], interval: 1m, retries: 3}
    depends_on: {db: {condition: service_completed_successfully}}
    deploy: {replicas: 2, resources: {limits: {memory: 1g}, reservations: {devices: [{driver: nvidia}]}}}
    networks: {n: {aliases: [x], ipv4_address: 10.0.0.3}}
    labels: {traefik.http.routers.a.rule: "Host(`a.example.org`)"}
    command: "a 'b'"
    sysctls: {net.core.x: 1}
    devices: ["/dev/dri:/dev/dri"]
    links: ["db:database"]
    tmpfs: /run
    stop_grace_period: 1m
    read_only: true
    extends: {service: db}
  db: {image: "registry.example.org/db:1", user: "1000:1000"}
volumes: {v: {driver_opts: {type: none, o: bind, device: /srv/v}}}
networks: {n: {internal: true}}
secrets: {s: {file: ./s.txt}}
configs: {c: {content: x}}
""")
WRONG: list[Any] = [None, True, -1, ":", "${", "9" * 30, "..\n\0", [[]], {"a": [1]}]


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from _places(each, (*place, key))


@pytest.mark.parametrize(
    ("number", "place"),
    list(enumerate(list(_places(ALL_KEYS))[1:])),
    ids=lambda each: ".".join(map(str, each)) if isinstance(each, tuple) else "",
)
def test_a_value_of_any_type_is_understood_or_told(
    tmp_path: Path, number: int, place: tuple[Any, ...]
) -> None:
    file = tmp_path / "compose.yml"
    (tmp_path / "s.txt").write_text("x")
    # Each place has a third of them, and each kind of place has all.
    for wrong in WRONG[number % 3 :: 3]:
        content = deepcopy(ALL_KEYS)
        around = content
        for key in place[:-1]:
            around = around[key]
        around[place[-1]] = wrong
        file.write_text(yaml.safe_dump(content))
        try:
            project: Project = read_project(file)
        except ComposeError as error:
            assert "->" in str(error)  # noqa: PT017 (it need not be raised)
        else:
            imported = translate(project)
            assert all("\n" not in remark.text for remark in imported.changed + imported.impossible)
