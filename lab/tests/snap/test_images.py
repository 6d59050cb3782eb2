import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from microk8s import agent, arguments, hooks, images, kubernetes

from .conftest import Node

# Accepts all archives except those with the content "broken".
CTR = """\
#!/bin/sh
for last; do :; done
if [ "$last" = - ]; then content=$(cat); else content=$(cat "$last"); fi
if [ "$content" = broken ]; then echo "ctr: unexpected EOF" >&2; exit 1; fi
echo "$content" >> "$SNAP_COMMON/imported"
echo "$@" >> "$SNAP_COMMON/commands"
"""


@pytest.fixture
def sideload(node: Node) -> Path:
    node.program("ctr", CTR)
    return node.common / "etc/sideload"


def imported(node: Node) -> list[str]:
    file = node.common / "imported"
    return file.read_text().splitlines() if file.exists() else []


def test_archives_are_imported_once_and_smallest_first(node: Node, sideload: Path) -> None:
    (sideload / "a.tar").write_text("a large image")
    (sideload / "z.tar").write_text("pause")
    (sideload / "notes.txt").write_text("no archive")
    images.load_sideloaded(sideload)
    images.load_sideloaded(sideload)
    assert imported(node) == ["pause", "a large image"]
    assert {file.name for file in sideload.iterdir()} == {"a.tar.loaded", "notes.txt", "z.tar.loaded"}
    command = (node.common / "commands").read_text().splitlines()[0]
    assert command.startswith(f"--address={node.common}/run/containerd.sock --namespace k8s.io images import")


def test_a_broken_archive_is_reported_and_retried(
    node: Node, sideload: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (sideload / "a.tar").write_text("broken")
    (sideload / "b.tar").write_text("a sound one")
    images.load_sideloaded(sideload)
    assert "Failed to import" in (printed := capsys.readouterr().out)
    assert "ctr: unexpected EOF" in printed
    assert imported(node) == ["a sound one"]

    (sideload / "a.tar").write_text("whole now")
    images.load_sideloaded(sideload)
    assert imported(node) == ["a sound one", "whole now"]


def test_the_install_hook_takes_over_archives_and_keeps_existing_ones(empty_node: Node) -> None:
    for directory, name in {"sideload": "a.tar", "etc/sideload": "b.tar"}.items():
        (empty_node.common / directory).mkdir(parents=True)
        (empty_node.common / directory / name).touch()
    hooks.install()
    assert {file.name for file in (empty_node.common / "etc/sideload").iterdir()} == {"a.tar", "b.tar"}


@pytest.fixture
def cluster(node: Node, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A cluster of one node with a running agent; returns the agent's port."""
    node.program("ctr", CTR)
    arguments.change("cluster-agent", {"--bind": "127.0.0.1:0"})
    server = agent.server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(images, "AGENT_PORT", server.server_port)
    monkeypatch.setattr(kubernetes, "node_addresses", lambda: ["127.0.0.1"])
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_an_archive_reaches_every_node(node: Node, cluster: int, capsys: pytest.CaptureFixture[str]) -> None:
    archive = node.common / "archive.tar"
    archive.write_text("an image")
    # A worker's agent has a certificate of another CA.
    (node.data / "certs/ca.crt").unlink()
    images.import_on_every_node(str(archive))
    assert capsys.readouterr().out == f"Pushing OCI images to 127.0.0.1:{cluster}\n"
    assert imported(node) == ["an image"]

    # A failed node is only reported.
    archive.write_text("broken")
    images.import_on_every_node(str(archive))
    assert "Failed to import images on 127.0.0.1" in capsys.readouterr().out
    assert imported(node) == ["an image"]


def test_an_unreachable_node_is_only_reported(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (node.common / "archive.tar").write_text("an image")
    monkeypatch.setattr(images, "AGENT_PORT", 1)
    monkeypatch.setattr(kubernetes, "node_addresses", lambda: ["127.0.0.1"])
    images.import_on_every_node(str(node.common / "archive.tar"))
    assert "Failed to reach 127.0.0.1:1" in capsys.readouterr().out


def test_a_missing_file_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        images.import_on_every_node("/nonexistent.tar")
    assert stopped.value.code == 1
    assert "failed to read /nonexistent.tar" in capsys.readouterr().err


def _request(node: Node, port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(node.data / "certs/ca.crt"))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    if headers:
        connection.request("POST", path, b"an image", headers)
    else:
        connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_agent_is_healthy_and_rejects_unsupported_requests(node: Node, cluster: int) -> None:
    assert _request(node, cluster, "/health") == (200, json.dumps({"status": "OK"}).encode())
    assert _request(node, cluster, "/cluster/api/v1.0/upgrade", {"X": "y"})[0] == 404
    assert _request(node, cluster, "/cluster/api/v2.0/join", {"X": "y"})[0] == 400


@pytest.mark.parametrize("token", ["", "guessed"])
def test_images_are_only_accepted_with_the_token(node: Node, cluster: int, token: str) -> None:
    assert _request(node, cluster, images.IMPORT_PATH, {images.TOKEN_HEADER: token})[0] == 401
    assert imported(node) == []


def test_a_silent_client_does_not_block_others(node: Node, cluster: int) -> None:
    with socket.create_connection(("127.0.0.1", cluster)):
        assert _request(node, cluster, "/health")[0] == 200
