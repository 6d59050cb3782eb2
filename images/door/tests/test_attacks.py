"""What somebody who must not get in tries, and what happens to those who had to leave."""

import time
from datetime import datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from allauth.idp.oidc.models import Token
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from homeserver_door.models import Invitation, Person

from images.door.tests.authenticator import Authenticator
from images.door.tests.inside import AUTHORIZE, Browser, Inside, code_of, options_of, text_of
from images.door.tests.served import CALLBACK, HOME, LOGIN

_ELSEWHERE = "https://evil.example/"


# Invitations


def test_an_invitation_works_once(door: Inside) -> None:
    code = door.invitation("ben")
    assert Browser().accept(code, Authenticator()).status_code == 302

    again = Browser()
    assert again.accept(code, Authenticator()).status_code == 410
    assert again.person() == ""


def test_an_invitation_that_two_browsers_have_open_works_once(door: Inside) -> None:
    code, slow, key = door.invitation("ben"), Browser(), Authenticator()
    slow.get("/invitation/")
    slow.post("/invitation/", {"code": code})
    page = slow.get("/invitation/passkey/")
    Browser().accept(code, Authenticator())

    assert slow.get("/invitation/passkey/").status_code == 410
    assert slow.post("/invitation/passkey/", {"credential": key.create(_options(page))}).status_code == 410
    assert slow.person() == ""
    assert Person.objects.get(name="ben").authenticator_set.filter(type="webauthn").count() == 1


def test_an_invitation_ends_after_a_day(door: Inside) -> None:
    code = door.invitation("ben")
    left = Invitation.objects.get().expires - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)
    Invitation.objects.update(expires=timezone.now() - timedelta(seconds=1))

    assert Browser().accept(code, Authenticator()).status_code == 410


def test_an_invitation_ends_with_the_next_one(door: Inside) -> None:
    former, latter = door.invitation("ben"), door.invitation("ben")

    assert Browser().accept(former, Authenticator()).status_code == 410
    assert Browser().accept(latter, Authenticator()).status_code == 302


def test_an_invitation_of_a_person_who_left_ends(door: Inside) -> None:
    code = door.invitation("ben")
    door.mounted.without("ben")
    assert Browser().accept(code, Authenticator()).status_code == 410

    door.change()
    assert Browser().accept(code, Authenticator()).status_code == 410


def test_an_invitation_is_stored_as_a_hash(door: Inside) -> None:
    code = door.invitation("ben")

    # The newest pages are in the file beside it.
    stored = b"".join(file.read_bytes() for file in door.mounted.data.glob("door.sqlite3*"))
    assert code.encode() not in stored
    assert Invitation.objects.get().hash.encode() in stored
    assert len(code) >= 43


@pytest.mark.parametrize("code", ["", "guess", "%", "' or 1=1 --"])
def test_a_guessed_invitation_is_none(door: Inside, code: str) -> None:
    door.invitation("ben")

    assert Browser().accept(code, Authenticator()).status_code == 410


def test_without_an_invitation_nobody_makes_a_passkey(door: Inside) -> None:
    browser = Browser()

    assert browser.get("/invitation/passkey/").status_code == 410
    assert "/login/" in browser.get("/keys/webauthn/add/")["Location"]
    assert door.invitation("ben")


# Passkeys


def test_a_passkey_opens_the_door(door: Inside) -> None:
    _, key = door.enter("ben")
    browser = Browser()

    assert browser.log_in(key)["Location"] == f"https://{HOME}/"
    assert browser.person() == "ben"


@pytest.mark.parametrize("wrong", [{"verifies": False}, {"origin": "https://grafana.home.arpa"}])
def test_a_passkey_has_to_be_verified_and_on_the_page_of_the_login(
    door: Inside, wrong: dict[str, object]
) -> None:
    _, key = door.enter("ben")
    vars(key).update(wrong)
    browser = Browser()
    browser.log_in(key)

    assert browser.person() == ""


def test_an_unverified_passkey_cannot_be_made(door: Inside) -> None:
    browser = Browser()
    answer = browser.accept(door.invitation("ben"), Authenticator(verifies=False))

    assert answer.status_code == 200
    assert browser.person() == ""


def test_the_first_passkey_knows_its_person(door: Inside) -> None:
    browser = Browser()
    browser.get("/invitation/")
    browser.post("/invitation/", {"code": door.invitation("ben")})
    public = _options(browser.get("/invitation/passkey/"))["publicKey"]

    assert public["authenticatorSelection"]["residentKey"] == "required"
    assert public["authenticatorSelection"]["userVerification"] == "required"
    assert public["rp"] == {"id": LOGIN, "name": "home.arpa"}


def test_a_passkey_of_somebody_else_is_refused(door: Inside) -> None:
    _, ben = door.enter("ben")
    _, anna = door.enter("anna")
    ben.user_handle = anna.user_handle
    browser = Browser()
    browser.log_in(ben)

    assert browser.person() == ""


def test_an_answer_of_a_passkey_works_once(door: Inside) -> None:
    _, key = door.enter("ben")
    browser = Browser()
    browser.get("/login/")
    options = browser.get("/keys/webauthn/login/", accept="application/json").json()["request_options"]
    credential = {"credential": key.get(options)}
    browser.post("/keys/webauthn/login/", credential)
    assert browser.person() == "ben"

    other = Browser()
    other.get("/login/")
    other.get("/keys/webauthn/login/", accept="application/json")
    other.post("/keys/webauthn/login/", credential)
    assert other.person() == ""


def test_a_session_gets_a_new_name_at_the_login(door: Inside) -> None:
    _, key = door.enter("ben")
    browser = Browser()
    browser.get("/login/")
    browser.get("/keys/webauthn/login/", accept="application/json")
    before = browser.client.cookies["__Host-session"].value
    browser.log_in(key)

    assert browser.client.cookies["__Host-session"].value != before
    fixed = Browser()
    fixed.client.cookies["__Host-session"] = before
    assert fixed.person() == ""


def test_a_session_ends_when_it_is_old(door: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = door.enter("ben")
    now = time.time()
    monkeypatch.setattr("homeserver_door.sessions.time.time", lambda: now + 167 * 3600)
    assert browser.person() == "ben"

    monkeypatch.setattr("homeserver_door.sessions.time.time", lambda: now + 169 * 3600)
    assert browser.person() == ""


def test_a_shorter_session_also_ends_those_that_began_before(
    door: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, _ = door.enter("ben")
    door.change(session_hours=1)
    now = time.time()
    monkeypatch.setattr("homeserver_door.sessions.time.time", lambda: now + 2 * 3600)

    assert browser.person() == ""


@pytest.mark.parametrize("path", ["/signup/", "/password/reset/", "/password/set/", "/email/", "/admin/"])
def test_nobody_signs_up_or_changes_who_they_are(door: Inside, path: str) -> None:
    browser, _ = door.enter("ben")

    assert browser.get(path).status_code == 404


def test_passwords_open_nothing(door: Inside) -> None:
    person = Person.objects.get(name="ben")
    person.set_password("a long password of ben")
    person.save()
    browser = Browser()
    assert "Password" not in text_of(browser.get("/login/"))
    values = {"login": "ben", "password": "a long password of ben"}

    assert browser.post("/login/", values).status_code == 405
    assert browser.get("/keys/totp/activate/").status_code == 404
    door.change(passwords=True)
    # Without an authenticator app, it still does not.
    assert browser.post("/login/", values).status_code == 200
    assert browser.person() == ""


# Those who had to leave


def test_a_removed_person_is_out_at_once(door: Inside) -> None:
    browser, key = door.enter("ben")
    granted = door.token(code_of(browser.authorize())).json()
    code = code_of(browser.authorize())
    assert door.userinfo(granted["access_token"]).json()["preferred_username"] == "ben"
    door.mounted.without("ben")

    assert door.userinfo(granted["access_token"]).status_code == 401
    assert door.refresh(granted["refresh_token"]).status_code in (400, 401)
    assert door.token(code).status_code in (400, 401)
    assert browser.person() == ""
    assert browser.authorize()["Location"].startswith("/login/")
    other = Browser()
    other.log_in(key)
    assert other.person() == ""
    assert door.start("ben").status_code == 403


def test_a_person_who_comes_back_has_no_open_session(door: Inside) -> None:
    browser, key = door.enter("ben")
    granted = door.token(code_of(browser.authorize())).json()
    door.mounted.without("ben")
    door.start()
    door.change()

    assert browser.person() == ""
    assert door.userinfo(granted["access_token"]).status_code == 401
    assert door.refresh(granted["refresh_token"]).status_code in (400, 401)
    again = Browser()
    again.log_in(key)
    assert again.person() == "ben"


def test_a_group_that_was_taken_away_is_gone_at_once(door: Inside) -> None:
    browser, _ = door.enter("anna")
    granted = door.token(code_of(browser.authorize())).json()
    assert door.userinfo(granted["access_token"]).json()["groups"] == ["admins", "family"]
    assert "Grafana" in text_of(door.start("anna"))
    door.change(people=[{"name": "anna", "groups": ["family"]}])

    assert door.userinfo(granted["access_token"]).json()["groups"] == ["family"]
    assert _claims(door.refresh(granted["refresh_token"]).json())["groups"] == ["family"]
    assert "Grafana" not in text_of(door.start("anna"))
    assert browser.get("/people/").status_code == 403


def test_a_removed_client_gets_nothing_any_more(door: Inside) -> None:
    browser, _ = door.enter("ben")
    granted = door.token(code_of(browser.authorize())).json()
    door.change(clients=[])

    assert door.userinfo(granted["access_token"]).status_code == 401
    assert door.refresh(granted["refresh_token"]).status_code in (400, 401)
    assert browser.authorize().status_code == 400


def test_logging_out_on_all_devices_ends_everything(door: Inside) -> None:
    browser, key = door.enter("ben")
    other = Browser()
    other.log_in(key)
    granted = door.token(code_of(other.authorize())).json()
    browser.post("/sessions/end/")

    assert browser.person() == other.person() == ""
    assert door.userinfo(granted["access_token"]).status_code == 401
    assert door.refresh(granted["refresh_token"]).status_code in (400, 401)


# Codes and tokens


def test_a_code_works_once_and_its_tokens_end_when_it_is_repeated(door: Inside) -> None:
    browser, _ = door.enter("ben")
    code = code_of(browser.authorize())
    granted = door.token(code)
    assert granted.status_code == 200
    assert door.userinfo(granted.json()["access_token"]).status_code == 200

    assert door.token(code).status_code == 400
    assert door.userinfo(granted.json()["access_token"]).status_code == 401


@pytest.mark.parametrize(
    "uri",
    [
        _ELSEWHERE,
        f"{CALLBACK}/more",
        f"{CALLBACK}?more=1",
        f"{CALLBACK}#fragment",
        CALLBACK.replace("https", "http"),
        CALLBACK.replace("grafana", "evil.grafana"),
        CALLBACK.replace("grafana.home.arpa", "grafana.home.arpa.evil.example"),
        CALLBACK.replace("grafana", "evil@grafana"),
        CALLBACK.replace("grafana", "GRAFANA"),
        CALLBACK.replace("/oauth2", ":443/oauth2"),
        CALLBACK.replace("/oauth2", "/x/../oauth2"),
        "https://wiki.home.arpa/callback",
        "",
        None,
    ],
)
def test_a_code_goes_to_known_addresses_alone(door: Inside, uri: str | None) -> None:
    browser, _ = door.enter("ben")
    answer = browser.authorize(redirect_uri=uri)

    assert answer.status_code == 400
    assert "Location" not in answer.headers


def test_two_addresses_are_none(door: Inside) -> None:
    browser, _ = door.enter("ben")
    answer = browser.get(f"/identity/o/authorize?redirect_uri={_ELSEWHERE}&{_query()}")

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "changed", [{"code_challenge": None}, {"code_challenge_method": "plain"}, {"code_challenge_method": None}]
)
def test_a_code_needs_pkce(door: Inside, changed: dict[str, str | None]) -> None:
    browser, _ = door.enter("ben")

    assert browser.authorize(**changed).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 50},
        {"code_verifier": ""},
        {"client_secret": "wrong"},
        {"client_secret": ""},
        {"client_id": "wiki"},
        {"redirect_uri": "https://wiki.home.arpa/callback"},
        {"redirect_uri": ""},
        {"grant_type": "password"},
        {"grant_type": "client_credentials"},
    ],
)
def test_a_code_needs_its_client(door: Inside, changed: dict[str, str]) -> None:
    browser, _ = door.enter("ben")

    assert door.token(code_of(browser.authorize()), **changed).status_code in (400, 401)


@pytest.mark.parametrize(
    "changed", [{"response_type": "token"}, {"response_type": "id_token"}, {"scope": "root"}]
)
def test_a_client_gets_codes_alone(door: Inside, changed: dict[str, str]) -> None:
    browser, _ = door.enter("ben")
    answer = browser.authorize(**changed)

    assert answer.status_code == 302
    assert "error=" in answer["Location"]
    assert "token=" not in answer["Location"]


def test_nobody_gets_a_code_without_a_login(door: Inside) -> None:
    assert door.invitation("ben")
    assert Browser().authorize()["Location"].startswith("/login/?next=/identity/o/authorize")
    silent = Browser().authorize(prompt="none")
    assert "code=" not in silent.get("Location", "")


def test_a_token_says_who_and_for_how_long(door: Inside) -> None:
    browser, _ = door.enter("anna")
    claims = _claims(door.token(code_of(browser.authorize())).json())

    assert claims["iss"] == f"https://{LOGIN}"
    assert claims["aud"] == "gate"
    assert claims["sub"] == claims["preferred_username"] == "anna"
    assert claims["email"] == "anna@example.org"
    assert claims["email_verified"] is True
    assert claims["groups"] == ["admins", "family"]
    assert claims["exp"] - claims["iat"] == 300


def test_a_token_ends_for_a_client_whose_clock_is_right(door: Inside) -> None:
    browser, _ = door.enter("anna")
    token = door.token(code_of(browser.authorize())).json()["id_token"]
    key = _key()
    with pytest.MonkeyPatch.context() as later:
        later.setattr("jwt.api_jwt.datetime", _Later)
        with pytest.raises(jwt.ExpiredSignatureError):
            jwt.decode(token, key, ["RS256"], audience="gate")
        # A clock that is ten minutes off is tolerated where the client says so.
        jwt.decode(token, key, ["RS256"], audience="gate", leeway=900)


def test_an_access_token_ends_after_an_hour(door: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = door.enter("ben")
    granted = door.token(code_of(browser.authorize())).json()
    now = timezone.now()
    assert granted["expires_in"] == 3600
    monkeypatch.setattr("allauth.idp.oidc.models.timezone.now", lambda: now + timedelta(minutes=61))

    assert door.userinfo(granted["access_token"]).status_code == 401


def test_refreshing_does_not_extend_a_login(door: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, _ = door.enter("ben")
    granted = door.token(code_of(browser.authorize())).json()
    now = timezone.now()
    monkeypatch.setattr("allauth.idp.oidc.models.timezone.now", lambda: now + timedelta(hours=167))
    refreshed = door.refresh(granted["refresh_token"])
    assert refreshed.status_code == 200

    monkeypatch.setattr("allauth.idp.oidc.models.timezone.now", lambda: now + timedelta(hours=169))
    assert door.refresh(refreshed.json().get("refresh_token", granted["refresh_token"])).status_code in (
        400,
        401,
    )


def test_a_client_that_is_not_trusted_asks_the_person(door: Inside) -> None:
    browser, _ = door.enter("ben")
    uri = "https://wiki.home.arpa/callback"
    page = browser.authorize(client_id="wiki", redirect_uri=uri)
    assert "Log in to Wiki?" in text_of(page)
    signed = page.content.decode().split('name="request" value="')[1].split('"')[0]
    values = {"request": signed, "action": "grant", "scopes": "openid"}

    assert Browser().post("/identity/o/authorize", values).status_code == 403
    granted = browser.post("/identity/o/authorize", values)
    assert granted["Location"].startswith(f"{uri}?code=")
    denied = browser.post("/identity/o/authorize", values | {"action": "cancel"})
    assert "error=access_denied" in denied["Location"]


def test_a_client_hears_what_it_asks_for(door: Inside) -> None:
    anna, _ = door.enter("anna")
    guest, _ = door.enter("guest")
    basic = _claims(door.token(code_of(anna.authorize(scope=None))).json())
    assert not {"email", "groups", "preferred_username"} & basic.keys()
    assert basic["sub"] == "anna"
    nothing = _claims(door.token(code_of(guest.authorize())).json())
    assert "email" not in nothing
    assert nothing["groups"] == []


def test_what_has_expired_is_removed(door: Inside) -> None:
    browser, key = door.enter("ben")
    door.token(code_of(browser.authorize()))
    door.invitation("guest")
    past = timezone.now() - timedelta(seconds=1)
    Token.objects.update(expires_at=past)
    Session.objects.update(expire_date=past)
    Invitation.objects.update(expires=past)
    Browser().log_in(key)

    assert not Token.objects.exists()
    assert Session.objects.count() <= 1
    assert not Invitation.objects.exists()


def test_a_reset_removes_every_way_in(door: Inside) -> None:
    door.change(passwords=True)
    browser, key = door.enter("ben")
    granted = door.token(code_of(browser.authorize())).json()
    person = Person.objects.get(name="ben")
    person.set_password("a long password of ben")
    person.save()
    call_command("invite", "ben", "--reset", stdout=StringIO())

    assert browser.person() == ""
    assert door.userinfo(granted["access_token"]).status_code == 401
    lost = Browser()
    lost.log_in(key)
    assert lost.person() == ""
    person.refresh_from_db()
    assert not person.has_usable_password()
    assert not person.authenticator_set.exists()


def test_an_invitation_without_a_reset_leaves_the_former_passkey(door: Inside) -> None:
    _, key = door.enter("ben")
    call_command("invite", "ben", stdout=StringIO())
    browser = Browser()
    browser.log_in(key)

    assert browser.person() == "ben"


# Forgery


@pytest.mark.parametrize(
    "path",
    [
        "/keys/webauthn/login/",
        "/logout/",
        "/sessions/end/",
        "/recover/",
        "/invitation/",
        "/identity/o/device",
    ],
)
def test_a_form_of_another_page_is_refused(door: Inside, path: str) -> None:
    browser, _ = door.enter("ben")

    assert browser.post(path, {"csrfmiddlewaretoken": ""}).status_code == 403
    assert browser.post(path, origin="https://grafana.home.arpa").status_code == 403
    assert browser.person() == "ben"


def test_opening_a_link_does_not_log_out(door: Inside) -> None:
    browser, _ = door.enter("ben")
    browser.get("/logout/")
    browser.get("/sessions/end/")
    browser.get("/identity/o/logout")

    assert browser.person() == "ben"


@pytest.mark.parametrize(
    "url",
    [
        _ELSEWHERE,
        "//evil.example/",
        "/\\evil.example/",
        "///evil.example",
        "https:evil.example",
        f"https://{HOME}@evil.example/",
        f"https://{HOME}.evil.example/",
        f"http://{HOME}/",
        "javascript:alert(1)",
        "\thttps://evil.example/",
    ],
)
def test_a_login_leads_nowhere_else(door: Inside, url: str) -> None:
    _, key = door.enter("ben")
    browser = Browser()
    answer = browser.log_in(key, next=url)

    assert answer.status_code == 302
    assert answer["Location"] == f"https://{HOME}/"
    # Somebody who is already logged in is not led there either.
    page = browser.get(f"/login/?next={url}")
    assert page.get("Location", "") in ("", f"https://{HOME}/")
    leaves = browser.post("/logout/", {"next": url})
    assert leaves["Location"] in ("/login/", "/")


def test_a_logout_of_a_client_leads_to_the_start_page_alone(door: Inside) -> None:
    browser, _ = door.enter("ben")
    for url, status in ((_ELSEWHERE, 200), (f"https://{HOME}/", 200), ("https://grafana.home.arpa/", 200)):
        page = browser.get(f"/identity/o/logout?client_id=gate&post_logout_redirect_uri={url}")
        assert page.status_code == status
        assert ("Are you sure" in text_of(page)) is (HOME in url)


@pytest.mark.parametrize("name", ["preferred-username", "user", "email", "groups"])
def test_headers_of_the_gate_mean_nothing_at_the_login(door: Inside, name: str) -> None:
    assert door.invitation("anna")
    forged = {f"x-auth-request-{name}": "anna", "remote-user": "anna", "x-forwarded-user": "anna"}

    assert Browser().get("/", **forged).status_code == 302
    assert Browser().get("/people/", **forged).status_code == 302


def test_the_start_page_believes_traefik_alone(door: Inside) -> None:
    assert "Photos" in text_of(door.start("ben"))
    stranger = Client(REMOTE_ADDR="192.0.2.7")
    page = stranger.get("/", headers={"host": HOME, "x-auth-request-preferred-username": "anna"})

    assert "Hello anna" not in text_of(page)
    assert "Photos" not in text_of(page)


@pytest.mark.parametrize("host", ["evil.example", "10.1.2.3:8080", "door.door", f"{LOGIN}.evil.example", ""])
@pytest.mark.parametrize("path", ["/", "/login/", "/people/", "/identity/o/authorize", "/static/style.css"])
def test_other_hosts_have_no_pages(door: Inside, host: str, path: str) -> None:
    assert door.invitation("anna")
    answer = Client().get(path, headers={"host": host})

    assert answer.status_code == 404


def test_the_provider_is_named_after_the_login_whoever_asks(door: Inside) -> None:
    assert door.invitation("anna")
    answer = Client().get("/.well-known/openid-configuration", headers={"host": "evil.example"}).json()

    assert answer["issuer"] == f"https://{LOGIN}"
    urls = [value for value in answer.values() if str(value).startswith("http")]
    assert all(value.startswith(f"https://{LOGIN}") for value in urls)
    assert "registration_endpoint" not in answer


# Guessing


def test_guessing_recovery_codes_is_slow(door: Inside) -> None:
    door.enter("ben")
    tries = [Browser(f"192.168.1.{number}") for number in range(7)]
    for browser in tries:
        browser.get("/recover/")
    results = [each.post("/recover/", {"name": "ben", "code": "0000000000"}).status_code for each in tries]

    assert results == [403] * 5 + [429] * 2


def test_guessing_invitations_is_slow(door: Inside) -> None:
    browser = Browser()
    browser.get("/invitation/")
    results = [browser.post("/invitation/", {"code": f"{number}"}).status_code for number in range(12)]

    assert results == [410] * 10 + [429] * 2
    other = Browser("192.168.1.99")
    other.get("/invitation/")
    assert other.post("/invitation/", {"code": "guess"}).status_code == 410
    assert door.invitation("ben")


def test_somebody_cannot_pretend_to_ask_from_elsewhere(door: Inside) -> None:
    browser = Browser()
    browser.get("/invitation/")
    results = [
        browser.post(
            "/invitation/", {"code": "guess"}, **{"x-forwarded-for": f"10.0.0.{number}, 192.168.1.50"}
        )
        for number in range(12)
    ]

    assert results[-1].status_code == 429
    assert door.invitation("ben")


def test_trying_passkeys_is_slow(door: Inside) -> None:
    browser = Browser()
    browser.get("/login/")
    answers = [browser.post("/keys/webauthn/login/", {"credential": "{}"}).status_code for _ in range(12)]

    assert answers[-1] == 429
    assert door.invitation("ben")


def test_a_recovery_code_works_once_and_leads_to_a_new_passkey(door: Inside) -> None:
    browser, _ = door.enter("ben")
    code = text_of(browser.get("/keys/recovery-codes/")).split("same device. ")[1].split()[0]
    lost = Browser()
    lost.get("/recover/")
    answer = lost.post("/recover/", {"name": "Ben ", "code": f"{code[:5]} {code[5:]}"})
    assert answer["Location"] == "/keys/webauthn/add/"
    assert lost.get("/keys/webauthn/add/").status_code == 200

    again = Browser()
    again.get("/recover/")
    assert again.post("/recover/", {"name": "ben", "code": code}).status_code == 403
    assert again.person() == ""


def _options(page: object) -> dict[str, Any]:
    found: dict[str, Any] = options_of(page)["creation_options"]
    return found


def _query() -> str:
    return urlencode(AUTHORIZE)


def _key() -> Any:
    keys = Client().get("/.well-known/jwks.json", headers={"host": LOGIN}).json()["keys"]
    return jwt.PyJWK(keys[0]).key


def _claims(granted: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(granted["id_token"], _key(), ["RS256"], audience="gate")
    return found


class _Later:
    """A clock that is ten minutes ahead."""

    @staticmethod
    def now(tz: object = None) -> object:
        return datetime.now(tz) + timedelta(minutes=10)  # type: ignore[arg-type]
