"""The incident of the scenario with this name: its state from test to test."""

from collections import Counter
from dataclasses import dataclass, field

from harness.recorder import Message, Recorder

ALERT = "AppErrorsByBrowser"


@dataclass
class Story:
    """The events so far.

    Attributes:
        answers: the number of each response, by browser.
        released: when the faulty release was ready, in seconds since the epoch.
        alert: the message to the owner.
        trace: the trace of a failed request.
        fixed: when the next release was ready.
    """

    answers: dict[str, Counter[str]] = field(default_factory=dict)
    released: float = 0
    alert: dict[str, str] = field(default_factory=dict)
    trace: str = ""
    fixed: float = 0

    def since(self, before: dict[str, Counter[str]], browser: str) -> Counter[str]:
        """Return a browser's responses since an earlier count."""
        return self.answers[browser] - before[browser]

    def counted(self) -> dict[str, Counter[str]]:
        """Count the responses."""
        return {browser: Counter(answers) for browser, answers in self.answers.items()}


def reported(recorder: Recorder, status: str, since: float) -> list[Message]:
    """Return the messages with this status about the incident since a time, in seconds since the epoch."""
    return [
        message
        for message in recorder.of("/alerts")
        if message.at > since
        and message.content["status"] == status
        and message.content["groupLabels"]["alertname"] == ALERT
    ]
