"""What an owner's apps are with all that they leave out."""

from typing import Any

from ansible_collections.homeserver.stack.plugins.module_utils import apps

from harness.roles import ROLES

(OPTIONS,) = (role.options["apps"]["options"] for role in ROLES if role.name == "apps")
DB: dict[str, Any] = {
    "name": "db",
    "image": "postgres:15",
    "routes": [],
    "port": 5432,
    "probe": "tcp",
    "volumes": [{"name": "data", "path": "/data"}],
}


def complete(*given: dict[str, Any]) -> list[dict[str, Any]]:
    return apps.complete(given, OPTIONS, "home.arpa")


def test_an_app_that_sets_nothing_has_the_documented_defaults() -> None:
    (app,) = complete({"name": "blog", "image": "blog:1"})

    assert (app["port"], app["user"], app["probe"], app["writable_root"]) == (8000, 65532, "http", False)
    assert app["replicas"] == 2
    assert app["routes"] == [{"host": "blog.home.arpa", "path": "/"}]
    assert app["listens"] == [{"name": "http", "port": 8000, "protocol": "TCP"}]


def test_defaults_are_filled_in_also_within_an_option() -> None:
    (app,) = complete(
        DB | {"autoscaling": {"min": 1, "max": 2}, "ports": [{"port": 1}], "host": "a.example.org"}
    )

    filled = {"size_gib": 1, "subdirectory": "", "read_only": False, "backup": True}
    assert app["volumes"] == [{**DB["volumes"][0], **filled, "mount": "volume-data"}]
    assert app["autoscaling"] == {"min": 1, "max": 2, "cpu_percent": 80}
    assert app["ports"] == [{"port": 1, "protocol": "tcp"}]


def test_what_has_a_volume_has_one_pod_unless_told_otherwise() -> None:
    assert [app["replicas"] for app in complete(DB, DB | {"replicas": 3})] == [1, 3]


def test_hosts_and_paths_are_the_apps_own_where_they_are_left_out() -> None:
    app = {"name": "blog", "routes": [{}, {"path": "/b"}, {"host": "example.org"}]}

    assert [f"{route['host']}{route['path']}" for route in apps.routes(app, "home.arpa")] == [
        "blog.home.arpa/",
        "blog.home.arpa/b",
        "example.org/",
    ]


def test_an_app_listens_once_at_each_port() -> None:
    (broker,) = complete(
        {
            "name": "broker",
            "routes": [],
            "port": 1883,
            "metrics_port": 9000,
            "ports": [
                {"port": 1883},
                {"port": 8883, "target_port": 1883},
                {"port": 1883, "protocol": "udp"},
            ],
        }
    )

    assert [(port["name"], port["port"], port["protocol"]) for port in broker["listens"]] == [
        ("tcp-1883", 1883, "TCP"),
        ("metrics", 9000, "TCP"),
        ("udp-1883", 1883, "UDP"),
    ]


def test_who_needs_an_app_is_its_client_with_all_of_its_pods() -> None:
    shop = {"name": "shop", "needs": ["db"], "schedules": [{"name": "clean", "cron": "", "command": []}]}
    db, _, blog = complete(DB, shop, {"name": "blog"})

    # The key of the app's own namespace is empty.
    assert db["clients"] == {"": ["shop", "shop-clean"]}
    assert blog["clients"] == {}


def test_what_runs_on_a_schedule_is_a_client_of_its_own_app() -> None:
    (app,) = complete(DB | {"schedules": [{"name": "backup", "cron": "", "command": []}]})

    assert app["clients"] == {"": ["db-backup"]}


def test_each_port_is_opened_once_and_in_one_order() -> None:
    one = {"name": "a", "ports": [{"port": 25565}, {"port": 19132, "protocol": "udp"}]}
    other = {"name": "b", "ports": [{"port": "1883"}]}

    assert [entry["name"] for entry in apps.entry_points([one, other])] == [
        "tcp-1883",
        "tcp-25565",
        "udp-19132",
    ]
    assert apps.entry_points([one, other]) == apps.entry_points([other, one])


def test_volumes_of_two_apps_with_one_name_are_two() -> None:
    volumes = [{"name": "data", "path": "/own"}, {"name": "data", "path": "/web", "app": "web"}]
    (app,) = complete(DB | {"stack": "shop", "volumes": [*volumes, {**volumes[1], "path": "/again"}]})

    assert app["claims"] == {"volume-data": "db-data", "volume-data-2": "web-data"}
    assert [each["mount"] for each in app["volumes"]] == ["volume-data", "volume-data-2", "volume-data-2"]


def test_volumes_without_a_backup_are_known_by_their_claims() -> None:
    volumes = [
        {"name": "cache", "path": "/cache", "backup": False},
        {"name": "data", "path": "/data"},
        {"name": "shared", "path": "/shared", "app": "db", "backup": False},
        {"name": "media", "path": "/media", "place": "/srv/media", "backup": False},
    ]
    wiki = {"name": "wiki", "volumes": volumes}
    root = {"name": "films", "root": True, "volumes": volumes[:1]}

    assert apps.unsaved_volumes([wiki, root]) == ["apps/wiki-cache", "apps-root/films-cache"]


def test_an_app_is_built_from_its_directory_or_from_a_clone() -> None:
    git = {"url": "https://example.org/shop.git", "ref": "main"}
    given: list[dict[str, Any]] = [
        {"name": "own", "source": "/src/own"},
        {"name": "shop", "git": git},
        {"name": "part", "git": git | {"directory": "server"}},
        {"name": "db", "image": "postgres:15"},
    ]

    assert apps.sources(given, "/cache") == {
        "own": "/src/own",
        "shop": "/cache/shop",
        "part": "/cache/part/server",
    }
