"""Brings the database in line with the configuration."""

from allauth.idp.oidc.models import Client, Token
from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

from homeserver_door import audit, home
from homeserver_door.config import Client as Known
from homeserver_door.config import Home
from homeserver_door.models import Invitation, Person

SCOPES = ("openid", "profile", "email", "groups")


@transaction.atomic
def apply(now: Home) -> None:
    """Add new people and clients, end all that others had."""
    _people(now)
    _clients(now)


def clean() -> None:
    """Remove what has expired."""
    at = timezone.now()
    Session.objects.filter(expire_date__lt=at).delete()
    Token.objects.expired().delete()
    Invitation.objects.filter(expires__lt=at).delete()


def _people(now: Home) -> None:
    there = {person.name: person for person in Person.objects.all()}
    for name in now.people.keys() - there.keys():
        person = Person(name=name)
        person.set_unusable_password()
        person.save()
    for name in there.keys() - now.people.keys():
        if there[name].present:
            there[name].leave()
            audit.record("person removed", person=name)
    Person.objects.filter(name__in=now.people, present=False).update(present=True)


def _clients(now: Home) -> None:
    Client.objects.exclude(id__in=now.clients).delete()
    for client in now.clients.values():
        stored = Client.objects.filter(id=client.id).first() or Client(id=client.id, secret="")
        before = {field.attname: getattr(stored, field.attname) for field in Client._meta.fields}
        _describe(stored, client, now)
        if any(getattr(stored, name) != value for name, value in before.items()):
            stored.save()


def _describe(stored: Client, client: Known, now: Home) -> None:
    grants = ["refresh_token"]
    if client.redirect_uris:
        grants.append("authorization_code")
    if client.public:
        grants.append("urn:ietf:params:oauth:grant-type:device_code")
    else:
        _give_secret(stored, home.secret(f"client-{client.id}"))
    stored.name = client.name
    stored.type = Client.Type.PUBLIC if client.public else Client.Type.CONFIDENTIAL
    stored.skip_consent = client.trusted
    stored.set_scopes(list(SCOPES))
    stored.set_default_scopes(["openid"])
    stored.set_grant_types(sorted(grants))
    stored.set_response_types(["code"])
    stored.set_redirect_uris(list(client.redirect_uris))
    stored.data = {"client_metadata": {"post_logout_redirect_uris": [now.start]}}


def _give_secret(stored: Client, secret: str) -> None:
    if not stored.secret or not stored.check_secret(secret):
        # It is random and long, so that one round is enough, and each request of the gate is quick.
        stored.secret = make_password(secret, hasher="random")
