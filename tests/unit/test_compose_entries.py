"""The services of a compose file become entries that the preflight accepts and that render."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import (
    SAFE_SYSCTLS,
    Imported,
    slug,
    translate,
)
from ansible_collections.homeserver.stack.plugins.module_utils.compose.interpolation import secret_marker
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import read_project
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import constraints

from harness.rendering import ROOT, Object, Role, find

Entry = dict[str, Any]
Import = Callable[..., Imported]
OPTION = yaml.safe_load((ROOT / "roles/apps/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
CONSTRAINTS = yaml.safe_load((ROOT / "roles/apps/meta/constraints.yml").read_text())
IMAGE = "image: registry.example.org/shop:1"


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Return a function that imports a file, after checking that the preflight accepts its entries."""

    def found(text: str, page: str = "", user: str | None = "0", **variables: str) -> Imported:
        (tmp_path / "shop").mkdir(exist_ok=True)
        file = tmp_path / "shop/compose.yml"
        file.write_text(text)
        result = translate(read_project(file, "", variables, []), page, lambda _: user)
        if not result.impossible:
            apps = OPTION["options"]["apps"]
            assert constraints.wrong_value("apps", apps, CONSTRAINTS["apps"], result.entries) == []
        return result

    return found


def _web(keys: str) -> str:
    """Return a compose file of one service, with these keys."""
    lines = "\n".join(f"    {line}" for line in keys.strip("\n").splitlines())
    return f"services:\n  web:\n    {IMAGE}\n{lines}\n"


def _pick(entry: Entry, expected: Entry) -> Entry:
    """Return the keys of an entry that are expected; None is for one that it must not have."""
    return {key: entry.get(key) for key in expected}


def _about(result: Imported, key: str) -> list[str]:
    return [remark.text for remark in result.changed if remark.key == key]


def _refused(result: Imported) -> dict[str, str]:
    return {remark.key: remark.text for remark in result.impossible}


SHOP = """
name: shop
services:
  web:
    image: registry.example.org/shop:1
    container_name: shop_web
    user: "1000"
    ports: ["8080:3000", "2222:22"]
    depends_on: [my_db]
    environment:
      DB_HOST: my_db
      DB_USER: shop
      DB_PASSWORD: shop
      DB_URL: postgres://shop:shop@my_db:5432/shop
      CACHE: shop-cache-1:6379
      SELF: http://shop_web:3000
      GREETING: "{{ lookup('env', 'HOME') }}"
  my_db:
    image: docker.io/library/postgres:17
    user: "999"
    environment: {POSTGRES_USER: shop, POSTGRES_PASSWORD: shop, POSTGRES_DB: shop}
    healthcheck: {test: pg_isready -U shop, interval: 5s}
    volumes: ["db:/var/lib/postgresql/data"]
  cache:
    image: docker.io/library/redis:8
    user: "999"
    command: redis-server --requirepass ${CACHE_PASSWORD}
volumes: {db: {}}
"""


def test_a_program_of_several_services_is_a_stack(imported: Import) -> None:
    result = imported(SHOP)
    web, db, cache = result.entries
    database, caches = secret_marker("db_password"), secret_marker("cache_password")

    assert [entry["name"] for entry in result.entries] == ["shop", "shop-my-db", "shop-cache"]
    assert {(entry["stack"], entry["replicas"]) for entry in result.entries} == {("shop", 1)}
    assert [entry["hostname"] for entry in result.entries] == ["web", "my-db", "cache"]
    assert (web["port"], web["ports"], web["probe"]) == (3000, [{"port": 2222, "target_port": 22}], "tcp")
    assert web["env"] == {
        "DB_HOST": "my-db",
        "DB_USER": "shop",
        "CACHE": "cache:6379",
        "SELF": "http://web:3000",
        "GREETING": "{{ lookup('env', 'HOME') }}",
    }
    assert web["secrets"] == {
        "DB_PASSWORD": database,
        "DB_URL": f"postgres://shop:{database}@my-db:5432/shop",
    }
    assert (db["port"], db["routes"], db["probe"]) == (0, [], "command")
    assert db["probe_command"] == ["sh", "-c", "pg_isready -U shop"]
    assert (db["env"], db["secrets"]) == (
        {"POSTGRES_USER": "shop", "POSTGRES_DB": "shop"},
        {"POSTGRES_PASSWORD": database},
    )
    assert cache["args"] == ["redis-server", "--requirepass", caches]
    assert (result.changed, result.impossible) == ([], [])


def test_a_stack_renders(imported: Import, tmp_path: Path) -> None:
    objects: list[Object] = Role("apps", tmp_path, apps=imported(SHOP).entries).objects()
    pod = find(objects, "Deployment", "shop")["spec"]["template"]["spec"]

    assert (pod["hostname"], pod["subdomain"]) == ("web", "shop-stack")
    assert find(objects, "Secret", "shop-my-db")["stringData"] == {
        "POSTGRES_PASSWORD": secret_marker("db_password")
    }
    assert find(objects, "PersistentVolumeClaim", "shop-my-db-db")["spec"]["resources"]["requests"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        # Commands.
        ("command: run 'a b' --x=\"c\"", {"args": ["run", "a b", "--x=c"], "command": None}),
        ("command: [run, 1, true]", {"args": ["run", "1", "true"]}),
        ("entrypoint: /start now\ncommand: [a]", {"command": ["/start", "now"], "args": ["a"]}),
        ('entrypoint: ""\ncommand: [a, b]', {"command": ["a", "b"], "args": None}),
        ("entrypoint: [a]\ncommand: []", {"command": ["a"], "args": None}),
        ("command: []", {"command": None, "args": None}),
        ("command: [echo, $$HOME, '$$(x)', 'a$$$$b']", {"args": ["echo", "$HOME", "$$(x)", "a$$$b"]}),
        ("working_dir: /srv/app", {"working_dir": "/srv/app"}),
        # Variables.
        ("environment: {A: 1, B: true, C: null, D: '$$(x)'}", {"env": {"A": "1", "B": "true", "D": "$$(x)"}}),
        ("environment: {DB_PASSWORD: 'a$$(b)'}", {"secrets": {"DB_PASSWORD": "a$(b)"}, "env": None}),
        ("environment: {KEY_FILE: /key, USE_PASSWORD: 'true', A_TOKEN: /x}", {"secrets": None}),
        ("environment: {URL: 'http://a:b@c/d'}", {"secrets": {"URL": "http://a:b@c/d"}}),
        # The user, and its privileges.
        ('user: "1000:1000"', {"user": 1000, "root": None}),
        ("user: 1000", {"user": 1000}),
        ('user: "0:0"', {"root": True, "user": None, "capabilities": None}),
        ("user: root", {"root": True}),
        ("environment: {PUID: 1000}", {"root": True}),
        ('user: "7"\ncap_add: [net_admin, CAP_SYS_TIME]', {"capabilities": ["NET_ADMIN", "SYS_TIME"]}),
        (
            "cap_add: [NET_ADMIN]",
            {
                "capabilities": [
                    *("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_ADMIN", "SETGID", "SETUID"),
                ]
            },
        ),
        ("read_only: true", {"writable_root": False}),
        ("read_only: true\ntmpfs: /tmp", {"writable_root": False}),
        ("read_only: true\ntmpfs: [/run]", {"writable_root": True}),
        ("tty: true", {"writable_root": True}),
        ('expose: ["8080"]', {"sysctls": None}),
        ('ports: ["8080:80"]', {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"}}),
        # A program without ports may listen on any.
        ("init: true", {"sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"}}),
        (
            "sysctls: [net.ipv4.tcp_syncookies=0]\nports: ['8080:8080']",
            {"sysctls": {"net.ipv4.tcp_syncookies": "0"}},
        ),
        # Its page, and other ports.
        ('ports: ["80"]', {"port": 80, "ports": None, "routes": None}),
        ('ports: ["127.0.0.1:8080:80"]', {"port": 80, "ports": None}),
        ('ports: ["[::1]:8080:80", "8443:443"]', {"port": 80, "ports": [{"port": 8443, "target_port": 443}]}),
        (
            'ports: ["8080:80", "53:53/udp", "53:53", "53:53/udp"]',
            {"port": 80, "ports": [{"port": 53, "protocol": "udp"}, {"port": 53}]},
        ),
        ('ports: ["5000-5001:22-23"]', {"ports": [{"port": n + 4978, "target_port": n} for n in (22, 23)]}),
        ("ports: [{target: 80, published: '8080', host_ip: 0.0.0.0}]", {"port": 80}),
        ('ports: ["5432:5432"]', {"port": 0, "routes": [], "ports": [{"port": 5432}], "probe": "none"}),
        ("expose: [3000]", {"port": 3000}),
        ("environment: {VIRTUAL_HOST: a, VIRTUAL_PORT: 81}", {"port": 81}),
        (
            "labels:\n  traefik.http.routers.a.rule: Host(`a.example.org`) && PathPrefix(`/x`)\n"
            '  traefik.http.services.a.loadbalancer.server.port: "81"',
            {"port": 81, "routes": [{"host": "a.example.org", "path": "/x"}]},
        ),
        ("labels: ['traefik.http.routers.a.rule=Host(`a.example.org`, `b.example.org`)']",
         {"port": 80, "routes": [{"host": "a.example.org"}, {"host": "b.example.org"}]}),
        # Its network.
        ("tty: true", {"internet": True, "lan": None, "host_network": None}),
        ("environment: {NAS: 192.168.1.5}", {"internet": True, "lan": True}),
        ("environment: {NETWORK: 192.168.1.0/24, VERSION: 10.0.0.1.2}", {"lan": None}),
        ("network_mode: none", {"internet": None}),
        ("network_mode: host\nports: ['8080:80']", {"host_network": True, "internet": None, "ports": None}),
        ("hostname: shop.example.org", {"hostname": "shop", "stack": None}),
        # Health checks.
        ("healthcheck: {test: [CMD, check, a]}", {"probe": "command", "probe_command": ["check", "a"]}),
        ("healthcheck: {test: [CMD-SHELL, a | b]}", {"probe_command": ["sh", "-c", "a | b"]}),
        ("healthcheck: {test: a | b}", {"probe_command": ["sh", "-c", "a | b"]}),
        ("healthcheck: {test: [NONE]}", {"probe": "none"}),
        ("healthcheck: {test: [CMD, a], disable: true}", {"probe": "none"}),
        ("healthcheck: {test: ''}", {"probe": "none"}),
        (
            "healthcheck: {test: a, interval: 1m30s, retries: 5, start_period: 2m}",
            {"start_seconds": 570},
        ),
        # Limits.
        ("mem_limit: 512m", {"resources": {"requests": {"cpu": "50m", "memory": "96Mi"},
                                           "limits": {"memory": "512Mi"}}}),
        ("mem_limit: 64mb\nmem_reservation: 128M",
         {"resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}}),
        (
            "deploy: {resources: {limits: {memory: 1g, cpus: '0.5'}, reservations: {memory: 200m}}}",
            {
                "resources": {
                    "requests": {"cpu": "50m", "memory": "200Mi"},
                    "limits": {"memory": "1024Mi", "cpu": "500m"},
                }
            },
        ),
        ("tty: true", {"resources": {"requests": {"cpu": "50m", "memory": "96Mi"}}, "replicas": 1}),
        ("deploy: {replicas: 3}", {"replicas": 3}),
        ("scale: 2", {"replicas": 2}),
        ("shm_size: 256mb", {"shared_memory_mib": 256}),
        ("stop_grace_period: 1m30s", {"stop_seconds": 90}),
        ("stop_grace_period: 10s", {"stop_seconds": None}),
        ("devices: ['/dev/ttyUSB0']", {"devices": ["/dev/ttyUSB0"]}),
        ("devices: ['/dev/dri/:/dev/dri:rwm']", {"devices": ["/dev/dri"]}),
        ("devices: ['/dev/a:/dev/b', /dev/null]", {"devices": ["/dev/a:/dev/b"]}),
        ("devices: [{source: /dev/kvm, target: /dev/kvm}]", {"devices": ["/dev/kvm"]}),
        ("volumes: ['/dev/net/tun:/dev/net/tun']", {"devices": ["/dev/net/tun"], "volumes": None}),
        ("devices: ['/dev/vchiq']", {"devices": None, "gpu": None}),
        ("devices: ['/dev/nvidia0', 'nvidia.com/gpu=all']", {"devices": None, "gpu": "nvidia"}),
        ("gpus: all", {"gpu": "nvidia"}),
        ("gpus: [{capabilities: [gpu]}]", {"gpu": "nvidia"}),
        ("gpus: [{driver: intel}]", {"gpu": None}),
        ("deploy: {resources: {reservations: {devices: [{driver: nvidia}]}}}", {"gpu": "nvidia"}),
        ("runtime: nvidia", {"gpu": "nvidia"}),
        ("group_add: [44, '107', video]\ndevices: [/dev/dri]", {"groups": [44, 107]}),
        ("group_add: [1000]\nuser: '1000:100'", {"user": 1000, "groups": [100]}),
        ("user: '1000:1000'", {"user": 1000, "groups": None}),
    ],
)  # fmt: skip
def test_a_key_becomes_a_key_of_the_entry(imported: Import, keys: str, expected: Entry) -> None:
    result = imported(_web(keys))

    assert result.impossible == []
    assert _pick(result.entries[0], expected) == expected


@pytest.mark.parametrize(
    ("keys", "key", "text"),
    [
        ('user: "1000:users"', "user", "its group is 1000, too, and not users"),
        ("group_add: [users, 0]", "group_add", "users is no number above 0"),
        ("group_add: [0]", "group_add", "0 is no number above 0"),
        ("user: node", "user", "'node' is no number"),
        ("extra_hosts: ['nas:192.168.1.5']", "extra_hosts", "write the address"),
        ("sysctls: {net.core.somaxconn: 1024}", "sysctls", "microk8s_sysctl"),
        ("devices: ['/dev/dri:/dev/dri']", "devices", "/dev/dri: the app waits while no server has it"),
        ("devices: ['/dev/dri', '/dev/vchiq']", "devices", "/dev/vchiq is left out"),
        (
            "deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}",
            "deploy",
            "enable the addon",
        ),
        ("runtime: nvidia", "runtime", "enable the addon first"),
        ("runtime: kata", "runtime", "the server's own runtime"),
        ("security_opt: ['seccomp:unconfined']", "security_opt", "the usual protection"),
        ("ulimits: {nofile: 1024}", "ulimits", "the limits of the server"),
        ("ipc: host", "ipc", "shm_size"),
        ("restart: 'no'", "restart", "it starts again each time it ends"),
        ("read_only: true\ntmpfs: [/run]", "read_only", "/run"),
        ("stop_signal: SIGINT", "stop_signal", "SIGTERM"),
        ("environment: {'a b': 1}", "environment", "'a b' is no name of a variable"),
        ("environment: {API_TOKEN: abc}", "environment", "API_TOKEN: as in the compose file"),
        ("ports: ['8080:80', '9090:90']", "ports", "-e page=web:90"),
        ("ports: ['8080:80', '443:443']", "ports", "443 leads to Traefik"),
        ("ports: ['8080:80', '127.0.0.1:22:22']", "ports", "for programs of the server itself"),
        ("network_mode: host", "network_mode", "-e page=<port>"),
        ("deploy: {replicas: 2}\nvolumes: ['a:/a']", "deploy", "one container runs, not 2"),
        ("labels: {traefik.http.routers.a.rule: 'HostRegexp(`x`)'}", "labels", "is not taken over"),
        ("surprise: 1", "surprise", "it is unknown here"),
        ("command: $SETTING", "${SETTING}", "set it in .env"),
    ],
)
def test_a_difference_is_told(imported: Import, keys: str, key: str, text: str) -> None:
    result = imported(_web(keys))

    assert [each for each in _about(result, key) if text in each], result.changed
    assert result.impossible == []


@pytest.mark.parametrize(
    ("keys", "key", "text"),
    [
        ("privileged: true", "privileged", "cap_add"),
        ("cap_add: [ALL]", "cap_add", "name each"),
        ("cap_add: [a b]", "cap_add", "A B is no capability"),
        ("pid: host", "pid", "all programs"),
        ("devices: ['/dev/sda:/dev/sda']", "devices", "/dev/sda: it has all that the server has"),
        ("devices: [{source: /dev/nvme0n1, target: /dev/nvme0n1}]", "devices", "/dev/nvme0n1"),
        ("devices: ['/dev/mem']", "devices", "it has all that the server has"),
        ("devices: ['/dev']", "devices", "name each device"),
        ("devices: ['/dev/a b']", "devices", "it is no device below /dev"),
        ("devices: ['/dev/a:b']", "devices", "it is no device below /dev"),
        ("devices: ['${NONE}']", "devices", "it is no device below /dev"),
        ("device_cgroup_rules: ['c 189:* rmw']", "device_cgroup_rules", "name each that it needs"),
        ("network_mode: 'service:vpn'", "network_mode", "the network of another one"),
        ("volumes_from: [db]", "volumes_from", "name each of them"),
        ("ports: ['443:443']", "ports", "443 is a port of the home server itself"),
        ("ports: ['80:${NONE}']", "ports", "is not a port"),
        ("ports: ['${NONE}:${NONE}']", "ports", "set its variable in .env"),
        ("ports: ['132/sctp']", "ports", "neither TCP nor UDP"),
        ("ports: ['99999:1']", "ports", "from 1 to 65535"),
        ("ports: ['1000-2000:1000-2000']", "ports", "too many ports"),
        ("ports: ['1-3:1-2']", "ports", "equally long"),
        ("entrypoint: ''", "entrypoint", "it is emptied"),
        ("command: [run, $NONE]", "command", "has an empty argument"),
        ("healthcheck: {test: [CMD, run, '']}", "command", "has an empty argument"),
        ("working_dir: app", "working_dir", "is not an absolute path"),
        ("mem_limit: much", "mem_limit", "'much' is not a size"),
        ("deploy: {mode: replicated-job}", "deploy", "a job ends"),
        ("image: ''", "image", "is not the name of an image"),
        ("image: 'registry.example.org/shop:${NONE}'", "image", "is not the name of an image"),
        ("build: .\nimage: shop", "build", "has no Dockerfile"),
        ("build: {context: ., args: {A: 1}}\nimage: shop", "build", "without arguments"),
        ("build: 'https://git.example.org/shop.git'\nimage: shop", "build", "names no branch"),
    ],
)
def test_an_impossible_key_is_told_with_another_way(imported: Import, keys: str, key: str, text: str) -> None:
    file = _web(keys)
    result = imported(file.replace(f"    {IMAGE}\n", "", 1) if "image:" in keys else file)

    assert text in _refused(result)[key]
    assert "->" in _refused(result)[key]


@pytest.mark.parametrize(
    "keys",
    [
        "privileged: 'false'",
        "security_opt: [no-new-privileges:true]",
        "ipc: private",
        "restart: unless-stopped\ninit: true\ntty: true\nlogging: {driver: local}\ncap_drop: [ALL]",
        "volumes: []\nports:\ndeploy:\nhealthcheck:",
        "x-note: 1",
    ],
)
def test_a_key_that_makes_no_difference_is_not_told(imported: Import, keys: str) -> None:
    result = imported(_web(keys))
    assert (result.changed, result.impossible) == ([], [])


def test_a_directory_or_a_repository_is_built(imported: Import, tmp_path: Path) -> None:
    (tmp_path / "shop/app").mkdir(parents=True)
    (tmp_path / "shop/app/Dockerfile").write_text("FROM scratch\n")
    url = "https://git.example.org/shop.git"
    text = f"""
services:
  web: {{build: {{context: ./app, dockerfile: Dockerfile}}, image: shop}}
  worker: {{build: "{url}#v1:server"}}
  pulled: {{build: ./none, image: registry.example.org/shop:1}}
"""
    web, worker, pulled = imported(text).entries

    assert (web["source"], "image" in web) == (str(tmp_path / "shop/app"), False)
    assert worker["git"] == {"url": url, "ref": "v1", "directory": "server"}
    assert pulled["image"] == "registry.example.org/shop:1"


def test_an_image_has_its_full_name(imported: Import) -> None:
    assert (
        imported("services: {db: {image: 'postgres:16'}}").entries[0]["image"]
        == "docker.io/library/postgres:16"
    )


@pytest.mark.parametrize(
    ("user", "expected"),
    [("", {"root": True}), ("1000", {"user": 1000}), ("1000:1000", {"user": 1000}), (None, {"root": True})],
)
def test_the_user_of_an_image_is_asked_for(imported: Import, user: str | None, expected: Entry) -> None:
    result = imported(_web("tty: true"), user=user)

    assert _pick(result.entries[0], expected) == expected
    assert bool(_about(result, "user")) == (user is None)


@pytest.mark.parametrize(
    ("page", "expected"), [("", ("a", 80)), ("b:81", ("b", 81)), ("81", ("b", 81)), ("7", ("a", 7))]
)
def test_the_page_can_be_named(imported: Import, page: str, expected: tuple[str, int]) -> None:
    text = f"services:\n  a: {{{IMAGE}, ports: ['1080:80']}}\n  b: {{{IMAGE}, ports: ['1081:81', '22:22']}}\n"
    pages = {entry["hostname"]: entry["port"] for entry in imported(text, page).entries if entry["port"]}

    assert pages == dict([expected])


@pytest.mark.parametrize("page", ["c:80", "web:0", "web:x", "web:70000"])
def test_a_wrong_page_is_told(imported: Import, page: str) -> None:
    assert "-e page=web:8080" in _refused(imported(_web("ports: ['1080:80']"), page))["page"]


@pytest.mark.parametrize(
    ("network", "host", "page"),
    [
        ("", "shop_web_1", 81),
        ("", "10.0.0.9", 81),
        ("network_mode: host", "umbrel.local", 81),
    ],
)
def test_a_proxy_of_umbrel_names_the_page(imported: Import, network: str, host: str, page: int) -> None:
    text = f"""
services:
  app_proxy: {{environment: {{APP_HOST: {host}, APP_PORT: "81"}}}}
  web:
    {IMAGE}
    networks: {{default: {{ipv4_address: 10.0.0.9}}}}
    {network}
"""
    (entry,) = imported(text).entries
    assert (entry["name"], entry["port"]) == ("shop", page)


@pytest.mark.parametrize(
    ("casaos", "page"),
    [
        ("{main: web, port_map: '9090'}", 90),
        ("{port_map: '9090', scheme: http}", 90),
        ("{main: none, port_map: '1'}", 80),
        ("{main: web, port_map: '9090', scheme: https}", 0),
    ],
)
def test_casaos_names_the_page(imported: Import, casaos: str, page: int) -> None:
    result = imported(f"{_web('ports: [8080:80, 9090:90]')}x-casaos: {casaos}\n")
    (entry,) = result.entries

    assert entry["port"] == page
    assert bool([text for text in _about(result, "ports") if "HTTPS" in text]) == (page == 0)
    assert len(entry["ports"]) == (1 if page else 2)


def test_services_with_labels_have_pages_of_their_own(imported: Import) -> None:
    label = "labels: ['traefik.http.routers.x.rule=Host(`{0}.example.org`)'], expose: ['{1}']"
    text = "services:\n" + "".join(
        f"  {name}: {{{IMAGE}, {label.format(name, port)}}}\n" for name, port in (("a", 81), ("b", 82))
    )
    pages = {entry["hostname"]: (entry["port"], entry["routes"]) for entry in imported(text).entries}

    assert pages == {
        "a": (81, [{"host": "a.example.org"}]),
        "b": (82, [{"host": "b.example.org"}]),
    }


NAMES = """
services:
  web:
    image: registry.example.org/shop:1
    environment: ENVIRONMENT
    command: [run, --host, cache_1, --note, "the shop database"]
    links: ["db:store"]
  db:
    image: registry.example.org/db:1
    container_name: database
    hostname: db-host
    networks: {n: {aliases: [alias], ipv4_address: 10.21.0.5}}
  cache_1: {image: registry.example.org/cache:1}
networks: {n: {}}
"""


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DB_HOST", "database", "db"),
        ("DB_NAME", "database", "database"),
        ("URL", "tcp://database:5432/database", "tcp://db:5432/database"),
        ("URL", "tcp://u@alias/x", "tcp://u@db/x"),
        ("SERVERS", "store:1,alias:2,other:3", "db:1,db:2,other:3"),
        ("DSN", "host=db-host dbname=alias", "host=db dbname=alias"),
        ("ANY", "10.21.0.5", "db"),
        ("ANY", "10.21.0.55", "10.21.0.55"),
        ("ANY", "shop_db_1 shop-db-1", "db db"),
        ("ANY", "http://cache_1:80", "http://cache-1:80"),
        ("ANY", "my-database:80", "my-database:80"),
        ("URL", "http://database.example.org:80", "http://database.example.org:80"),
        ("ANY", "db", "db"),
    ],
)
def test_containers_are_named_as_the_apps(imported: Import, name: str, value: str, expected: str) -> None:
    result = imported(NAMES.replace("ENVIRONMENT", f"{{{name}: '{value}'}}"))
    web = result.entries[0]

    assert (web["env"] | web.get("secrets", {}))[name] == expected
    assert web["args"] == ["run", "--host", "cache-1", "--note", "the shop database"]


def test_the_name_of_a_single_container_is_its_own_host(imported: Import) -> None:
    result = imported(_web("environment: {SELF: 'http://shop_web_1:80'}"))
    assert result.entries[0]["env"] == {"SELF": "http://localhost:80"}


def test_services_whose_names_become_the_same_are_told(imported: Import) -> None:
    result = imported(f"services: {{a_b: {{{IMAGE}}}, a-b: {{{IMAGE}}}}}")
    assert "have the same name without special characters" in _refused(result)["services"]


PASSWORDS = """
services:
  web: {image: registry.example.org/shop:1, environment: WEB, command: COMMAND}
  db: {image: registry.example.org/db:1, environment: DB}
"""


@pytest.mark.parametrize(
    ("web", "db", "command", "is_replaced"),
    [
        ("DB_PASSWORD: abc", "POSTGRES_PASSWORD: abc", "run", True),
        ("DB_PASSWORD: abc", "POSTGRES_PASSWORD: abc", "run --password abc", True),
        ("DB_PASSWORD: abc, DB_USER: abc", "POSTGRES_PASSWORD: abc", "run abc-d", True),
        ("URL: 'db://abc:abc@db/abc'", "POSTGRES_PASSWORD: abc", "run", True),
        ("DSN: 'user=abc password=abc host=db'", "DB_PASSWORD: abc", "run", True),
        # What only one service knows may be set elsewhere.
        ("SMTP_PASSWORD: abc", "A: 1", "run", False),
        ("ADMIN_PASSWORD: abc", "A: 1", "run", False),
        # A word of an unknown meaning may be the password.
        ("DB_PASSWORD: abc", "POSTGRES_PASSWORD: abc", "run abc", False),
        ("DB_PASSWORD: abc", "POSTGRES_PASSWORD: abc, THING: abc", "run", False),
        ("DB_PASSWORD: 'true'", "OTHER_PASSWORD: 'true'", "run", False),
    ],
)
def test_a_password_that_services_share_is_replaced(
    imported: Import, web: str, db: str, command: str, is_replaced: bool
) -> None:
    text = PASSWORDS.replace("WEB", f"{{{web}}}").replace("DB}", f"{{{db}}}}}").replace("COMMAND", command)
    entries = imported(text).entries
    values = [value for entry in entries for value in entry.get("secrets", {}).values()]

    assert any("\x01" in value for value in values) == is_replaced
    assert ("abc" in [*values, *entries[0]["args"]]) == (not is_replaced and "abc" in text)
    assert [each for each in entries if "abc" in each.get("env", {}).values()] == (
        entries[:1] if "DB_USER" in web else entries[1:] if "THING" in db else []
    )


MIGRATE = """
services:
  web: {image: registry.example.org/shop:1, user: "7", environment: [A=1, B=2], volumes: ["data:/data"],
        depends_on: {migrate: {condition: service_completed_successfully}}}
  migrate: {image: registry.example.org/shop:1, user: "7", environment: [A=1], command: [shop, migrate]}
"""


def test_a_service_that_ends_runs_before_the_others(imported: Import) -> None:
    result = imported(MIGRATE)
    (entry,) = result.entries

    assert (entry["name"], entry["init_commands"]) == ("shop", [["shop", "migrate"]])
    assert _about(result, "depends_on") == ["it runs before each start of web, as a part of it"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('user: "7", environment: [A=1], command', 'user: "0", environment: [A=1], command'),
        ("[A=1], command", "[A=2], command"),
        ("command: [shop, migrate]", "command: [shop, migrate], volumes: ['other:/other']"),
        ('shop:1, user: "7", environment: [A=1], command', 'other:1, user: "7", command'),
        ("command: [shop, migrate]", "tty: true"),
    ],
)
def test_a_service_that_ends_needs_the_same_as_the_other(imported: Import, old: str, new: str) -> None:
    assert old in MIGRATE
    assert "waits for it to end" in _refused(imported(MIGRATE.replace(old, new)))["depends_on"]


def test_a_script_of_another_image_runs_by_itself_and_idles(imported: Import) -> None:
    text = MIGRATE.replace('shop:1, user: "7", environment: [A=1]', "tool:1, entrypoint: [/bin/sh, -c]")
    result = imported(text)
    web, tool = result.entries

    assert "init_commands" not in web
    assert tool["command"][:2] == ["/bin/sh", "-c"]
    assert tool["command"][3:] == ["/bin/sh", "/bin/sh", "-c", "shop", "migrate"]
    assert "web starts without waiting for it" in _about(result, "depends_on")[0]


def test_networks_are_told_apart(imported: Import) -> None:
    text = f"""
services:
  a: {{{IMAGE}, networks: [closed], environment: [NAS=192.168.1.5]}}
  b: {{{IMAGE}, networks: {{closed: , open: }}}}
  c: {{{IMAGE}, networks: [shared]}}
networks: {{closed: {{internal: true}}, open: , shared: {{external: true}}}}
"""
    result = imported(text)

    assert [entry.get("internet") for entry in result.entries] == [None, True, True]
    assert [entry.get("lan") for entry in result.entries] == [None, None, None]
    assert _about(result, "networks") == [
        "shared is a network of several projects -> name the apps it uses in needs"
    ]


def test_a_service_without_its_profile_is_told(imported: Import) -> None:
    result = imported(f"services: {{web: {{{IMAGE}}}, tool: {{{IMAGE}, profiles: [debug]}}}}")

    assert [entry["name"] for entry in result.entries] == ["shop"]
    assert _about(result, "profiles") == ["it is left out -> name its profile to have it: debug"]


def test_the_keys_that_are_translated_are_named_in_order(imported: Import) -> None:
    assert imported(_web("tty: true\nuser: '7'\nsurprise: 1")).taken == ["image", "tty", "user"]


def test_the_sysctls_are_those_that_the_preflight_accepts() -> None:
    accepted = CONSTRAINTS["apps"]["items"]["properties"]["sysctls"]["propertyNames"]["enum"]
    assert set(accepted) == SAFE_SYSCTLS


@pytest.mark.parametrize(
    ("text", "expected"),
    [("My_App", "my-app"), ("9lives", "app-9lives"), ("a/b", "b"), ("ä", "app"), ("x" * 60, "x" * 50)],
)
def test_a_name_becomes_one_of_kubernetes(text: str, expected: str) -> None:
    assert slug(text) == expected
