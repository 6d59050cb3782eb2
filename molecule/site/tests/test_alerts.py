"""No alert waits for a series that does not exist, unless docs/alerts.md says what it needs."""

from harness import docs, promql
from harness.home import Kubectl, eventually
from harness.prometheus import Prometheus


def test_every_rule_has_its_series(prometheus: Prometheus, kubectl: Kubectl) -> None:
    # By itself it runs each quarter of an hour, and then measures what it keeps.
    kubectl("-n logging create job first-retention --from=cronjob/logstore-retain")
    rules = [rule for group in prometheus.api("rules")["groups"] for rule in group["rules"]]
    conditional = set().union(*docs.conditional_series().values())
    # A recorded series may need hours of others, which are asked for in its own rule.
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}

    def missing() -> list[tuple[str, list[str]]]:
        known = {*prometheus.api("label/__name__/values"), *conditional, *recorded}
        asked = [(rule["name"], sorted(promql.metrics(rule["query"]) - known)) for rule in rules]
        return [(name, series) for name, series in asked if series]

    assert any(rule["type"] == "alerting" for rule in rules)
    # What is counted over minutes comes a while after the installation.
    assert eventually(lambda: not missing(), 180), missing()
    kubectl("-n logging delete job first-retention")
