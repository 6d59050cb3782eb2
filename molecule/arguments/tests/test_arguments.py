"""A wrong flag is named, also by the next run, and one run with the right ones mends all."""

import json
import re
import time
from typing import Any

from testinfra.host import Host

from harness.home import Home

KUBELITE = "snap.microk8s.daemon-kubelite.service"
# MicroK8s' API answers for some seconds in each attempt to start with a flag like this.
WRONG = "--no-such-pods"
OTHER_NAME = "other.example"


def _play(home: Home, variables: dict[str, Any], *arguments: str) -> tuple[int, str]:
    run = home.play("playbooks/microk8s.yml", "-e", json.dumps(variables), *arguments)
    return run.returncode, run.stdout + run.stderr


def _fails(home: Home) -> str:
    option = "microk8s_extra_kubelet_args"
    code, output = _play(home, {option: {**home.variables.get(option, {}), WRONG: "1"}})
    assert code != 0
    assert f"The service {KUBELITE} does not run." in output
    assert f"there is no flag {WRONG} -> remove it from the microk8s_extra_*_args" in output
    return output


def test_a_wrong_flag_is_named(home: Home) -> None:
    _fails(home)


def test_it_is_named_again_by_a_run_that_changes_nothing(home: Home) -> None:
    assert set(re.findall(r"changed=(\d+)", _fails(home))) == {"0"}


def test_one_run_mends_it_and_adds_a_name(home: Home, host: Host) -> None:
    """The API server restarts for both, the flags and the name."""
    code, output = _play(home, {"microk8s_extra_sans": [OTHER_NAME]})
    served = "openssl s_client -connect 127.0.0.1:16443 </dev/null 2>/dev/null"

    assert code == 0, output
    assert f"DNS:{OTHER_NAME}" in host.check_output(f"{served} | openssl x509 -noout -ext subjectAltName")
    assert host.check_output(f"systemctl is-active {KUBELITE}") == "active"


def test_a_dry_run_does_not_wait_for_a_stopped_one(home: Home, host: Host) -> None:
    host.check_output("/snap/bin/microk8s stop")
    try:
        started = time.monotonic()
        code, output = _play(home, {"microk8s_extra_sans": [OTHER_NAME]}, "--check")

        assert code == 0, output
        assert time.monotonic() - started < 45
    finally:
        host.check_output("/snap/bin/microk8s start")
