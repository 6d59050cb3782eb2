"""The way in for a person who has no passkey yet."""

from allauth.core import ratelimit
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.webauthn.forms import SignupWebAuthnForm
from allauth.mfa.webauthn.internal import auth, flows
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from homeserver_door import events, pages
from homeserver_door.accounts import enter
from homeserver_door.models import Invitation, hashed

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


@transaction.atomic
def _accept(request: HttpRequest, invitation: Invitation, form: SignupWebAuthnForm) -> HttpResponse:
    if not invitation.use():
        return _refuse(request)
    person = invitation.person
    flows.signup_authenticator(request, person, form.cleaned_data["name"], form.cleaned_data["credential"])
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
