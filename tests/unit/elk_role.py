"""The role elk, rendered without a cluster, and its Elasticsearch with its own files on this machine."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from homeserver_logstore.client import Elasticsearch

from tests.programs import free_port
from tests.search import elasticsearch_running
from tests.unit import rendering
from tests.unit.rendering import ROOT

ISSUE = [
    {
        "hosts": "control_plane[0]",
        "gather_facts": False,
        "tasks": [
            {
                "ansible.builtin.include_role": {
                    "name": "homeserver.stack.certificate_authority",
                    "tasks_from": "issue.yml",
                },
                "vars": {
                    "certificate_authority_name": "elasticsearch",
                    "certificate_authority_dns_names": ["elasticsearch", "localhost"],
                    "certificate_authority_for_clients": True,
                },
            }
        ],
    }
]
# A test has addresses and directories of its own.
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
    """The role, for a home that sets some variables."""

    def __init__(self, state: Path, **variables: Any) -> None:
        images = {"homeserver-logstore": "localhost/homeserver-logstore:test"}
        super().__init__("elk", state, homeserver_built_images=images, **variables)


@dataclass(frozen=True)
class Store:
    """A running Elasticsearch of the role's.

    Attributes:
        url: Where it is.
        snapshots: Where it may keep snapshots.
    """

    role: Role
    url: str
    snapshots: Path
    authority: Path

    def user(self, name: str, password: str = "") -> Elasticsearch:
        """Ask as one of its users."""
        password = password or self.role.value("_elk_passwords")[name]
        return Elasticsearch(self.url, name, password, self.authority)


@contextmanager
def running(state: Path, **variables: Any) -> Iterator[Store]:
    """Run it, with certificates of the home's own authority."""
    made = _Made.of(state, variables)
    with made.one("elasticsearch", {}) as store:
        yield store


@contextmanager
def running_together(
    state: Path, number: int, **variables: Any
) -> Iterator[list[tuple[Store, Callable[[], None]]]]:
    """Run several that find each other, each with what stops it; all are stopped when the block ends."""
    made = _Made.of(state, {"elk_elasticsearch_replicas": number, "elk_snapshots_kept": 0, **variables})
    ports = [free_port() for _ in range(number)]
    # On a loopback address alone, else it insists on what a machine like this one may not have.
    found: dict[str, object] = {
        "discovery.type": None,
        "discovery.seed_hosts": [f"127.0.0.1:{port}" for port in ports],
    }
    with ExitStack() as all_of_them:
        members = []
        for index, port in enumerate(ports):
            name = f"elasticsearch-{index}"  # as its pod
            member = all_of_them.enter_context(ExitStack())
            own = found | {"node.name": name, "transport.port": port}
            members.append((member.enter_context(made.one(name, own)), member.close))
        yield members


@dataclass(frozen=True)
class _Made:
    """All that the role makes for an Elasticsearch, but for what a test has of its own."""

    state: Path
    role: Role
    settings: dict[str, object]
    files: dict[str, str]

    @classmethod
    def of(cls, state: Path, variables: dict[str, Any]) -> "_Made":
        role = Role(state, **variables)
        playbook = state / "issue.yml"
        playbook.write_text(json.dumps(ISSUE))
        command = ["ansible-playbook", "-i", "tests/inventories/defaults", str(playbook)]
        command += ["-e", json.dumps({"homeserver_state_dir": str(state)})]
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        files: dict[str, str] = role.value("_elk_elasticsearch_files")
        settings = {
            name: value
            for name, value in yaml.safe_load(files.pop("elasticsearch.yml")).items()
            if not name.startswith(_NOT_OF_A_TEST)
        }
        return cls(state, role, settings, files)

    @contextmanager
    def one(self, name: str, own: dict[str, object]) -> Iterator[Store]:
        """Run one, with settings of its own."""
        snapshots = self.state / "snapshots"
        settings = self.settings | {
            "path.repo": [str(snapshots)],
            "cluster.routing.allocation.disk.threshold_enabled": True,
        }
        with elasticsearch_running(self.state / name, settings | own, self.files, "https") as engine:
            url = engine.url.replace("127.0.0.1", "localhost")
            yield Store(self.role, url, snapshots, self.state / "secrets/home/ca.crt")
