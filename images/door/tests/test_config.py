"""The configuration: what it means, and what is wrong with one that cannot be used."""

import json
from pathlib import Path
from typing import Any

import pytest
from homeserver_door.config import ConfigError, Watched, read

from images.door.tests.served import CONFIG


def _file(directory: Path, **changed: Any) -> Path:
    file = directory / "config.json"
    file.write_text(json.dumps(CONFIG | changed))
    return file


def test_little_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(
        json.dumps({"domain": "home.arpa", "login_host": "Login.home.arpa", "home_host": "home.home.arpa"})
    )
    home = read(file)

    assert (home.login_host, home.session_hours, home.passwords) == ("login.home.arpa", 168, False)
    assert (home.people, home.clients, home.pages, home.prometheus, home.welcome) == ({}, {}, (), "", "")
    assert not home.trusts("127.0.0.1")


def test_null_is_the_default(tmp_path: Path) -> None:
    home = read(_file(tmp_path, prometheus=None, welcome=None, session_hours=None, proxies=None))

    assert (home.prometheus, home.welcome, home.session_hours, home.proxies) == ("", "", 168, ())


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("fd00::1", True),
        ("fe80::1", False),
        ("", False),
        ("x", False),
    ],
)
def test_proxies_are_networks(tmp_path: Path, address: str, *, trusted: bool) -> None:
    assert read(_file(tmp_path, proxies=["10.1.0.0/16", "fd00::/8"])).trusts(address) is trusted


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"domain": ""}, "config.json: domain is '' (expected text like"),
        ({"login_host": None}, "login_host is None (expected a value of type str)"),
        ({"session_hours": 0}, "session_hours is 0 (expected at least 1)"),
        ({"session_hours": True}, "session_hours is True (expected a value of type int)"),
        ({"passwords": "yes"}, "passwords is 'yes' (expected a value of type bool)"),
        ({"people": [{"name": "Anna Ann"}]}, "people[0]: name is 'Anna Ann' (expected text like"),
        ({"people": ["anna"]}, "people[0] is 'anna' (expected an object)"),
        ({"people": [{"name": "a"}, {"name": "a"}]}, "people[1]: name is 'a' (expected another than before)"),
        (
            {"people": [{"name": "a", "groups": "admins"}]},
            "groups is 'admins' (expected a value of type list)",
        ),
        ({"people": [{"name": "a", "groups": [1]}]}, "groups is [1] (expected a list of texts)"),
        ({"clients": [{"id": "../x", "name": "x"}]}, "clients[0]: id is '../x' (expected text like"),
        (
            {"clients": [{"id": "x", "name": "x", "redirect_uris": ["/a"]}]},
            "redirect_uris is '/a' (expected exact",
        ),
        (
            {"clients": [{"id": "x", "name": "x", "redirect_uris": ["https://*.a/"]}]},
            "redirect_uris is 'https://*.a/' (expected exact",
        ),
        (
            {"clients": [{"id": "x", "name": "x", "redirect_uris": ["https://a/#b"]}]},
            "redirect_uris is 'https://a/#b' (expected exact",
        ),
        (
            {"clients": [{"id": "x", "name": "x", "redirect_uris": ["https://a/\nhttps://b/"]}]},
            "(expected exact",
        ),
        ({"pages": [{"title": "x", "url": "javascript:alert(1)"}]}, "pages[0]: url is 'javascript:alert(1)'"),
        ({"pages": [{"title": "x"}]}, "pages[0]: url is '' (expected an http or https URL)"),
        (
            {"prometheus": "prometheus:9090"},
            "prometheus is 'prometheus:9090' (expected an http or https URL)",
        ),
        ({"proxies": ["10.1.0.1/16"]}, "proxies is '10.1.0.1/16' (expected networks such as 10.1.0.0/16)"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read(_file(tmp_path, **changed))

    assert message in str(raised.value)


def test_a_list_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ConfigError, match=r"config.json is \[\] \(expected an object\)"):
        read(tmp_path / "config.json")


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    watched = Watched(_file(tmp_path))
    applied: list[Any] = []
    watched.then(applied.append)
    assert watched.current() is watched.current()
    assert len(applied) == 1

    _file(tmp_path, session_hours=1)
    assert watched.current().session_hours == 1
    assert [each.session_hours for each in applied] == [168, 1]
    (tmp_path / "config.json").unlink()
    assert watched.current().session_hours == 1
    assert "config.json cannot be read" in watched.problem


def test_what_could_not_be_applied_is_tried_again(tmp_path: Path) -> None:
    watched = Watched(_file(tmp_path))
    attempts = []

    def fail_once(_: object) -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise ConfigError("not yet")

    watched.then(fail_once)
    watched.current()
    assert watched.problem == "not yet"
    watched.current()
    watched.current()
    assert watched.problem == ""
    assert len(attempts) == 2
