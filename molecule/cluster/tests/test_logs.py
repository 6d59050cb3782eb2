"""With logs on, what happens on each machine is found by the machine's name."""

import uuid

import pytest

from harness.logs import Logs, field
from harness.machines import Machines

NODES = ("molecule", "molecule-2", "molecule-3")
WORKERS = "molecule-2 molecule-3"


pytestmark = pytest.mark.usefixtures("three")


@pytest.fixture(scope="module")
def logs(machines: Machines) -> Logs:
    """Switch logs on, with their volume on the founder."""
    machines.kubectl(f"cordon {WORKERS}")
    try:
        run = machines.home.play("playbooks/stages/logging.yml")
    finally:
        machines.kubectl(f"uncordon {WORKERS}")
    assert run.returncode == 0, run.stdout + run.stderr
    return Logs(machines.host(machines.home.name), machines.home, machines.kubectl)


@pytest.mark.usefixtures("logs")
def test_every_node_has_one_filebeat(machines: Machines) -> None:
    assert sorted(machines.pods("logging-host", "filebeat").values()) == sorted(NODES)


@pytest.mark.parametrize("node", NODES)
def test_a_request_to_a_machine_is_found(machines: Machines, logs: Logs, node: str) -> None:
    mark = uuid.uuid4().hex
    assert machines.ask(node, f"logs/{mark}") == "200"

    (line,) = logs.wait(f'user_agent.original:"logs/{mark}"', "logs-traefik")

    assert (field(line, "host.name"), field(line, "kubernetes.node.name")) == (node, node)


@pytest.mark.parametrize("node", NODES)
def test_a_machines_own_log_is_found(machines: Machines, logs: Logs, node: str) -> None:
    mark = uuid.uuid4().hex
    machines.host(node).check_output("logger --tag drill %s", f"mark {mark}")

    (line,) = logs.wait(f'message:"{mark}"', "logs-host")

    assert (field(line, "host.name"), field(line, "service.name")) == (node, "drill")
