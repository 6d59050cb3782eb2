"""Logging in, and what a person sees of the own account."""

from typing import Any

from allauth.account import views as account
from allauth.account.adapter import get_adapter
from allauth.account.decorators import reauthentication_required
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.base import views as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.webauthn import views as webauthn
from allauth.mfa.webauthn.forms import SignupWebAuthnForm
from allauth.mfa.webauthn.internal import auth
from allauth.usersessions.models import UserSession
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from homeserver_door import events
from homeserver_door.adapters import device_name
from homeserver_door.models import Invitation, Person


def enter(request: HttpRequest, person: Person, method: str, leads_to: str) -> HttpResponse:
    """Log in a person who has proven who they are, and go on to a page."""
    events.proves(request, method)
    adapter = get_adapter(request)
    adapter.login(request, person)
    # What follows, a new passkey or the recovery codes, asks for nothing more.
    record_authentication(request, person, "mfa", type=method, reauthenticated=True)
    arguments = {"email_verification": "none", "signal_kwargs": None, "email": None, "signup": False}
    answer: HttpResponse = adapter.post_login(request, person, redirect_url=leads_to, **arguments)
    return answer


def login(request: HttpRequest) -> HttpResponse:
    """Show the login; take a password where the home allows one."""
    if request.method == "POST" and not request.home.passwords:
        events.denied(request, "password")
        return HttpResponseNotAllowed(["GET"])
    return _tried(request, account.login(request), "password", request.POST.get("login", ""))


def passkey_login(request: HttpRequest) -> HttpResponse:
    """Log in with a passkey."""
    return _tried(request, webauthn.login_webauthn(request), "passkey")


def second_factor(request: HttpRequest) -> HttpResponse:
    """Take what follows a password."""
    events.proves(request, "password")
    return _tried(request, mfa.authenticate(request), "second factor")


def _tried(request: HttpRequest, response: HttpResponse, method: str, person: str = "") -> HttpResponse:
    """Write down a failure. A password is followed by a redirect to the second factor."""
    waits = method == "password" and response.status_code == 302
    tried = request.method == "POST" and response.status_code != 429 and not waits
    if tried and not request.user.is_authenticated:
        events.failed(request, method, person)
    return response


class AddPasskey(webauthn.AddWebAuthnView):
    """Every key is a passkey: it knows its person, and checks who holds it."""

    def get_form_class(self) -> type:
        """Return the form, which leaves no choice."""
        return SignupWebAuthnForm  # type: ignore[no-any-return]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Return the template's values."""
        values: dict[str, Any] = super().get_context_data(**kwargs)
        values["js_data"] = {"creation_options": auth.begin_registration(self.request.user, True)}
        return values


add_passkey = AddPasskey.as_view()


@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """Show the account: passkeys, recovery codes and sessions."""
    person = request.user
    keys = Authenticator.objects.filter(user=person)
    codes = keys.filter(type=Authenticator.Type.RECOVERY_CODES).first()
    values = {
        "passkeys": keys.filter(type=Authenticator.Type.WEBAUTHN).count(),
        "has_app": keys.filter(type=Authenticator.Type.TOTP).exists(),
        "codes": len(RecoveryCodes(codes).get_unused_codes()) if codes else 0,
        "sessions": len(UserSession.objects.purge_and_list(person)),
    }
    return render(request, "door/account.html", values)


@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """Show where a person is logged in, and end one of these sessions."""
    there = UserSession.objects.purge_and_list(request.user)
    if request.method == "POST":
        for each in there:
            if str(each.pk) == request.POST.get("session"):
                each.end()
                events.record("session ended", request, request.user.name)
        return redirect("sessions")
    shown = [(each, device_name(each.user_agent)) for each in there]
    return render(request, "door/sessions.html", {"sessions": shown})


@login_required
@require_POST
def end_sessions(request: HttpRequest) -> HttpResponse:
    """End all sessions of a person, this one too."""
    request.user.end_sessions()
    events.record("all sessions ended", request, request.user.name)
    logout(request)
    return redirect("account_login")


@login_required
@reauthentication_required(app="allauth.mfa")
def people(request: HttpRequest) -> HttpResponse:
    """Show an admin who can log in, and invite a person."""
    if not request.user.is_admin:
        raise PermissionDenied
    values: dict[str, Any] = {}
    if request.method == "POST":
        person = Person.objects.filter(name=request.POST.get("name", "")).first()
        if person is None or not person.is_active:
            raise Http404
        values = invite(request, person)
    values["people"] = [state(person) for person in Person.objects.order_by("name") if person.is_active]
    return render(request, "door/people.html", values)


def invite(request: HttpRequest, person: Person) -> dict[str, Any]:
    """Invite a person; return the link and its end."""
    invitation, code = Invitation.make(person)
    events.invited(request, "made", person.name, by=request.user.name)
    return {
        "invited": person.name,
        "link": f"{request.home.issuer}/invitation/#{code}",
        "expires": invitation.expires,
    }


def state(person: Person) -> dict[str, Any]:
    """Return whether a person can log in."""
    invitation = Invitation.objects.filter(person=person).first()
    still_open = bool(invitation and Invitation.find(invitation.hash))
    return {
        "name": person.name,
        "passkey": person.has(Authenticator.Type.WEBAUTHN),
        "password": person.has_usable_password() and person.has(Authenticator.Type.TOTP),
        "invited": still_open,
    }
