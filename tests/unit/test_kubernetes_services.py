"""A component is waited for until it answers as expected."""

from typing import cast

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes import services
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.cluster import (
    Cluster,
    UnreachableError,
)
from ansible_collections.homeserver.stack.plugins.module_utils.kubernetes.waiting import ApplicationError


class FakeCluster:
    """Answers with one text after the other, and then with the last one."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, ...]] = []

    def ask(self, *asked: str) -> str:
        """Answer."""
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def _wait(cluster: FakeCluster, timeout: float) -> None:
    services.wait_for_answer(cast(Cluster, cluster), "monitoring/prometheus:9090", "/rules", "new", timeout)


def test_it_is_asked_again_until_it_answers_as_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    cluster = FakeCluster(UnreachableError("down"), "old rules", "new rules")

    _wait(cluster, timeout=60)

    assert cluster.asked == [("monitoring", "prometheus:9090", "/rules")] * 3


@pytest.mark.parametrize("answer", ["old rules", UnreachableError("old rules")])
def test_the_last_answer_is_told(answer: str | Exception) -> None:
    with pytest.raises(
        ApplicationError, match="did not answer /rules with 'new' within 0 s, but with: old rules"
    ):
        _wait(FakeCluster(answer), timeout=0)
