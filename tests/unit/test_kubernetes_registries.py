"""Pods pull images with the login of their registry, and get no other."""

import base64
import json
from typing import Any

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.logins import with_pull_secrets
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.objects import prepare

Object = dict[str, Any]

LOGINS = [
    {"registry": registry, "username": "owner", "password": f"secret of {registry}"}
    for registry in ("ghcr.io", "registry.home.arpa:5000", "docker.io")
]


def deployment(name: str, *images: str, namespace: str = "apps") -> Object:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"template": {"spec": {"containers": containers[:1], "initContainers": containers[1:]}}},
    }


def logins_of(secret: Object) -> dict[str, str]:
    """Who logs in to each registry, and how."""
    content = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    return {key: base64.b64decode(entry["auth"]).decode() for key, entry in content["auths"].items()}


def run(*objects: Object) -> tuple[list[Object], dict[str, Object]]:
    """Prepare objects; return those that were given, and the Secrets by namespace."""
    prepared = prepare("flask_app", with_pull_secrets("flask_app", objects, LOGINS))
    secrets = {obj["metadata"]["namespace"]: obj for obj in prepared if obj["kind"] == "Secret"}
    return [obj for obj in prepared if obj["kind"] != "Secret"], secrets


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("ghcr.io/owner/shop:1", "ghcr.io"),
        ("registry.home.arpa:5000/a/b/shop:1", "registry.home.arpa:5000"),
        ("docker.io/owner/shop:1", "https://index.docker.io/v1/"),
        ("owner/shop:1", "https://index.docker.io/v1/"),
        ("shop:1", "https://index.docker.io/v1/"),
    ],
)
def test_an_image_is_pulled_with_the_login_of_its_registry(image: str, key: str) -> None:
    ((pod,), secrets) = run(deployment("shop", image))
    registry = key if "index" not in key else "docker.io"

    assert pod["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "flask-app-registry-logins"}]
    assert secrets["apps"]["metadata"]["name"] == "flask-app-registry-logins"
    assert secrets["apps"]["type"] == "kubernetes.io/dockerconfigjson"
    assert logins_of(secrets["apps"]) == {key: f"owner:secret of {registry}"}


def test_the_images_of_init_containers_count_too() -> None:
    (_, secrets) = run(deployment("shop", "quay.io/a:1", "ghcr.io/b:1"))

    assert logins_of(secrets["apps"]).keys() == {"ghcr.io"}


def test_each_namespace_gets_the_logins_that_it_needs() -> None:
    (_, secrets) = run(
        deployment("a", "ghcr.io/a:1"),
        deployment("b", "registry.home.arpa:5000/b:1"),
        deployment("c", "ghcr.io/c:1", namespace="media"),
    )

    assert {namespace: set(logins_of(secret)) for namespace, secret in secrets.items()} == {
        "apps": {"ghcr.io", "registry.home.arpa:5000"},
        "media": {"ghcr.io"},
    }


@pytest.mark.parametrize("image", ["quay.io/a:1", "localhost/hello:1", "ghcr.io.example.org/a:1"])
def test_an_image_of_another_registry_needs_none(image: str) -> None:
    ((pod,), secrets) = run(deployment("shop", image))

    assert secrets == {}
    assert "imagePullSecrets" not in pod["spec"]["template"]["spec"]


def test_what_runs_on_a_schedule_has_it_too() -> None:
    job = deployment("backup", "ghcr.io/backup:1") | {"kind": "CronJob"}
    job["spec"] = {"jobTemplate": {"spec": job["spec"]}}
    ((found,), secrets) = run(job)

    pod = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": secrets["apps"]["metadata"]["name"]}]
