"""The way in for a person who has no passkey yet."""

import base64

from allauth.account.forms import SetPasswordForm
from allauth.core import ratelimit
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import TOTP, clear_totp_secret
from allauth.mfa.webauthn.forms import SignupWebAuthnForm
from allauth.mfa.webauthn.internal import auth, flows
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from homeserver_door import events, pages
from homeserver_door.accounts import enter
from homeserver_door.models import Invitation, Person, hashed

_CODE = "invitation"


def enter_code(request: HttpRequest) -> HttpResponse:
    """Take the code of an invitation. It comes after the # of the link, so that no log on the way has it."""
    if request.method != "POST":
        return render(request, "door/invitation.html")
    if not ratelimit.consume(request, action="invitation"):
        return pages.too_many(request)
    invitation = Invitation.find(hashed(request.POST.get("code", "").strip()))
    if invitation is None:
        return _refuse(request)
    request.session.cycle_key()
    request.session[_CODE] = invitation.hash
    return redirect("invitation_passkey")


def passkey(request: HttpRequest) -> HttpResponse:
    """Make the first passkey of a person who was invited."""
    invitation = Invitation.find(request.session.get(_CODE, ""))
    if invitation is None:
        return _refuse(request)
    person = invitation.person
    form = SignupWebAuthnForm(request.POST if request.method == "POST" else None, user=person)
    if request.method == "POST" and form.is_valid():
        return _accept(request, invitation, form)
    options = auth.begin_registration(person, True)
    values = {"form": form, "person": person, "js_data": {"creation_options": options}}
    return render(request, "door/passkey.html", values)


def password(request: HttpRequest) -> HttpResponse:
    """Set a password and an authenticator app, for a person whose device has no passkeys."""
    invitation = Invitation.find(request.session.get(_CODE, ""))
    if invitation is None:
        return _refuse(request)
    data = request.POST if request.method == "POST" else None
    chosen = SetPasswordForm(data=data, user=invitation.person)
    app = ActivateTOTPForm(data, user=invitation.person)
    if request.method == "POST" and chosen.is_valid() and app.is_valid():
        return _accept_password(request, invitation, chosen, app.secret)
    keys = get_adapter()
    picture = keys.build_totp_svg(keys.build_totp_url(invitation.person, app.secret))
    values = {
        "person": invitation.person,
        "chosen": chosen,
        "app": app,
        "picture": base64.b64encode(picture.encode()).decode(),
    }
    return render(request, "door/password.html", values)


@transaction.atomic
def _accept(request: HttpRequest, invitation: Invitation, form: SignupWebAuthnForm) -> HttpResponse:
    if not invitation.use():
        return _refuse(request)
    flows.signup_authenticator(
        request, invitation.person, form.cleaned_data["name"], form.cleaned_data["credential"]
    )
    return _let_in(request, invitation.person)


@transaction.atomic
def _accept_password(
    request: HttpRequest, invitation: Invitation, chosen: SetPasswordForm, secret: str
) -> HttpResponse:
    if not invitation.use():
        return _refuse(request)
    person = invitation.person
    chosen.save()
    Authenticator.objects.filter(user=person, type=Authenticator.Type.TOTP).delete()
    TOTP.activate(person, secret)
    clear_totp_secret(request)
    return _let_in(request, person)


def _let_in(request: HttpRequest, person: Person) -> HttpResponse:
    RecoveryCodes.activate(person)
    request.session.pop(_CODE, None)
    events.invited(request, "used", person.name)
    return enter(request, person, "invitation", reverse("mfa_view_recovery_codes"))


def _refuse(request: HttpRequest) -> HttpResponse:
    request.session.pop(_CODE, None)
    events.invited(request, "refused")
    return pages.error(
        request,
        410,
        "This invitation is no longer valid",
        "An invitation works once, and for a day. Ask whoever looks after this home for a new one.",
    )
