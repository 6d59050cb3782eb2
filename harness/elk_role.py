"""The role elk, rendered without a cluster, and its Elasticsearch, run here with the role's files."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.authority import Authority
from homeserver_logstore.client import Elasticsearch

from harness import rendering
from harness.programs import free_port
from harness.search import elasticsearch_running

# A test has separate addresses and directories.
_NOT_OF_A_TEST = (
    "cluster.name",
    "node.name",
    "network.",
    "http.port",
    "transport.port",
    "path.",
    "readiness.",
)


class Role(rendering.Role):
    """The role, for a home with some variables."""

    def __init__(self, state: Path, **variables: Any) -> None:
        images = {"homeserver-logstore": "localhost/homeserver-logstore:test"}
        super().__init__("elk", state, homeserver_built_images=images, **variables)


@dataclass(frozen=True)
class Store:
    """A running Elasticsearch with the role's configuration.

    Attributes:
        url: Its URL.
        snapshots: The directory for snapshots.
        directory: The directory with its `config`, `data`, `logs` and `output`.
    """

    role: Role
    url: str
    snapshots: Path
    authority: Path
    directory: Path

    def user(self, name: str, password: str = "") -> Elasticsearch:
        """Connect as one of its users."""
        password = password or self.role.value("_elk_passwords")[name]
        return Elasticsearch(self.url, name, password, self.authority)


@contextmanager
def running(state: Path, **variables: Any) -> Iterator[Store]:
    """Run it, with certificates of the home's own CA."""
    made = _Made.of(state, variables)
    with made.one("elasticsearch", {}) as store:
        yield store


@contextmanager
def running_together(
    state: Path, number: int, **variables: Any
) -> Iterator[list[tuple[Store, Callable[[], None]]]]:
    """Run several that form a cluster, each with a function to stop it; the block's end stops all.

    The first two are as on one host.
    """
    made = _Made.of(state, {"elk_elasticsearch_replicas": number, "elk_snapshots_kept": 0, **variables})
    ports = [free_port() for _ in range(number)]
    # Only on a loopback address, because its production checks fail on a machine like this one.
    found: dict[str, object] = {
        "discovery.type": None,
        "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in ports],
    }
    with ExitStack() as all_of_them:
        members = []
        for index, port in enumerate(ports):
            name = f"elasticsearch-{index}"  # like its pod
            member = all_of_them.enter_context(ExitStack())
            own = found | {"node.name": name, "transport.port": port, "node.attr.zone": zone_of(name)}
            members.append((member.enter_context(made.one(name, own)), member.close))
        yield members


def zone_of(name: str) -> str:
    """Return the host that one of several is on."""
    return "attic" if name in ("elasticsearch-0", "elasticsearch-1") else "cellar"


@dataclass(frozen=True)
class _Made:
    """Everything that the role creates for an Elasticsearch, except what is specific to a test."""

    state: Path
    role: Role
    settings: dict[str, object]
    files: dict[str, str]

    @classmethod
    def of(cls, state: Path, variables: dict[str, Any]) -> "_Made":
        role = Role(state, **variables)
        authority = Authority.of(rendering.Role("certificate_authority", state).value)
        authority.issue("elasticsearch", ["elasticsearch", "localhost"], for_clients=True)
        files: dict[str, str] = role.value("_elk_elasticsearch_files")
        settings = {
            name: value
            for name, value in yaml.safe_load(files.pop("elasticsearch.yml")).items()
            if not name.startswith(_NOT_OF_A_TEST)
        }
        return cls(state, role, settings, files)

    @contextmanager
    def one(self, name: str, own: dict[str, object]) -> Iterator[Store]:
        """Run one, with additional settings."""
        snapshots = self.state / "snapshots"
        settings = self.settings | {
            "path.repo": [str(snapshots)],
            "cluster.routing.allocation.disk.threshold_enabled": True,
        }
        java = self.role.value("_elk_elasticsearch_java")
        with elasticsearch_running(self.state / name, settings | own, self.files, "https", java) as engine:
            url = engine.url.replace("127.0.0.1", "localhost")
            yield Store(self.role, url, snapshots, self.state / "secrets/home/ca.crt", engine.directory)
