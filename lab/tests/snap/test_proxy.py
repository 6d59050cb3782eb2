import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
from microk8s import arguments, proxy

from .conftest import Node


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


@pytest.fixture
def api() -> Iterator[int]:
    """The port of a server that answers what it was sent, once the client has sent all."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while data := connection.recv(1 << 16):
                        connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def port(node: Node, api: int) -> Iterator[int]:
    """A worker's proxy, on a port of this host, which is chosen after the server has taken its own."""
    (node.data / "var/lock/clustered.lock").touch()
    port = _free_port()
    assert port != api
    arguments.change("kube-apiserver", {"--secure-port": str(port)})
    loop = asyncio.new_event_loop()
    serving = loop.create_task(proxy.serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([serving])))
    thread.start()
    yield port
    loop.call_soon_threadsafe(serving.cancel)
    thread.join()
    loop.close()


def _ask(port: int, text: bytes) -> bytes:
    for _ in range(200):
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=10)
            break
        except ConnectionRefusedError:
            threading.Event().wait(0.05)
    try:
        with connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(1 << 16), b""))
    except OSError:
        return b""


def test_connections_go_to_an_api_server_that_accepts_them(port: int, api: int) -> None:
    proxy.write_endpoints([f"127.0.0.1:{_free_port()}", f"127.0.0.1:{api}"])
    assert proxy.endpoints()[1] == f"127.0.0.1:{api}"
    assert _ask(port, b"x" * 300_000) == b"x" * 300_000


@pytest.mark.parametrize(
    "text", ["", "tcp:\n", "tcp: {services: {kube-apiserver: {loadBalancer: {servers: }}}}"]
)
def test_an_emptied_list_closes_connections_until_it_is_written_again(
    node: Node, port: int, api: int, text: str
) -> None:
    proxy.write_endpoints([f"127.0.0.1:{api}"])
    (node.data / "args/traefik/provider.yaml").write_text(text)
    assert proxy.endpoints() == []
    assert _ask(port, b"hello") == b""
    proxy.write_endpoints([f"127.0.0.1:{api}"])
    assert _ask(port, b"hello") == b"hello"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("printf '192.0.2.7 16443\\n'", ["192.0.2.7:16443"]),
        ("printf '192.0.2.9 192.0.2.8 16443\\n'", ["192.0.2.8:16443", "192.0.2.9:16443"]),
        ("printf '\\n'", ["192.0.2.1:16443"]),
    ],
)
def test_the_list_follows_the_clusters_endpoints(node: Node, answer: str, expected: list[str]) -> None:
    node.program("kubectl", f"#!/bin/sh\n{answer}\n")
    proxy.write_endpoints(["192.0.2.1:16443"])
    proxy.refresh("proxy.config")
    assert proxy.endpoints() == expected


def test_a_cluster_that_does_not_answer_is_reported(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    node.program("kubectl", "#!/bin/sh\necho Forbidden >&2; exit 1\n")
    proxy.write_endpoints(["192.0.2.1:16443"])
    proxy.refresh("proxy.config")
    assert capsys.readouterr().out == "failed to retrieve kubernetes endpoints: Forbidden\n"
    assert proxy.endpoints() == ["192.0.2.1:16443"]


@pytest.mark.usefixtures("node")
def test_the_default_arguments_ask_every_half_minute() -> None:
    options = proxy.options()
    assert options.refresh_interval == 30
    assert options.kubeconfig.endswith("/credentials/proxy.config")
