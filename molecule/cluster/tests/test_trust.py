"""A worker that somebody else controls gets nothing of the founder's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from harness import certificates
from harness.machines import Machines

FOUNDER, BAD, GOOD = "molecule", "molecule-2", "molecule-3"
DATA = "/var/snap/microk8s/current"
TOKENS = f"{DATA}/credentials/cluster-tokens.txt"
CALLBACK = f"{DATA}/credentials/callback-token.txt"
HOST_LABEL = "node-restriction.kubernetes.io/homeserver-host"
# Whatever is asked of its keys, it answers with a request to be an administrator.
OPENSSL = f"""#!/bin/sh
case $1 in
req|pkey) exec /usr/bin/openssl req -new -key {DATA}/certs/kubelet.key -subj /O=system:masters/CN=admin ;;
*) exec /usr/bin/openssl "$@" ;;
esac
"""

pytestmark = pytest.mark.usefixtures("joined")


@dataclass(frozen=True)
class Tricked:
    """A run on a worker that lies.

    Attributes:
        output: what it prints.
        untouched: whether no token was made meanwhile.
        markers: what still says on the worker that joining was interrupted.
        signed: whether the worker has another certificate than before.
    """

    output: str
    untouched: bool
    markers: list[str]
    signed: bool


@pytest.fixture(scope="module")
def tricked(machines: Machines) -> Iterator[Tricked]:
    """Let it say that its join was interrupted, and ask for another certificate than its own."""
    bad, founder = machines.host(BAD), machines.host(FOUNDER)
    made = f"stat --format=%y-%s {TOKENS}"
    before = founder.check_output(made)
    bad.check_output(f"cp --preserve {DATA}/certs/kubelet.crt /root/kubelet.crt")
    bad.check_output(f"touch {DATA}/var/lock/join-in-progress")
    bad.check_output("printf '%%s' %s > /usr/local/bin/openssl && chmod 755 /usr/local/bin/openssl", OPENSSL)
    try:
        certificates.shorten(bad, founder, "kubelet", days=20)
        output = machines.refused("playbooks/microk8s.yml", "--limit", BAD)
        yield Tricked(
            output,
            founder.check_output(made) == before,
            [name for name in bad.file(f"{DATA}/var/lock").listdir() if name == "join-in-progress"],
            certificates.lasts(bad, "kubelet", days=21),
        )
    finally:
        bad.check_output(f"rm -f /usr/local/bin/openssl && mv /root/kubelet.crt {DATA}/certs/kubelet.crt")


def test_a_fake_marker_of_a_join_gets_no_token(tricked: Tricked) -> None:
    assert "joins the cluster" not in tricked.output
    assert tricked.untouched
    assert tricked.markers == []


def test_the_founder_signs_no_other_certificate_than_the_nodes(tricked: Tricked) -> None:
    assert "it sent no public key" in " ".join(tricked.output.split())
    assert not tricked.signed


def test_no_password_of_the_cluster_agents_is_left(machines: Machines) -> None:
    for name in (FOUNDER, BAD, GOOD):
        assert not machines.host(name).file(CALLBACK).exists


@pytest.mark.parametrize("asked", [FOUNDER, GOOD])
def test_no_cluster_agent_answers_a_worker(machines: Machines, asked: str) -> None:
    health = "curl --insecure --silent --max-time 5 https://%s:25000/health"

    assert "OK" in machines.host(asked).check_output(health, "127.0.0.1")
    assert machines.host(BAD).run(health, machines.address(asked)).rc != 0


def _ask(machines: Machines, method: str, node: str, change: object = None) -> str:
    """Ask the API as the worker's kubelet; return the status."""
    body = json.dumps(change or {})
    answered = machines.host(BAD).check_output(
        f"curl --silent --output /dev/null --write-out '%{{http_code}}' --request {method}"
        f" --cacert {DATA}/certs/ca.remote.crt --cert {DATA}/certs/kubelet.crt --key {DATA}/certs/kubelet.key"
        f" --header 'Content-Type: application/merge-patch+json' --data '{body}'"
        f" https://127.0.0.1:16443/api/v1/nodes/{node}"
    )
    return str(answered)


def test_a_worker_cannot_change_what_the_founder_knows_it_to_be(machines: Machines) -> None:
    recorded = {name: node["metadata"]["labels"].get(HOST_LABEL) for name, node in machines.nodes().items()}
    forgotten = {"metadata": {"labels": {HOST_LABEL: None}}}

    assert recorded == {FOUNDER: None, BAD: BAD, GOOD: GOOD}
    assert _ask(machines, "GET", BAD) == "200"
    assert _ask(machines, "PATCH", BAD, forgotten) == "403"
    assert _ask(machines, "DELETE", BAD) == "403"
    assert _ask(machines, "PATCH", GOOD, {"metadata": {"labels": {"a": "b"}}}) == "403"
