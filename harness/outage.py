"""An outage of Elasticsearch that lasts while other tests run."""

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from harness.home import Kubectl, eventually
from harness.logs import Logs
from harness.shipping import count, write_lines

# Ten minutes prove no more than this, and would be too slow for every change; set them if you have the time.
SECONDS = int(os.environ.get("HOMESERVER_OUTAGE_SECONDS", "60"))
LINES = 50_000


@dataclass
class Outage:
    """The state of the outage.

    Attributes:
        marks: those of the lines that are written while it is down, and of those that are written afterwards.
        began: when it was down; 0 before.
        restore: starts Elasticsearch, when it is closed, unless it runs already.
    """

    marks: list[str] = field(default_factory=list)
    began: float = 0
    restore: ExitStack = field(default_factory=ExitStack)

    def begin(self, logs: Logs, kubectl: Kubectl) -> None:
        """Stop Elasticsearch as soon as the first line has arrived."""
        self.marks.append(write_lines(kubectl, LINES, SECONDS))
        assert eventually(lambda: count(logs, self.marks[0]) > 0, 60)
        self.restore.callback(kubectl, "-n logging scale statefulset elasticsearch --replicas=1")
        kubectl("-n logging scale statefulset elasticsearch --replicas=0")
        pods = "-n logging pods -l app.kubernetes.io/name=elasticsearch"
        kubectl(f"wait {pods} --for=delete --timeout=120s")
        self.began = time.time()

    def end(self, logs: Logs, kubectl: Kubectl) -> None:
        """Start Elasticsearch once it was down for long enough, and write as many lines again meanwhile."""
        time.sleep(max(0, self.began + SECONDS - time.time()))
        self.restore.close()
        self.marks.append(write_lines(kubectl, LINES, SECONDS))
        kubectl("-n logging rollout status statefulset elasticsearch --timeout=300s")
        # It is ready some seconds before it has opened its indices.
        assert eventually(lambda: logs.ask("_cluster/health")["status"] != "red", 60)
