"""The way in for a person who has lost the passkey: a recovery code."""

from allauth.core import ratelimit
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from homeserver_door import events, pages
from homeserver_door.accounts import enter
from homeserver_door.models import Person


def page(request: HttpRequest) -> HttpResponse:
    """Take a name and a recovery code, and lead to a new passkey."""
    if request.method != "POST":
        return render(request, "door/recover.html")
    name = request.POST.get("name", "").strip().lower()[:63]
    if not ratelimit.consume(request, action="recover", key=name):
        return pages.too_many(request)
    person = _person(name, "".join(request.POST.get("code", "").split()))
    if person is None:
        events.failed(request, "recovery code", name)
        return render(request, "door/recover.html", {"wrong": True, "name": name}, status=403)
    return enter(request, person, "recovery code", reverse("mfa_add_webauthn"))


def _person(name: str, code: str) -> Person | None:
    codes = Authenticator.objects.filter(user__name=name, type=Authenticator.Type.RECOVERY_CODES).first()
    if codes is None or not codes.user.is_active or not RecoveryCodes(codes).validate_code(code):
        return None
    person: Person = codes.user
    return person
