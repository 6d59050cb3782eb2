"""Apps get devices as resources of Kubernetes, whose names are valid and differ."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils import app_devices

from harness.rendering import Object, Role, find

ZIGBEE: dict[str, Any] = {
    "name": "zigbee",
    "image": "registry.example.org/zigbee:1",
    "devices": ["/dev/ttyUSB0"],
    "init_commands": [["prepare"]],
    "schedules": [{"name": "clean", "cron": "30 3 * * *", "command": ["clean"]}],
}
FILMS: dict[str, Any] = {
    "name": "films",
    "image": "registry.example.org/films:1",
    "gpu": "intel",
    "groups": [44],
}
MODEL: dict[str, Any] = {"name": "model", "image": "registry.example.org/model:1", "gpu": "nvidia"}
BLOG: dict[str, Any] = {"name": "blog", "image": "registry.example.org/blog:1"}
# As the API server checks a resource's name without its domain.
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


def objects(state: Path, *apps: dict[str, Any]) -> list[Object]:
    """Return all that apps are."""
    built = {"homeserver-devices": "localhost/homeserver-devices:1"}
    return Role("apps", state, apps=list(apps), homeserver_built_images=built).objects()


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("/dev/ttyUSB0", "ttyUSB0"),
        ("/dev/dri", "dri"),
        ("/dev/ttyUSB0:/dev/ttyUSB0", "ttyUSB0"),
        ("/dev/ttyUSB0:/dev/ttyACM0", "ttyUSB0-609b75bd"),
    ],
)
def test_a_resource_is_called_like_its_device(given: str, name: str) -> None:
    (device,) = app_devices.devices({"devices": [given]})

    assert device.name == name


def test_names_are_valid_and_differ() -> None:
    given = [
        "/dev/a/b", "/dev/a_b", "/dev/a-b", "/dev/a.b", "/dev/_a", "/dev/a-", "/dev/ä", "/dev/ö",
        "/dev/serial/by-id/usb-ITead_Sonoff_Zigbee_3.0_USB_Dongle_Plus_0123456789abcdef0123456789abcdef-if00-port0",
        "/dev/serial/by-id/usb-ITead_Sonoff_Zigbee_3.0_USB_Dongle_Plus_0123456789abcdef0123456789abcdef-if01-port0",
        "/dev/a/b:/dev/c", "/dev/a/b:/dev/d", f"/dev/{'x' * 60}",
    ]  # fmt: skip
    names = [device.name for device in app_devices.devices({"devices": given})]

    assert len(set(names)) == len(given)
    assert [name for name in names if not NAME.fullmatch(name)] == []


def test_a_card_is_given_once() -> None:
    (device,) = app_devices.devices({"gpu": "amd", "devices": ["/dev/dri", "/dev/dri:/dev/dri"]})

    assert device == ("dri", "/dev/dri", "/dev/dri")


def test_an_app_asks_for_its_devices_and_is_alone(tmp_path: Path) -> None:
    for app, resource, told in (
        (ZIGBEE, "homeserver.stack/ttyUSB0", "/dev/ttyUSB0"),
        (FILMS, "homeserver.stack/dri", "/dev/dri"),
        (MODEL, "nvidia.com/gpu", "an NVIDIA graphics card"),
    ):
        deployment = find(objects(tmp_path, app), "Deployment", app["name"])
        template = deployment["spec"]["template"]
        (container,) = template["spec"]["containers"]

        assert container["resources"]["limits"] == {"memory": "256Mi", resource: "1"}
        assert json.loads(template["metadata"]["annotations"]["homeserver.stack/devices"]) == {resource: told}
        assert deployment["metadata"]["namespace"] == "apps"
        assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_only_the_app_itself_has_the_device(tmp_path: Path) -> None:
    """Its first commands and schedules would wait while the app has it."""
    found = objects(tmp_path, ZIGBEE)
    (first,) = find(found, "Deployment", "zigbee")["spec"]["template"]["spec"]["initContainers"]
    job = find(found, "CronJob", "zigbee-clean")["spec"]["jobTemplate"]["spec"]["template"]

    assert first["resources"]["limits"] == {"memory": "256Mi"}
    assert job["spec"]["containers"][0]["resources"]["limits"] == {"memory": "256Mi"}
    assert "annotations" not in job["metadata"]


def test_an_app_has_more_groups(tmp_path: Path) -> None:
    found = objects(tmp_path, FILMS, BLOG)

    def groups(name: str) -> list[int] | None:
        context = find(found, "Deployment", name)["spec"]["template"]["spec"]["securityContext"]
        given: list[int] | None = context.get("supplementalGroups")
        return given

    assert (groups("films"), groups("blog")) == ([44], None)


def test_the_plugin_serves_what_apps_ask_for(tmp_path: Path) -> None:
    (container,) = find(objects(tmp_path, ZIGBEE, FILMS, MODEL), "DaemonSet", "devices")["spec"]["template"][
        "spec"
    ]["containers"]
    served = json.loads(next(each["value"] for each in container["env"] if each["name"] == "DEVICES"))

    assert served == [
        {"name": "dri", "path": "/dev/dri", "inside": "/dev/dri"},
        {"name": "ttyUSB0", "path": "/dev/ttyUSB0", "inside": "/dev/ttyUSB0"},
    ]


@pytest.mark.parametrize(("app", "is_there"), [(BLOG, False), (MODEL, False), (FILMS, True)])
def test_the_plugin_is_there_while_an_app_needs_it(
    tmp_path: Path, app: dict[str, Any], *, is_there: bool
) -> None:
    role = Role("apps", tmp_path, apps=[app], homeserver_built_images={"homeserver-devices": "d:1"})
    found = [obj["metadata"]["name"] for obj in role.objects() if obj["kind"] in ("Namespace", "DaemonSet")]

    assert found == (["devices"] if is_there else []) + ["apps"] + (["apps-devices"] if is_there else [])
    assert role.value("_apps_builds") == ({"homeserver-devices": "devices"} if is_there else {})


def test_the_server_knows_it_as_the_image_does() -> None:
    """The image has the path of a serial port, too."""
    assert list(
        app_devices.serial_ports({"devices": ["/dev/ttyUSB0:/dev/x", "/dev/dri", "/dev/serial/by-id/a"]})
    ) == [
        "/dev/ttyUSB0",
        "/dev/serial/by-id/a",
    ]
