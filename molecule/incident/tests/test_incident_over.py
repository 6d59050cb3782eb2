"""The end of the incident in test_incident.py is reported too.

The alert covers five minutes, during which other tests can run.
"""

import pytest

from harness.incident import Story, reported
from harness.recorder import Recorder


def test_the_owner_is_notified_of_the_end(
    known: Story, recorder: Recorder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert known.fixed, "run test_incident.py first"
    recorder.wait(lambda: bool(reported(recorder, "resolved", known.fixed)), 420)

    (fired, over) = (reported(recorder, status, known.released)[0] for status in ("firing", "resolved"))
    with capfd.disabled():
        print(  # noqa: T201
            f"\nreported {fired.at - known.released:.0f} s after the release, "
            f"over {over.at - known.fixed:.0f} s after the fix; {known.answers}"
        )
    assert {alert["labels"]["browser"] for alert in over.content["alerts"]} == {"safari"}
