"""The program of molecule/apps/wiki runs as its compose file describes it."""

import re
import shlex
from typing import Any

import pytest
import requests

from harness.home import Home, Kubectl, eventually

Facts = dict[str, Any]
# CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID and SETPCAP, as bits of linux/capability.h.
CAPABILITIES = sum(1 << bit for bit in (0, 1, 3, 5, 6, 7, 8))
NAMESPACE = "apps-root"


@pytest.fixture(scope="module")
def facts(home: Home) -> Facts:
    """Return the answer of its page, once another container has written its heartbeat."""
    found: Facts = {}

    def has_answered() -> bool:
        found.update(requests.get(f"https://wiki.{home.domain}/", verify=home.ca, timeout=10).json())
        return found["heartbeat"] is not None

    assert eventually(has_answered, 60), found
    return found


def test_root_has_its_capabilities_alone(facts: Facts) -> None:
    assert (facts["user"], int(facts["capabilities"], 16)) == (0, CAPABILITIES)


def test_root_changes_owners(facts: Facts) -> None:
    assert facts["owns_what_it_chowns"]


def test_it_starts_in_its_directory(facts: Facts) -> None:
    assert facts["directory"] == "/srv/wiki"


def test_a_directory_of_the_server_is_mounted_read_only(facts: Facts) -> None:
    assert facts["media_is_read_only"]


def test_another_container_writes_to_the_same_volume(facts: Facts) -> None:
    assert facts["heartbeat"] < 10


def test_it_finds_its_database_by_the_name_of_the_service(facts: Facts) -> None:
    assert facts["database"]


def test_values_are_those_of_the_file_and_passwords_are_new(facts: Facts) -> None:
    environment = facts["environment"]

    assert environment["GREETING"] == "costs $5 and has {{ braces }}"
    assert re.fullmatch(r"postgres://wiki:[A-Za-z0-9]{32}@db:5432/wiki", environment["DATABASE_URL"])


def test_the_database_accepts_the_password(kubectl: Kubectl, facts: Facts) -> None:
    # By its own address: of connections from its own pod, PostgreSQL trusts those to localhost.
    url = facts["environment"]["DATABASE_URL"].replace("@db:", "@$(hostname -i):")
    query = f'psql "{url}" --tuples-only --no-align --command="select 40 + 2"'

    assert _run(kubectl, "wiki-db", "sh", "-c", query).strip() == "42"


def test_the_database_has_its_shared_memory(kubectl: Kubectl) -> None:
    shared = _run(kubectl, "wiki-db", "df", "--output=size", "--block-size=1M", "/dev/shm")

    assert shared.split()[-1] == "32"


def test_apps_of_other_programs_do_not_reach_the_database(kubectl: Kubectl) -> None:
    pods = kubectl.get(f"pods -n {NAMESPACE} -l app.kubernetes.io/name=wiki-db")["items"]
    address = pods[0]["status"]["podIP"]
    program = (
        f"import socket; s = socket.socket(); s.settimeout(3); print(s.connect_ex(('{address}', 5432)) == 0)"
    )

    assert _run(kubectl, "wiki-worker", "python3", "-c", program).strip() == "True"
    assert _run(kubectl, "hello", "python3", "-c", program, namespace="apps").strip() == "False"


def test_its_namespace_allows_root_but_not_the_network_of_the_server(kubectl: Kubectl) -> None:
    labels = kubectl.get(f"namespace {NAMESPACE}")["metadata"]["labels"]
    overrides = """--overrides='{"spec": {"hostNetwork": true}}'"""
    refused = kubectl(f"run -n {NAMESPACE} intruder --image=none --dry-run=server {overrides} 2>&1 || true")

    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert 'violates PodSecurity "baseline' in refused


def _run(kubectl: Kubectl, app: str, *command: str, namespace: str = NAMESPACE) -> str:
    return kubectl(f"exec -n {namespace} deployment/{app} -- {shlex.join(command)}")
