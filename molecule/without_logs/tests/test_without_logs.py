"""Without logs and traces everything else works, with half of the memory."""

import requests
from testinfra.host import Host

from harness.home import Home, Kubectl

MOST_MIB = 2560  # of the 4 GB of such a server


def test_no_logging_or_tracing_runs(kubectl: Kubectl) -> None:
    namespaces = {pod["metadata"]["namespace"] for pod in kubectl.get("pods -A")["items"]}

    assert namespaces.isdisjoint({"logging", "logging-host", "tracing"})
    assert namespaces > {"apps", "monitoring", "traefik"}


def test_a_page_is_served(home: Home) -> None:
    assert requests.get(f"https://hello.{home.domain}/", verify=home.ca, timeout=10).status_code == 200


def test_it_needs_little_memory(host: Host) -> None:
    lines = host.run("cat /proc/[0-9]*/smaps_rollup").stdout.splitlines()  # some processes exit meanwhile
    kib = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    assert 0 < kib < MOST_MIB * 1024
