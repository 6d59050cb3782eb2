"""Elasticsearch goes down while lines are written.

For a minute or more, tests that need no logs can run. test_outage_over.py checks the lines.
"""

from harness.home import Kubectl
from harness.logs import Logs
from harness.outage import Outage


def test_elasticsearch_is_down(outage: Outage, logs: Logs, kubectl: Kubectl) -> None:
    outage.begin(logs, kubectl)

    assert not kubectl.get("-n logging statefulset elasticsearch")["status"].get("readyReplicas")
