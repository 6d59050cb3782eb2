"""What is remembered of a person. Whether there is such a person, only the configuration says."""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from allauth.idp.oidc.models import Token
from allauth.mfa.models import Authenticator
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models, transaction
from django.utils import timezone

from homeserver_door import home
from homeserver_door.config import ADMINS

_VALID = timedelta(days=1)


class Person(AbstractBaseUser):
    """A person, under the name in the configuration.

    Attributes:
        name: The name.
        epoch: Goes up when all sessions end.
        present: Whether the configuration had this person when it was last applied.
    """

    name = models.CharField(max_length=63, unique=True)
    epoch = models.PositiveIntegerField(default=0)
    present = models.BooleanField(default=True)

    USERNAME_FIELD = "name"
    objects = BaseUserManager()

    def __str__(self) -> str:
        return str(self.name)

    @property
    def is_active(self) -> bool:
        """Whether the configuration has this person now. Django and allauth ask before each use."""
        return self.name in home.current().people

    @property
    def email(self) -> str:
        """The address that the configuration has."""
        known = home.current().people.get(self.name)
        return known.email if known else ""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups in the configuration; none for a person who is not in it."""
        known = home.current().people.get(self.name)
        return known.groups if known else ()

    @property
    def is_admin(self) -> bool:
        """Whether this person may invite people."""
        return ADMINS in self.groups

    def get_session_auth_hash(self) -> str:
        """Return the value that a valid session contains."""
        return f"{super().get_session_auth_hash()}{self.epoch}"

    def get_session_auth_fallback_hash(self) -> Any:
        """Return what sessions under earlier keys know."""
        for each in super().get_session_auth_fallback_hash():
            yield f"{each}{self.epoch}"

    def end_sessions(self) -> None:
        """End all sessions of this person, and all that clients were given."""
        self.epoch += 1
        self.save(update_fields=["epoch"])
        Token.objects.filter(user=self).delete()

    def leave(self) -> None:
        """End all that this person has open. The keys stay, should the person come back."""
        self.present = False
        self.save(update_fields=["present"])
        Invitation.objects.filter(person=self).delete()
        self.end_sessions()

    @transaction.atomic
    def forget_keys(self) -> None:
        """Remove all ways in, and end all sessions."""
        Authenticator.objects.filter(user=self).delete()
        self.set_unusable_password()
        self.save(update_fields=["password"])
        self.end_sessions()

    def has(self, kind: str) -> bool:
        """Return whether this person has a key of a kind."""
        return bool(Authenticator.objects.filter(user=self, type=kind).exists())


class Invitation(models.Model):
    """A way in for a person who has none yet, once and for a day. Only a hash of its code is stored."""

    person = models.OneToOneField(Person, on_delete=models.CASCADE)
    hash = models.CharField(max_length=64, unique=True)
    expires = models.DateTimeField()

    def __str__(self) -> str:
        return f"invitation of {self.person}"

    @classmethod
    def make(cls, person: Person) -> tuple["Invitation", str]:
        """Replace the invitation of a person; return the new one and its code."""
        code = secrets.token_urlsafe(32)
        values = {"hash": hashed(code), "expires": timezone.now() + _VALID}
        made, _ = cls.objects.update_or_create(person=person, defaults=values)
        return made, code

    @classmethod
    def find(cls, code_hash: str) -> "Invitation | None":
        """Return an open invitation of a person of the home, by the hash of its code."""
        found = (
            cls.objects.select_related("person").filter(hash=code_hash, expires__gt=timezone.now()).first()
        )
        return found if found and found.person.is_active else None

    def use(self) -> bool:
        """Close this invitation; return whether it was still open."""
        closed, _ = Invitation.objects.filter(hash=self.hash, expires__gt=timezone.now()).delete()
        return bool(closed)


def hashed(code: str) -> str:
    """Return the hash of an invitation's code, which is random and long, so that it needs no salt."""
    return hashlib.sha256(code.encode()).hexdigest()
