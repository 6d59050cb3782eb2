"""Faults are injected, all at the same time, because a rule waits for a minute or more.

During that minute, other tests can run. test_alert_drills_fired.py checks the messages.
"""

import requests
from testinfra.host import Host

from harness.drills import VOLUMES, Past
from harness.home import Home, eventually


def test_two_volumes_are_full(begun: Past, host: Host) -> None:
    assert begun.injected
    used = host.check_output(f"df --output=pcent {' '.join(VOLUMES)}").split()[1:]

    assert all(int(share.rstrip("%")) > 90 for share in used), used


def test_an_app_does_not_respond(begun: Past, home: Home) -> None:
    assert begun.injected

    def status() -> int:
        return requests.get(f"https://hello.{home.domain}/", verify=home.ca, timeout=10).status_code

    assert eventually(lambda: status() != 200, seconds=30)
