"""A newer revision in the channel of MicroK8s is found, installed unless it did not work, and told."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import patches, snapd
from ansible_collections.homeserver.stack.plugins.modules import microk8s_info

from harness.rendering import ROOT, Role
from harness.snapd import answering

DAY = 24 * 3600
HERE = {"name": "microk8s", "version": "v1.36.3", "revision": "8001", "tracking-channel": "1.36/stable"}
OFFER = {"revision": "8002", "version": "v1.36.4", "released-at": "2026-11-20T08:09:10.123456Z"}
RELEASED = 1795162150.0
METRIC = "homeserver_patch_released_timestamp_seconds"
LABELS = 'version="v1.36.4",revision="8002",refused="{}"'


def _answers(here: dict[str, str], offer: dict[str, str]) -> dict[str, Any]:
    channels = {"1.35/stable": {}, "1.36/stable": offer}
    return {
        "/v2/system-info": {"version": "2.68"},
        "/v2/snaps": [{"name": "core22", "version": "1", "revision": "1"}, HERE | here],
        "/v2/find?name=microk8s": [{"name": "microk8s", "channels": channels}],
    }


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What the module returns of a machine, and of the store."""
    monkeypatch.setattr(patches, "REFUSED", tmp_path / "refused.json")
    monkeypatch.setattr("time.time", lambda: RELEASED + 12.5 * DAY)

    def tell(here: dict[str, str] | None = None, offer: dict[str, str] | None = None) -> dict[str, Any]:
        answers = _answers(here or {}, OFFER | (offer or {}))
        monkeypatch.setattr(snapd, "request", lambda path, **_: answers[path])
        return microk8s_info._patch(snapd.snaps(), wanted=True)

    return tell


PATCH = {"revision": "8002", "version": "v1.36.4", "released": RELEASED, "refused": False, "days": 12}


@pytest.mark.parametrize(
    ("here", "offer", "found"),
    [
        ({}, {}, PATCH),
        ({"revision": "8002"}, {}, {}),
        # The store withdrew it, or gives it to some machines only.
        ({"revision": "10000"}, {}, {}),
        ({"revision": "999"}, {}, PATCH),
        # Of a bundle without and with an assertion.
        ({"revision": "x1", "tracking-channel": ""}, {}, {}),
        ({"revision": "8001", "tracking-channel": ""}, {}, {}),
        ({}, {"released-at": "2026-11-20T09:09:10+01:00"}, PATCH),
    ],
)
def test_a_newer_revision_of_its_channel_is_found(
    told: Callable[..., dict[str, Any]], here: dict[str, str], offer: dict[str, str], found: dict[str, Any]
) -> None:
    assert told(here, offer) == {"patch": found, "silent_store": ""}


@pytest.mark.parametrize(("revision", "refused"), [("8002", True), ("8001", False)])
def test_only_the_revision_that_was_taken_back_is_refused(
    told: Callable[..., dict[str, Any]], revision: str, refused: bool
) -> None:
    patches.REFUSED.write_text(json.dumps({"revision": revision, "failure": "x"}))

    assert told()["patch"]["refused"] is refused


@pytest.mark.parametrize("text", ["", "{}", "[", "null"])
def test_a_broken_record_refuses_nothing(told: Callable[..., dict[str, Any]], text: str) -> None:
    patches.REFUSED.write_text(text)

    assert told()["patch"] == PATCH


@pytest.mark.parametrize(
    ("here", "offer", "why"),
    [
        (
            {"tracking-channel": "1.40/stable"},
            {},
            "the store has no '1.40/stable' for microk8s in 1.40/stable",
        ),
        ({"tracking-channel": "1.35/stable"}, {}, "the store has no 'revision' for microk8s in 1.35/stable"),
        ({}, {"released-at": "yesterday"}, "the store released a revision at 'yesterday'"),
    ],
)
def test_an_unexpected_answer_is_told(
    told: Callable[..., dict[str, Any]], here: dict[str, str], offer: dict[str, str], why: str
) -> None:
    assert told(here, offer) == {"patch": {}, "silent_store": why}


def test_the_store_is_only_asked_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapd, "request", lambda path, **_: _answers({}, OFFER)[path])
    snaps = snapd.snaps()
    monkeypatch.setattr(snapd, "request", lambda path, **_: pytest.fail(path))

    assert microk8s_info._patch(snaps, wanted=False) == {"patch": {}, "silent_store": ""}


def _run(program: Path, answers: dict[str, Any], refused: str = "") -> tuple[int, str, str]:
    """Run the program as its unit does, beside a daemon; return its exit code, output and metric."""
    os.chdir(program)
    for file in Role("microk8s", program).value("_microk8s_patches_files"):
        text = file["content"].replace(snapd.SOCKET, "s").replace(str(patches.REFUSED), "refused.json")
        path = program / "homeserver_patches" / Path(file["path"]).name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (program / "refused.json").write_text(json.dumps({"revision": refused}))
    units = {unit["name"]: unit for unit in Role("microk8s", program).value("_microk8s_units")}
    content = units["homeserver-patches.service"]["content"]
    (command,) = [line for line in content.splitlines() if line.startswith("ExecStart=")]
    arguments = command.split()[1:-1]
    assert arguments[0] == "python3"
    with answering("s", answers):
        run = subprocess.run(
            [sys.executable, *arguments[1:], "metric.prom"],
            cwd=program,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.stderr == ""
    metric = program / "metric.prom"
    return run.returncode, run.stdout, metric.read_text() if metric.exists() else ""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, in which a socket has a short path."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_program_tells_a_patch_and_writes_its_metric(program: Path) -> None:
    days = int((time.time() - RELEASED) // DAY)

    code, told, metric = _run(program, _answers({}, OFFER))

    assert (code, told) == (0, f"v1.36.3; v1.36.4 (revision 8002) waits since {days} days\n")
    assert metric.splitlines()[2:] == [f"{METRIC}{{{LABELS.format('false')}}} 1795162150"]
    assert (program / "metric.prom").stat().st_mode & 0o777 == 0o644


def test_the_program_tells_that_a_patch_was_taken_back(program: Path) -> None:
    _, told, metric = _run(program, _answers({}, OFFER), refused="8002")

    assert told.endswith("days, and was taken back\n")
    assert LABELS.format("true") in metric


@pytest.mark.parametrize(
    ("here", "told"),
    [
        ({"revision": "8002"}, "v1.36.3, the newest of 1.36/stable\n"),
        ({"revision": "x1", "tracking-channel": ""}, "v1.36.3, of a bundle\n"),
        ({"name": "other"}, "not installed\n"),
    ],
)
def test_without_a_patch_there_is_no_series(program: Path, here: dict[str, str], told: str) -> None:
    code, output, metric = _run(program, _answers(here, OFFER))

    assert (code, output) == (0, told)
    assert [line for line in metric.splitlines() if not line.startswith("#")] == []


def test_without_the_store_the_metric_stays(program: Path) -> None:
    _run(program, _answers({}, OFFER))
    silent = _answers({}, OFFER)
    del silent["/v2/find?name=microk8s"]

    code, told, metric = _run(program, silent)

    assert (code, told) == (1, "it is unknown whether a patch waits: no\n")
    assert LABELS.format("false") in metric


def _role(tmp_path: Path, **variables: Any) -> Role:
    snap = {"version": "v1.36.3", "revision": "8001", "channel": "1.36/stable"} | variables.pop("snap", {})
    patch = {**PATCH, **variables.pop("patch", {})}
    info = {"snaps": {"microk8s": snap}, "upgrade": {}, "member": {"node": "home"}, "patch": patch}
    channel = {"homeserver_version_overrides": {"microk8s_channel": "1.36/stable"}}
    known = {"_microk8s_info": info | {"silent_store": ""}, "homeserver_bundle": "", **channel}
    return Role("microk8s", tmp_path, **known | variables)


def test_a_patch_is_an_upgrade_to_its_version(tmp_path: Path) -> None:
    role = _role(tmp_path)

    assert role.value("_microk8s_is_upgraded") is True
    assert role.value("_microk8s_to_change.install") is True
    assert role.value("_microk8s_target") == "v1.36.4"
    assert role.value("_microk8s_unpatched") == ""


def test_a_patch_that_was_taken_back_is_left_out_and_told(tmp_path: Path) -> None:
    role = _role(tmp_path, patch={"refused": True})

    assert role.value("_microk8s_is_upgraded") is False
    told = role.value("_microk8s_unpatched")
    assert "MicroK8s v1.36.4 (revision 8002) did not work here" in told
    assert f"delete {patches.REFUSED} on the host" in told


def test_another_minor_version_is_installed_whatever_was_taken_back(tmp_path: Path) -> None:
    role = _role(tmp_path, patch={"refused": True}, snap={"version": "v1.35.4"})

    assert role.value("_microk8s_is_upgraded") is True


def test_a_patch_of_another_channel_does_not_count(tmp_path: Path) -> None:
    role = _role(tmp_path, snap={"channel": "1.36/candidate"})

    assert role.value("_microk8s_is_patched") is False
    assert role.value("_microk8s_target") == "1.36/stable"


def test_a_silent_store_is_told_and_changes_nothing(tmp_path: Path) -> None:
    snaps = {"microk8s": {"version": "v1.36.3", "revision": "8001", "channel": "1.36/stable"}}
    info = {"snaps": snaps, "upgrade": {}, "patch": {}, "silent_store": "no route"}
    role = _role(tmp_path, _microk8s_info=info)

    assert role.value("_microk8s_is_upgraded") is False
    assert role.value("_microk8s_unpatched").endswith("the store does not answer: no route")


@pytest.mark.parametrize(
    ("option", "bundle", "asked"), [("run", "", True), ("never", "", False), ("run", "/b", False)]
)
def test_a_run_asks_the_store_unless_it_must_not(
    tmp_path: Path, option: str, bundle: str, asked: bool
) -> None:
    tasks = yaml.safe_load((ROOT / "roles/microk8s/tasks/main.yml").read_text())
    (block,) = [task["block"] for task in tasks if "block" in task]
    role = _role(tmp_path, microk8s_patch=option, homeserver_bundle=bundle)

    assert role.evaluated(block[0]["homeserver.stack.microk8s_info"]["patches"]) is asked


TASKS = "snap refresh failed:\nerror: cannot perform the following tasks:\n"
HOOK = f'{TASKS}- Run post-refresh hook of "microk8s" snap if present (exit 1)'
DOWNLOAD = f'{TASKS}- Download snap "microk8s" (8002) from channel "1.36/stable" (no route)'


@pytest.mark.parametrize(
    ("now", "failure", "before", "recorded"),
    [
        ("8002", "the kubelet does not run", "v1.36.3", "8002"),
        ("8001", HOOK, "v1.36.3", "8002"),
        ("8001", DOWNLOAD, "v1.36.3", ""),
        ("8001", "snap refresh takes more than 900 s", "v1.36.3", ""),
        # Of another minor version, each run tries it.
        ("8002", "the kubelet does not run", "v1.35.4", ""),
    ],
    ids=["unhealthy", "hook", "download", "slow", "minor"],
)
def test_a_revision_that_did_not_work_is_recorded(
    tmp_path: Path, now: str, failure: str, before: str, recorded: str
) -> None:
    tasks = yaml.safe_load((ROOT / "roles/microk8s/tasks/revert.yml").read_text())
    (record,) = [task for task in tasks if task["name"] == "Record that the revision does not work"]
    role = _role(
        tmp_path,
        _microk8s_now={"snaps": {"microk8s": {"revision": now}}},
        _microk8s_before={"revision": "8001", "version": before},
        _microk8s_failure=failure,
    )
    is_recorded = all(role.evaluated(f"{{{{ {condition} }}}}") for condition in record["when"])
    content = role.evaluated(record["ansible.builtin.copy"]["content"])

    assert is_recorded is bool(recorded)
    assert not recorded or json.loads(content) == {"revision": recorded, "failure": failure}


def test_the_record_is_where_the_modules_look(tmp_path: Path) -> None:
    assert _role(tmp_path).value("_microk8s_refused") == str(patches.REFUSED)
