"""The mounts of a compose file become volumes, directories of the server and files, or are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import Imported, translate
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import read_project
from ansible_collections.homeserver.stack.plugins.module_utils.preflight import constraints

from harness.rendering import ROOT, Role, find

Entry = dict[str, Any]
Import = Callable[[str], Imported]
APPS = yaml.safe_load((ROOT / "roles/apps/meta/argument_specs.yml").read_text())["argument_specs"]["main"]
CONSTRAINTS = yaml.safe_load((ROOT / "roles/apps/meta/constraints.yml").read_text())
IMAGE = "image: registry.example.org/shop:1"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return the directory of a compose file, with files that services mount."""
    found = tmp_path / "shop"
    (found / "conf.d").mkdir(parents=True)
    (found / "conf.d/a.conf").write_text("a = 1\n")
    (found / "empty").mkdir()
    (found / "shop.conf").write_text("host = shop_web_1:80\n")
    (found / "start.sh").write_text("#!/bin/bash -e\nexec shop\n")
    (found / "picture.png").write_bytes(b"\x89PNG\xff")
    (found / "large.txt").write_text("x" * (512 * 1024 + 1))
    (found / "half.txt").write_text("x" * (500 * 1024))
    (found / "link.conf").symlink_to("/etc/passwd")
    (found / "outside").symlink_to("/etc")
    (tmp_path / "parent.txt").write_text("secret")
    return found


@pytest.fixture
def imported(directory: Path) -> Import:
    """Return a function that imports a file, after checking that the preflight accepts its entries."""

    def found(text: str) -> Imported:
        (directory / "compose.yml").write_text(text)
        result = translate(read_project(directory / "compose.yml"), "", lambda _: "1000")
        if not result.impossible:
            wrong = constraints.wrong_value(
                "apps", APPS["options"]["apps"], CONSTRAINTS["apps"], result.entries
            )
            assert wrong == []
        return result

    return found


def _web(*volumes: str, rest: str = "") -> str:
    listed = "".join(f"\n      - {volume}" for volume in volumes)
    return f"services:\n  web:\n    {IMAGE}\n    volumes:{listed}\n{rest}\n"


def _texts(result: Imported) -> list[str]:
    return [remark.text for remark in result.changed]


OWN = {"size_gib": 5}


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        # Of Docker.
        ("data:/data", {"name": "data", "path": "/data", **OWN}),
        ("data:/data:ro", {"name": "data", "path": "/data", **OWN, "read_only": True}),
        ("My_Data.2:/data", {"name": "my-data-2", "path": "/data", **OWN}),
        ("/cache/", {"name": "cache", "path": "/cache", **OWN}),
        ("{type: volume, target: /cache}", {"name": "cache", "path": "/cache", **OWN}),
        (
            "{type: volume, source: data, target: /data, read_only: true, volume: {subpath: a/b}}",
            {"name": "data", "path": "/data", **OWN, "subdirectory": "a/b", "read_only": True},
        ),
        # Of the project's directory.
        ("./data:/data/", {"name": "data", "path": "/data", **OWN}),
        ("./data/../files:/data:z", {"name": "files", "path": "/data", **OWN}),
        ("./data:/data:rw,Z,delegated", {"name": "data", "path": "/data", **OWN}),
        ("{type: bind, source: ./data, target: /data}", {"name": "data", "path": "/data", **OWN}),
        # Of the program, among those of others.
        ("/opt/Shop/data:/data", {"name": "data", "path": "/data", **OWN}),
        ("/srv/docker/web:/data", {"name": "web", "path": "/data", **OWN}),
        # Of the server.
        (
            "/srv/media:/media:ro",
            {"name": "media", "path": "/media", "place": "/srv/media", "read_only": True},
        ),
        ("/mnt/shop/films:/films", {"name": "films", "path": "/films", "place": "/mnt/shop/films"}),
        ("~/films:/films", {"name": "films", "path": "/films", "place": "/home/owner/films"}),
        ("/srv/TV Shows:/tv", {"name": "tv-shows", "path": "/tv", "place": "/srv/TV-Shows"}),
        (
            "/srv/keys/tls.cert:/etc/tls.cert:ro",
            {
                "name": "tls-cert",
                "path": "/etc/tls.cert",
                "place": "/srv/keys",
                "subdirectory": "tls.cert",
                "read_only": True,
            },
        ),
    ],
)
def test_a_mount_becomes_a_volume(
    imported: Import, monkeypatch: pytest.MonkeyPatch, volume: str, expected: Entry
) -> None:
    monkeypatch.setenv("HOME", "/home/owner")
    result = imported(_web(volume))

    assert result.entries[0]["volumes"] == [expected]
    assert result.directories == ([expected["place"]] if "place" in expected else [])
    assert result.impossible == []


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        ("{driver_opts: {type: none, o: bind, device: /srv/data}}", [{"place": "/srv/data"}]),
        ("{driver_opts: {type: none, o: 'rw,bind', device: ./data}}", [OWN]),
        ("{driver_opts: {type: tmpfs, device: tmpfs}}", []),
        ("{driver: local, name: fixed}", [OWN]),
        ("{external: true}", [OWN]),
    ],
)
def test_the_definition_of_a_volume_is_followed(
    imported: Import, definition: str, expected: list[Entry]
) -> None:
    result = imported(_web("v:/data", rest=f"volumes: {{v: {definition}}}"))
    found = result.entries[0].get("volumes", [])

    assert [
        {key: each for key, each in volume.items() if key not in ("name", "path")} for volume in found
    ] == (expected)
    assert bool(_texts(result)) == ("external" in definition)


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ("/etc/localtime:/etc/localtime:ro", "the variable TZ"),
        ("/tmp/x:/tmp", "an own one, which is empty"),
        ("{type: bind, source: /run/dbus, target: /run/dbus}", "Bluetooth"),
    ],
)
def test_a_mount_that_an_app_can_do_without_is_left_out(imported: Import, volume: str, text: str) -> None:
    result = imported(_web(volume))

    assert "volumes" not in result.entries[0]
    assert [each for each in _texts(result) if text in each]


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ("./conf.d:/conf", "/conf is empty at first: ./conf.d has files"),
        ("/srv/media:/media:rslave", "shows disks that are mounted later"),
        ("v:/etc/shop", "Docker would copy the image's files"),
        ("/srv/a b:/a", "rename the directory on the server to /srv/a-b"),
        ("/srv/keys/tls.cert:/tls.cert", "has to be a file on the server"),
        ("./shop.conf:/shop.conf", "/shop.conf is read-only"),
    ],
)
def test_a_difference_of_a_mount_is_told(imported: Import, volume: str, text: str) -> None:
    result = imported(_web(volume))

    assert [each for each in _texts(result) if text in each], result.changed
    assert result.impossible == []


@pytest.mark.parametrize(
    "volume", ["./empty:/data", "./shop.conf:/shop.conf:ro", "data:/data", "/srv/x:/x:private", "./new:/new"]
)
def test_an_equal_mount_is_not_told(imported: Import, volume: str) -> None:
    assert _texts(imported(_web(volume))) == []


@pytest.mark.parametrize(
    ("volumes", "text"),
    [
        (["/var/run/docker.sock:/var/run/docker.sock"], "owns the server"),
        (["/dev:/dev"], "it has all devices"),
        (["/dev/sda:/dev/sda"], "it has all that the server has"),
        (["/:/host:ro"], "the server's own system"),
        (["/etc/../proc:/host/proc"], "the server's own system"),
        (["/var/lib/docker/volumes/x/_data:/x"], "the server's own system"),
        (["':/data'"], "set its variable in .env"),
        (["{type: bind, target: /data}"], "set its variable in .env"),
        (["{type: npipe, source: a, target: /a}"], "of the type npipe"),
        (["data:data"], "cannot be mounted"),
        (["'data:/my data'"], "cannot be mounted"),
        (["data:/"], "cannot be mounted"),
        (["./shop.conf:/app/.env"], "cannot be mounted"),
        (["a:/data", "b:/data/"], "/data is mounted twice"),
        (["./picture.png:/picture.png"], "it is not a text"),
        (["./large.txt:/large.txt"], "more than 512 KiB"),
        (["./half.txt:/a.txt", "./half.txt:/b.txt"], "more than 900 KiB together"),
        (["./none.conf:/none.conf"], "put it there before the import"),
        (["./none:/etc/none:ro"], "put it there before the import"),
        (["./link.conf:/link.conf"], "is a link out of the project's directory"),
        (["/tls.cert:/tls.cert"], "the server's own system"),
        (["./outside/passwd:/passwd"], "is a link out of the project's directory"),
        (["{type: volume, source: a, target: /a, volume: {subpath: ../b}}"], "cannot be a directory"),
    ],
)
def test_an_impossible_mount_is_told_with_another_way(
    imported: Import, volumes: list[str], text: str
) -> None:
    result = imported(_web(*volumes))

    assert [remark for remark in result.impossible if text in remark.text and "->" in remark.text]
    assert "root:" not in str(result)


@pytest.mark.parametrize(
    "definition",
    ["{driver_opts: {type: nfs, o: addr=192.168.1.5, device: ':/films'}}", "{driver: rclone}"],
)
def test_storage_of_the_network_is_mounted_on_the_server_instead(imported: Import, definition: str) -> None:
    result = imported(_web("v:/data", rest=f"volumes: {{v: {definition}}}"))
    assert "mount it on the server" in result.impossible[0].text


def test_files_are_part_of_the_entry(imported: Import, tmp_path: Path) -> None:
    text = _web(
        "./shop.conf:/etc/shop.conf:ro",
        "./start.sh:/start.sh:ro",
        rest="""
    entrypoint: /start.sh
    command: [a]
    secrets: [key, {source: key, target: other}, {source: key, target: /run/third}]
    configs: [settings, {source: settings, target: /etc/settings.ini}]
secrets: {key: {file: ./shop.conf}}
configs: {settings: {content: "a = {{ b }}"}}""",
    )
    (entry,) = imported(text).entries
    key = "host = localhost:80\n"

    assert entry["files"] == {
        "/etc/shop.conf": key,
        "/start.sh": "#!/bin/bash -e\nexec shop\n",
        "/run/secrets/key": key,
        "/run/secrets/other": key,
        "/run/third": key,
        "/settings": "a = {{ b }}",
        "/etc/settings.ini": "a = {{ b }}",
    }
    assert (entry["command"], entry["args"]) == (["/bin/bash", "-e", "/start.sh"], ["a"])
    objects = Role("apps", tmp_path / "state", apps=[entry]).objects()
    assert set(find(objects, "Secret", "shop-files")["stringData"].values()) == set(entry["files"].values())


@pytest.mark.parametrize(
    ("definition", "text"),
    [
        ("", "is not defined"),
        ("secrets: {key: {external: true}}", "is kept by Docker Swarm"),
        ("secrets: {key: {file: ../parent.txt}}", "outside of the directory"),
        ("secrets: {key: {file: /etc/passwd}}", "outside of the directory"),
        ("secrets: {key: {file: ./link.conf}}", "outside of the directory"),
        ("secrets: {key: {file: ./none.txt}}", "put it there before the import"),
    ],
)
def test_a_secret_is_a_file_of_the_project(imported: Import, definition: str, text: str) -> None:
    result = imported(f"services: {{web: {{{IMAGE}, secrets: [key]}}}}\n{definition}")

    assert [remark for remark in result.impossible if text in remark.text]
    assert "root:" not in str(result)
    assert "files" not in result.entries[0]


SHARED = """
services:
  web: {image: registry.example.org/shop:1, ports: ["80:80"], volumes: ["data:/data", "./files:/files"]}
  worker:
    image: registry.example.org/worker:1
    volumes: ["data:/in:ro", "./files/new:/new", "/srv/media:/media", "data2:/data2"]
  other: {image: registry.example.org/other:1, volumes: ["/srv/media:/media", /cache]}
  another: {image: registry.example.org/other:1, volumes: [/cache]}
volumes: {data: {}, data2: {}}
"""


def test_services_share_volumes(imported: Import, tmp_path: Path) -> None:
    result = imported(SHARED)
    web, worker, other, another = (entry["volumes"] for entry in result.entries)

    assert web == [
        {"name": "data", "path": "/data", **OWN},
        {"name": "files", "path": "/files", **OWN},
    ]
    assert worker == [
        {"name": "data", "path": "/in", "app": "shop", "read_only": True},
        {"name": "files", "path": "/new", "app": "shop", "subdirectory": "new"},
        {"name": "media", "path": "/media", "place": "/srv/media"},
        {"name": "data2", "path": "/data2", **OWN},
    ]
    assert other[0] == {"name": "media-2", "path": "/media", "place": "/srv/media"}
    # Unnamed volumes are not shared.
    assert (other[1]["name"], another[0]["name"]) == ("cache", "cache-2")
    assert "app" not in another[0]
    assert result.directories == ["/srv/media"]
    objects = Role(
        "apps", tmp_path / "state", apps=result.entries, apps_host_directories={"home": ["/srv"]}
    ).objects()
    claims = [each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"]
    assert len(claims) == len(set(claims)) == 7


def test_a_volume_is_mounted_at_several_paths(imported: Import, tmp_path: Path) -> None:
    """Also a directory within another one, as in Docker."""
    web = _web(
        "./data:/data", "./data/plugins:/plugins", "rows:/rows", "rows:/more:ro", rest="volumes: {rows: {}}"
    )
    (entry,) = imported(web).entries
    assert entry["volumes"] == [
        {"name": "data", "path": "/data", **OWN},
        {"name": "data", "path": "/plugins", "subdirectory": "plugins"},
        {"name": "rows", "path": "/rows", **OWN},
        {"name": "rows", "path": "/more", "read_only": True},
    ]

    objects = Role("apps", tmp_path / "state", apps=[entry]).objects()
    pod = find(objects, "Deployment", "shop")["spec"]["template"]["spec"]
    claims = [each["metadata"]["name"] for each in objects if each["kind"] == "PersistentVolumeClaim"]
    mounts = [
        (each["name"], each["mountPath"], each.get("subPath"))
        for each in pod["containers"][0]["volumeMounts"]
    ]
    assert [each["name"] for each in pod["volumes"]] == ["tmp", "volume-data", "volume-rows"]
    assert mounts[1:] == [
        ("volume-data", "/data", None),
        ("volume-data", "/plugins", "plugins"),
        ("volume-rows", "/rows", None),
        ("volume-rows", "/more", None),
    ]
    assert claims == ["shop-data", "shop-rows"]


def test_a_missing_directory_is_written_by_another_service(imported: Import) -> None:
    result = imported(f"{_web('./new:/new:ro')}  b: {{{IMAGE}, volumes: [./new:/new]}}\n")
    assert result.impossible == []
