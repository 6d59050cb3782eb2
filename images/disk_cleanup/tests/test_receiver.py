"""The receiver starts one cleanup for a full disk, for authorized senders, and records it."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from homeserver_disk_cleanup.kubernetes import Jobs
from homeserver_disk_cleanup.receiver import Cleaner, Receiver, nodes

from images.disk_cleanup.tests.kubernetes_api import KubernetesApi, serving

TOKEN = "a-token"
ALERTS = frozenset({"DiskNearlyFull", "DiskFillingUp"})


def _alert(name: str = "DiskNearlyFull", node: str = "home", status: str = "firing") -> dict[str, Any]:
    return {"status": status, "labels": {"alertname": name, "node": node}}


@pytest.fixture
def api() -> Iterator[KubernetesApi]:
    """Kubernetes."""
    server = KubernetesApi()
    with serving(server):
        yield server


@pytest.fixture
def url(api: KubernetesApi, tmp_path: Path) -> Iterator[str]:
    """The URL of a receiver with a cooldown of an hour."""
    (tmp_path / "token").write_text("account\n")
    cleaner = Cleaner(Jobs(api.url, "cleanup", tmp_path), timedelta(hours=1))
    receiver = Receiver(("127.0.0.1", 0), cleaner, TOKEN, ALERTS)
    with serving(receiver):
        yield f"http://127.0.0.1:{receiver.server_port}"


def _send(url: str, *alerts: dict[str, Any], token: str = TOKEN) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return requests.post(f"{url}/alerts", json={"alerts": list(alerts)}, headers=headers, timeout=5)


def test_a_disk_alert_starts_a_cleanup_on_its_node(api: KubernetesApi, url: str) -> None:
    answer = _send(url, _alert())
    (job,) = api.jobs

    assert (answer.status_code, answer.json()) == (200, {"home": "started disk-cleanup-0"})
    assert job["spec"]["template"]["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "home"}
    assert job["spec"]["template"]["spec"]["containers"] == [{"name": "cleanup"}]
    assert job["metadata"]["labels"]["app.kubernetes.io/name"] == "disk-cleanup"
    assert (
        json.loads(job["metadata"]["annotations"]["homeserver.stack/alert"])["alertname"] == "DiskNearlyFull"
    )
    assert api.tokens == {"Bearer account"}


def test_several_alerts_of_a_node_start_one_cleanup(api: KubernetesApi, url: str) -> None:
    _send(url, _alert(), _alert("DiskFillingUp"), _alert(node="attic"))

    assert [job["metadata"]["labels"]["homeserver.stack/node"] for job in api.jobs] == ["home", "attic"]


def test_only_one_runs_at_a_time(api: KubernetesApi, url: str) -> None:
    api.add("home", minutes_ago=90, active=1)

    assert _send(url, _alert()).json() == {"home": "one is under way"}
    assert len(api.jobs) == 1


@pytest.mark.parametrize(("minutes_ago", "number"), [(59, 1), (61, 2)])
def test_a_node_has_a_cooldown(api: KubernetesApi, url: str, minutes_ago: float, number: int) -> None:
    api.add("home", minutes_ago)
    _send(url, _alert())

    assert len(api.jobs) == number


@pytest.mark.parametrize(
    "alert",
    [_alert(status="resolved"), _alert("NodeDown"), _alert(node=""), _alert(node="x,y=z")],
    ids=["resolved", "another alert", "without a node", "with an invalid node"],
)
def test_other_alerts_do_not_start_one(api: KubernetesApi, url: str, alert: dict[str, Any]) -> None:
    assert _send(url, alert).json() == {}
    assert api.jobs == []


def test_a_missing_token_is_rejected(api: KubernetesApi, url: str) -> None:
    assert _send(url, _alert(), token="guessed").status_code == 401
    assert requests.post(f"{url}/alerts", json={}, timeout=5).status_code == 401
    assert api.jobs == []


@pytest.mark.parametrize("body", ["no JSON", "[]", '{"alerts": [{}]}', '{"alerts": 5}'])
def test_an_invalid_message_is_rejected(url: str, body: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}

    assert requests.post(f"{url}/alerts", data=body, headers=headers, timeout=5).status_code == 400


def test_alertmanager_retries_while_kubernetes_is_unavailable(api: KubernetesApi, url: str) -> None:
    api.broken = True
    assert _send(url, _alert()).status_code == 503

    api.broken = False
    assert _send(url, _alert()).json() == {"home": "started disk-cleanup-0"}


def test_every_decision_is_recorded(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    _send(url, _alert())
    _send(url, _alert())
    _send(url, _alert(), token="guessed")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [line["event"] for line in lines] == ["started", "not started", "refused"]
    assert lines[0]["alert"] == _alert()["labels"]
    assert lines[1]["reason"] == "one is under way"
    assert "guessed" not in json.dumps(lines)


def test_probes_are_answered(url: str) -> None:
    assert requests.get(f"{url}/healthz", timeout=5).status_code == 200
    assert requests.get(f"{url}/", timeout=5).status_code == 404


def test_an_alert_without_a_name_is_invalid() -> None:
    with pytest.raises(ValueError, match="not a message of Alertmanager's"):
        nodes({"alerts": [{"status": "firing", "labels": {"node": "home"}}]}, ALERTS)
