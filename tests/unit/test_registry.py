"""The registry that scenarios pull from, with its faults."""

import gzip
import os
import time
from pathlib import Path

import pytest
import requests

from harness.registry import PASSWORD, USER, Registry, serving
from lab.images import write_archive, write_layer

SIZE = 500_000


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of one file that cannot be compressed."""
    directory = tmp_path_factory.mktemp("image")
    (directory / "file").write_bytes(os.urandom(SIZE))
    write_layer(directory / "layer.tar", {"file": directory / "file"})
    write_archive(directory / "image.tar", "x/any:1", {}, [directory / "layer.tar"])
    return directory / "image.tar"


def get(registry: Registry, path: str, **arguments: object) -> requests.Response:
    """Ask as containerd does, which takes manifests of the OCI."""
    headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    url = f"http://127.0.0.1:{registry.port}/v2/{path}"
    return requests.get(url, headers=headers, timeout=30, **arguments)  # type: ignore[arg-type]


def test_an_image_is_served_as_it_was_pushed(archive: Path) -> None:
    with serving() as registry:
        registry.push(archive, "docker.io/library/any:1.0")
        manifest = get(registry, "docker.io/library/any/manifests/1.0").json()
        layer = get(registry, f"docker.io/library/any/blobs/{manifest['layers'][0]['digest']}")
        config = get(registry, f"docker.io/library/any/blobs/{manifest['config']['digest']}").json()

    assert gzip.decompress(layer.content) == archive.with_name("layer.tar").read_bytes()
    assert config["architecture"] == "amd64"


def test_a_missing_image_is_not_found(archive: Path) -> None:
    with serving() as registry:
        registry.push(archive, "a:1")

        assert get(registry, "b/manifests/1").status_code == 404
        assert get(registry, "a/manifests/2").status_code == 404


def test_a_private_image_needs_the_login(archive: Path) -> None:
    path = "private/any/manifests/1"
    with serving() as registry:
        registry.push(archive, "private/any:1")

        assert get(registry, path).status_code == 401
        assert get(registry, path, auth=(USER, "wrong")).status_code == 401
        assert get(registry, path, auth=(USER, PASSWORD)).status_code == 200


def test_it_is_unavailable_for_a_while_from_the_first_request_on(archive: Path) -> None:
    with serving(unavailable_seconds=1) as registry:
        registry.push(archive, "any:1")
        time.sleep(1.1)
        early = get(registry, "any/manifests/1").status_code
        time.sleep(1.1)
        late = get(registry, "any/manifests/1").status_code

        assert [early, late] == [answer.status for answer in registry.answers] == [503, 200]


def test_the_line_is_slow(archive: Path) -> None:
    with serving(megabits_per_second=4) as registry:
        registry.push(archive, "any:1")
        layer = get(registry, "any/manifests/1").json()["layers"][0]
        started = time.monotonic()
        get(registry, f"any/blobs/{layer['digest']}")

    assert layer["size"] * 8 / 4e6 * 0.95 < time.monotonic() - started < 60
