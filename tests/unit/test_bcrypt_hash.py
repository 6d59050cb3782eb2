"""Passwords are hashed to the same in each run, and a long one fast."""

import bcrypt
import pytest
from ansible_collections.homeserver.stack.plugins.filter.bcrypt_hash import bcrypt_hash


@pytest.mark.parametrize(
    ("password", "cost"), [("guessable", "10"), ("x" * 31, "10"), ("x" * 32, "04"), ("é" * 40, "04")]
)
def test_a_password_opens_its_account(password: str, cost: str) -> None:
    hashed = bcrypt_hash(password, "home/ada")

    assert bcrypt.checkpw(password.encode()[:72], hashed.encode())
    assert not bcrypt.checkpw(b"another", hashed.encode())
    assert hashed.startswith(f"$2b${cost}$")


def test_a_hash_is_the_same_in_each_run_and_differs_between_accounts() -> None:
    assert bcrypt_hash("the same", "home/ada") == bcrypt_hash("the same", "home/ada")
    assert bcrypt_hash("the same", "home/ada") != bcrypt_hash("the same", "home/ben")
