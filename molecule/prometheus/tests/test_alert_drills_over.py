"""The end of each fault in test_alert_drills.py is reported too, once and grouped, and nothing else.

This takes minutes, during which other tests can run.
"""

import re
import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

from harness.drills import OVER, VOLUMES, Drill, Past
from harness.home import ROOT, Kubectl
from harness.recorder import Recorder

each_drill = pytest.mark.parametrize("name", ["volumes", "app", "pod"])


@pytest.fixture(scope="module")
def over(host: Host, past: Past, drills: dict[str, Drill]) -> Iterator[Past]:
    """The end of all faults was reported."""
    past.recorder.wait(lambda: past.reported(drills, "resolved"), OVER)
    time.sleep(20)  # time in which it would be reported again
    yield past
    host.run(f"umount {' '.join(VOLUMES)}; rmdir {' '.join(VOLUMES)}")


@each_drill
def test_the_end_is_reported_once_and_grouped(over: Past, drills: dict[str, Drill], name: str) -> None:
    assert [values for _, values in drills[name].messages(over.recorder, "resolved")] == [drills[name].values]


def test_the_dead_mans_switch_is_called_repeatedly(over: Past) -> None:
    assert len(over.recorder.of("/watchdog")) >= 3


def test_nothing_else_was_reported(over: Past, drills: dict[str, Drill]) -> None:
    since = min(over.injected.values())
    messages = [message for message in over.recorder.of("/alerts") if message.at > since]

    names = {message.content["groupLabels"]["alertname"] for message in messages}

    assert names - over.others == {drill.alert for drill in drills.values()}


@pytest.mark.usefixtures("over")
def test_a_manual_alert_is_reported(kubectl: Kubectl, recorder: Recorder) -> None:
    (line,) = re.findall(r"^kubectl (.* alert add .*)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)
    kubectl(line)

    recorder.wait(
        lambda: "Test" in {m.content["groupLabels"]["alertname"] for m in recorder.of("/alerts")}, 30
    )
