"""A real Kubernetes API server on this machine, without nodes and controllers."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from harness.manifests import Object
from harness.programs import free_port, kubernetes
from harness.tls import self_signed
from harness.waiting import wait_until

_APPLY = "application/apply-patch+yaml"
_LAST_NAMESPACE = "/api/v1/namespaces/default"  # of those that it creates as it starts


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Attributes:
        url: Its URL.
        authority: The certificate to trust.
        restart: Restarts it, with further flags.
    """

    url: str
    authority: Path
    restart: Callable[..., None]
    _store: str
    _session: requests.Session = field(default_factory=requests.Session)

    @property
    def kubeconfig(self) -> str:
        """The text of a kubeconfig of its administrator."""
        cluster = {"server": self.url, "certificate-authority": str(self.authority)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "home", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": "admin"}}],
            "contexts": [{"name": "home", "context": {"cluster": "home", "user": "admin"}}],
            "current-context": "home",
        }
        return json.dumps(content)

    def apply(self, path: str, obj: Object, *, dry: bool = False) -> requests.Response:
        """Create or change an object at its path, such as `/api/v1/namespaces/a`; if dry, only judge it."""
        query = {"fieldManager": "test"} | _how(dry=dry)
        return self._send("PATCH", path, "admin", json=obj, params=query, headers={"Content-Type": _APPLY})

    def create(self, path: str, obj: Object, token: str, *, dry: bool = False) -> requests.Response:
        """Create an object in a collection, as the user with that token; a dry run only judges it."""
        return self._send("POST", path, token, json=obj, params=_how(dry=dry))

    def get(self, path: str) -> Object:
        """Return an object."""
        answer = self._send("GET", path, "admin")
        assert answer.ok, answer.text
        found: Object = answer.json()
        return found

    def stored(self, path: str) -> bytes:
        """Return what etcd has of an object, by its path there, such as `secrets/default/a`."""
        key = base64.b64encode(f"/registry/{path}".encode()).decode()
        answer = requests.post(f"{self._store}/v3/kv/range", json={"key": key}, timeout=30).json()
        (entry,) = answer["kvs"]
        return base64.b64decode(entry["value"])

    def wait_for(self, path: str, log: Path | None = None) -> None:
        """Wait until it serves a path; say with its log that it does not."""

        def is_served() -> bool:
            try:
                self.get(path)
            except (AssertionError, OSError):
                return False
            return True

        wait_until(is_served, lambda: log.read_text()[-3000:] if log else path)

    def _send(self, method: str, path: str, token: str, **how: Any) -> requests.Response:
        how["headers"] = {"Authorization": f"Bearer {token}"} | how.get("headers", {})
        return self._session.request(method, self.url + path, verify=str(self.authority), timeout=30, **how)


def _how(*, dry: bool) -> dict[str, str]:
    return {"dryRun": "All", "fieldValidation": "Strict"} if dry else {}


@contextmanager
def api_server(directory: Path, users: dict[str, str], *flags: str) -> Iterator[ApiServer]:
    """Run it until the block ends; everybody may do everything that admission allows.

    Args:
        directory: For all its files.
        users: The names of users by their token, besides `admin`.
        flags: Further flags.
    """
    programs = kubernetes()
    etcd, peer, port = (free_port() for _ in range(3))
    program = directory / "kube-apiserver"  # it looks at its own name
    program.symlink_to(programs / "kubernetes")
    tokens = "".join(f"{token},{name},{name}\n" for token, name in (users | {"admin": "admin"}).items())
    (directory / "tokens").write_text(tokens)
    key = self_signed(directory, "localhost")
    store = [
        str(programs / "etcd"),
        f"--data-dir={directory}/etcd",
        f"--listen-client-urls=http://127.0.0.1:{etcd}",
        f"--advertise-client-urls=http://127.0.0.1:{etcd}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-cluster=default=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]
    server = [
        str(program),
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=192.0.2.1",
        f"--secure-port={port}",
        f"--tls-cert-file={key}",
        f"--tls-private-key-file={key}",
        f"--token-auth-file={directory}/tokens",
        "--authorization-mode=AlwaysAllow",
        "--allow-privileged",
        "--disable-admission-plugins=ServiceAccount",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.152.183.0/24",
        *flags,
    ]
    with ExitStack() as both:
        log = both.enter_context((directory / "log").open("w"))

        def start(command: list[str]) -> subprocess.Popen[bytes]:
            process = both.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            both.callback(process.kill)
            return process

        def restart(*more: str) -> None:
            stopped = processes.pop()
            stopped.kill()
            stopped.wait()
            processes.append(start([*server, *more]))
            running.wait_for(_LAST_NAMESPACE, directory / "log")

        processes = [start(store), start(server)]
        running = ApiServer(f"https://127.0.0.1:{port}", key, restart, f"http://127.0.0.1:{etcd}")
        running.wait_for(_LAST_NAMESPACE, directory / "log")
        yield running
