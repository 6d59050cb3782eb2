"""The network policies allow the connections of connections.yml and no others; the diagram shows them."""

import itertools
import re
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.components import components

from harness.manifests import Object, of, template_of
from harness.policies import ANYWHERE, CONNECTIONS, Rule, rules, table_rules
from harness.roles import ROOT

DIAGRAM = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs/architecture.md").read_text(), re.DOTALL)[0]

# Connections of the defaults that an inventory does not have.
WITHOUT = {
    "defaults": re.compile(r"(?!)"),
    "several": re.compile(r"(?!)"),
    # With ACME, devices trust the home already.
    "everything_on": re.compile(r"welcome/.*|\S+ out welcome/.*"),
    # No logs and therefore no traces, no apps, no whoami.
    "everything_off": re.compile(
        r"(apps/hello|(logging|logging-host|tracing)/\S+) .*"
        r"|\S+ out ((apps|logging|tracing|welcome)/\S+|traefik/whoami) .*"
        r"|(traefik/whoami|welcome/\S+) .*"
        r"|monitoring/grafana out (logging|tracing)/.*|monitoring/prometheus in tracing/.*"
    ),
}

# Pods with another name in the diagram.
IN_THE_DIAGRAM = {"cluster-state": "cluster"}

# Connections that the diagram leaves out, each with its purpose.
INFRASTRUCTURE = {
    # Prometheus scrapes the monitoring and storage components, including Alertmanager and Grafana.
    *(
        ("prometheus", scraped)
        for scraped in (
            "alertmanager",
            "blackbox-exporter",
            "cluster",
            "collector",
            "elasticsearch-exporter",
            "grafana",
            "jaeger",
            "kube-state-metrics",
            "log-metrics",
            "prometheus",
        )
    ),
    # Jobs and exporters around Elasticsearch, and its nodes among themselves.
    ("elasticsearch", "elasticsearch"),
    ("elasticsearch-exporter", "elasticsearch"),
    ("log-metrics", "elasticsearch"),
    ("log-metrics", "filebeat"),
    ("logstore", "elasticsearch"),
    ("kibana-objects", "kibana"),
    # Without Logstash.
    ("filebeat", "elasticsearch"),
    # After a deployment, a marked line is traced to Elasticsearch.
    ("arrival", "elasticsearch"),
    ("arrival", "filebeat"),
    ("arrival", "logstash"),
    # Grafana shows and silences alerts. Alertmanager has a full disk cleaned up, and Prometheus restarted.
    ("grafana", "alertmanager"),
    ("alertmanager", "receiver"),
    ("alertmanager", "prometheus"),
}

# Apps of an owner, who are not drawn.
OF_EVERYTHING_ON = {
    *itertools.product(("blog", "blog-clean"), ("blog", "blog-clean", "db")),
    *itertools.product(("traefik",), ("blog", "blog-clean", "game")),
    ("second", "db"),
    ("traefik", "wiki"),
    *itertools.product(("wiki", "wiki-db", "wiki-worker"), ("collector",)),
    *itertools.product(("blog", "blog-clean", "db", "game"), ("collector",)),
}


def _expected(inventory: str) -> list[Rule]:
    tables = [CONNECTIONS["defaults"], CONNECTIONS.get(inventory, {}) if inventory != "defaults" else {}]
    listed = [rule for table in tables for rule in table_rules(table)]
    return [rule for rule in listed if not WITHOUT[inventory].fullmatch(" ".join(rule))]


def _named(rule: Rule) -> bool:
    """Return whether both ends are named pods of this stack."""
    ends = (rule.pod, rule.peer)
    return all("/" in end and "*" not in end and not end.startswith(("kube-", "192.")) for end in ends)


def _edge(rule: Rule) -> tuple[str, str]:
    here, there = (end.partition("/")[2] for end in (rule.pod, rule.peer))
    here, there = IN_THE_DIAGRAM.get(here, here), IN_THE_DIAGRAM.get(there, there)
    return (here, there) if rule.direction == "out" else (there, here)


def _drawn() -> Iterator[tuple[str, str]]:
    """Return the arrows of the diagram; an arrow to a group counts for each of its pods."""
    groups = {
        name: re.findall(r"^\s*(\w+)(?:\[|$)", content, re.MULTILINE)
        for name, content in re.findall(
            r"^\s*subgraph (\w+)\n(.*?)^\s*end$", DIAGRAM, re.MULTILINE | re.DOTALL
        )
    }
    for line in DIAGRAM.splitlines():
        if "-->" not in line:
            continue
        parts = re.sub(r"-- [^>]*? -->", "-->", re.sub(r"\[.*?\]|\(.*?\)+", "", line)).split("-->")
        ends = [part.strip() for part in parts]
        for start, end in itertools.pairwise(ends):
            yield from ((start, each) for each in groups.get(end, [end]))


def test_the_policies_allow_exactly_the_connections_of_the_table(
    objects: list[Object], inventory: str
) -> None:
    assert sorted(rules(objects)) == sorted(_expected(inventory))


def test_every_policy_selects_existing_pods(objects: list[Object]) -> None:
    kinds = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
    labels = [
        (workload["metadata"]["namespace"], template_of(workload)["metadata"]["labels"])
        for workload in of(objects, *kinds)
    ]

    for policy in of(objects, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"].get("matchLabels", {})
        assert (
            any(
                namespace == policy["metadata"]["namespace"] and selector.items() <= each.items()
                for namespace, each in labels
            )
            or not selector
        ), policy["metadata"]


@pytest.mark.parametrize("inventory_name", ["defaults", "everything_on"])
def test_both_ends_agree(inventory_name: str) -> None:
    """A pod that accepts a connection is matched by a pod that may open it."""
    allowed = _expected(inventory_name)
    for rule in allowed:
        if rule.direction == "in" and _named(rule) and rule.pod != rule.peer:
            whole = rule.pod.partition("/")[0] + "/*"
            assert any(
                other.direction == "out"
                and other.pod == rule.peer
                and other.peer in (rule.pod, whole, ANYWHERE)
                for other in allowed
            ), rule


def test_traefik_reaches_each_page_and_nothing_beside_it(objects_of: Callable[[str], list[Object]]) -> None:
    routed = {endpoint for declared in components().values() for endpoint in declared.get("routed", [])}
    opened = {
        f"{rule.peer.partition('/')[2]}:{rule.port}"
        for rule in rules(objects_of("defaults"))
        if rule.pod == "traefik/traefik" and rule.direction == "out" and _named(rule)
    }

    assert opened == routed | {"collector:4318", "whoami:8080"}


def test_the_diagram_shows_every_connection() -> None:
    connections = {
        _edge(rule) for name in CONNECTIONS for rule in table_rules(CONNECTIONS[name]) if _named(rule)
    }

    assert connections - set(_drawn()) - INFRASTRUCTURE - OF_EVERYTHING_ON == set()
    assert connections >= INFRASTRUCTURE


def test_every_arrow_is_a_connection() -> None:
    connections = {
        _edge(rule) for name in CONNECTIONS for rule in table_rules(CONNECTIONS[name]) if _named(rule)
    }
    # Ends without a pod here, or open to many.
    open_ended = {
        ("browser", "traefik"),
        ("traefik", "cluster"),  # in one group with Traefik's backends
        ("traefik", "nas"),
        ("alertmanager", "people"),
        ("prometheus", "traefik"),
        ("prometheus", "hello"),
        ("prometheus", "exporter"),
        ("control", "host"),
    }

    assert set(_drawn()) - connections == open_ended
