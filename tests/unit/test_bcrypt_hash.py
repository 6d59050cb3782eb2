"""Passwords are hashed to the same in each run, and generated ones fast."""

from pathlib import Path

import bcrypt
import pytest
from ansible_collections.homeserver.stack.plugins.filter.bcrypt_hash import bcrypt_hash

from harness.rendering import Role

GENERATED = "q7Wn2xKc9Tz4Rb1Lm8Vd5Hs3Jf6Gp0Ya"
PHRASES = (
    "guessable",
    "x" * 32,
    "é" * 40,
    "correct horse battery staple 12 A",
    "correcthorsebatterystaple1234567",
)


@pytest.mark.parametrize(("password", "cost"), [(GENERATED, "04"), *((phrase, "10") for phrase in PHRASES)])
def test_a_password_opens_its_account(password: str, cost: str) -> None:
    hashed = bcrypt_hash(password, "home/ada", generated=True)

    assert bcrypt.checkpw(password.encode()[:72], hashed.encode())
    assert not bcrypt.checkpw(b"another", hashed.encode())
    # Somebody may have put a password of his own into the file.
    assert hashed.startswith(f"$2b${cost}$")


@pytest.mark.parametrize("password", [GENERATED, *PHRASES])
def test_a_password_that_an_owner_gives_is_hashed_slowly(password: str) -> None:
    assert bcrypt_hash(password, "home/ada").startswith("$2b$10$")


def test_what_the_lookup_generates_is_known_as_such(tmp_path: Path) -> None:
    role = Role("traefik", tmp_path)
    passwords = [
        role.value(f"lookup('homeserver.stack.secret', '{tmp_path}/{number}.password')")
        for number in range(20)
    ]
    fast = [each for each in passwords if bcrypt_hash(each, "home/ada", generated=True).startswith("$2b$04$")]

    # One in three hundred has no digit.
    assert len(fast) >= 18


def test_a_hash_is_the_same_in_each_run_and_differs_between_accounts() -> None:
    assert bcrypt_hash("the same", "home/ada") == bcrypt_hash("the same", "home/ada")
    assert bcrypt_hash("the same", "home/ada") != bcrypt_hash("the same", "home/ben")
