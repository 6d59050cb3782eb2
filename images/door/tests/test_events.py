"""The audit log and the counts for Prometheus: each has who, from where, and the trace."""

import json
from typing import Any

import pytest
from prometheus_client import REGISTRY

from images.door.tests.authenticator import Authenticator
from images.door.tests.inside import Browser, Inside, code_of

_TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_FROM: dict[str, Any] = {"traceparent": _TRACEPARENT, "user-agent": "a browser"}
_WHERE = {"client": "192.168.1.50", "trace": _TRACEPARENT.split("-")[1], "user_agent": "a browser"}


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


def _of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in each.items() if key not in ("time", "event")}
        for each in lines
        if each["event"] == event
    ]


class _Counted:
    """How much counters have gone up since this began."""

    def __init__(self) -> None:
        self._before = self._now()

    def since(self) -> dict[str, float]:
        """Return what has changed."""
        return {
            key: value - self._before.get(key, 0)
            for key, value in self._now().items()
            if value != self._before.get(key, 0)
        }

    @staticmethod
    def _now() -> dict[str, float]:
        return {
            f"{sample.name}{sorted(sample.labels.values())}": sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name.startswith("door_") and sample.name.endswith("_total")
        }


def test_an_invitation_and_a_login_are_written_down(door: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    counted = _Counted()
    admin, _ = door.enter("anna")
    admin.get("/people/")
    page = admin.post("/people/", {"name": "ben"}, **_FROM)
    code = page.content.decode().split("/invitation/#")[1].split("<")[0]
    browser, key = Browser(), Authenticator()
    browser.accept(code, key)
    Browser().accept(code, Authenticator())
    again = Browser()
    again.log_in(key)
    lines = _lines(capsys)

    assert _of(lines, "invitation made") == [_WHERE | {"person": "ben", "by": "anna"}]
    assert [each["person"] for each in _of(lines, "invitation used")] == ["anna", "ben"]
    assert len(_of(lines, "invitation refused")) == 1
    assert [(each["person"], each["method"]) for each in _of(lines, "login")] == [
        ("anna", "invitation"),
        ("ben", "invitation"),
        ("ben", "passkey"),
    ]
    assert code not in json.dumps(lines)
    assert counted.since() == {
        "door_invitations_total['made']": 1,
        "door_invitations_total['used']": 2,
        "door_invitations_total['refused']": 1,
        "door_logins_total['invitation', 'success']": 2,
        "door_logins_total['passkey', 'success']": 1,
    }


def test_failures_are_written_down(door: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    _, key = door.enter("ben")
    door.change(passwords=True)
    counted = _Counted()
    capsys.readouterr()
    browser = Browser()
    browser.get("/login/")
    browser.get("/keys/webauthn/login/", accept="application/json")
    browser.post("/keys/webauthn/login/", {"credential": "{}"}, **_FROM)
    browser.post("/login/", {"login": "ben", "password": "guess"}, **_FROM)
    browser.get("/recover/")
    browser.post("/recover/", {"name": "ben", "code": "1"}, **_FROM)

    assert _of(_lines(capsys), "login failed") == [
        _WHERE | {"person": "", "method": "passkey"},
        _WHERE | {"person": "ben", "method": "password"},
        _WHERE | {"person": "ben", "method": "recovery code"},
    ]
    assert counted.since() == {
        "door_logins_total['failure', 'passkey']": 1,
        "door_logins_total['failure', 'password']": 1,
        "door_logins_total['failure', 'recovery code']": 1,
    }
    del key


def test_a_code_a_logout_and_a_removed_person_are_written_down(
    door: Inside, capsys: pytest.CaptureFixture[str]
) -> None:
    browser, _ = door.enter("ben")
    counted = _Counted()
    capsys.readouterr()
    code_of(browser.authorize())
    browser.get("/logout/")
    browser.post("/logout/", **_FROM)
    door.mounted.without("ben")
    browser.person()
    lines = _lines(capsys)

    assert [(each["person"], each["to"]) for each in _of(lines, "passed on")] == [("ben", "gate")]
    assert _of(lines, "logout") == [_WHERE | {"person": "ben"}]
    assert _of(lines, "person removed") == [{"person": "ben"}]
    assert counted.since() == {"door_authorizations_total['gate']": 1, "door_logouts_total[]": 1}


def test_what_is_refused_is_written_down(door: Inside, capsys: pytest.CaptureFixture[str]) -> None:
    browser, _ = door.enter("ben")
    counted = _Counted()
    capsys.readouterr()
    browser.get("/people/", **_FROM)
    browser.authorize(redirect_uri="https://evil.example/")
    browser.authorize(code_challenge=None)
    browser.post("/logout/", {"csrfmiddlewaretoken": ""}, **_FROM)
    door.start("carl")
    found = [(each["reason"], each["person"]) for each in _of(_lines(capsys), "denied")]

    assert found == [
        ("forbidden", "ben"),
        ("unknown address", "ben"),
        ("no PKCE", "ben"),
        ("csrf", "ben"),
        ("forbidden", "carl"),
    ]
    assert counted.since() == {
        "door_denials_total['forbidden']": 2,
        "door_denials_total['unknown address']": 1,
        "door_denials_total['no PKCE']": 1,
        "door_denials_total['csrf']": 1,
    }


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "192.168.1.9", "192.168.1.9"),
        ("127.0.0.1", "10.9.9.9, 192.168.1.9", "192.168.1.9"),
        ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("192.0.2.1", "192.168.1.9", "192.0.2.1"),
    ],
)
def test_only_traefik_names_the_client(
    door: Inside, capsys: pytest.CaptureFixture[str], peer: str, forwarded: str, client: str
) -> None:
    browser = Browser(forwarded)
    browser.client.defaults["REMOTE_ADDR"] = peer
    browser.get("/invitation/")
    browser.post("/invitation/", {"code": "guess"})

    assert [each["client"] for each in _of(_lines(capsys), "invitation refused")] == [client]
    assert door.invitation("ben")
