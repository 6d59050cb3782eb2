import time

import pytest
from microk8s import tokens

from .conftest import Node

TOKEN = "0123456789abcdef0123456789abcdef"


def test_a_token_admits_one_node(node: Node) -> None:
    tokens.add_for_joining(TOKEN, -1)
    tokens.add_for_joining(f"{TOKEN}0", -1)
    assert node.read("credentials/cluster-tokens.txt") == f"{TOKEN}\n{TOKEN}0\n"
    assert tokens.may_join(TOKEN)
    assert not tokens.may_join(TOKEN)
    assert node.read("credentials/cluster-tokens.txt") == f"{TOKEN}0\n"


def test_a_token_that_expires_admits_any_number_of_nodes_until_then(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    tokens.add_for_joining(TOKEN, 60)
    assert node.read("credentials/cluster-tokens.txt") == f"{TOKEN}|{int(now) + 60}\n"
    assert tokens.may_join(TOKEN)
    assert tokens.may_join(TOKEN)
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert not tokens.may_join(TOKEN)


def test_a_persistent_token_stays(node: Node) -> None:
    file = node.data / "credentials/persistent-cluster-tokens.txt"
    file.write_text(f"{TOKEN}\n")
    assert tokens.may_join(TOKEN)
    assert tokens.may_join(TOKEN)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("guess", ["", TOKEN[:8], f"{TOKEN}|", f"{TOKEN}0"])
def test_part_of_a_token_admits_nobody(guess: str) -> None:
    tokens.add_for_joining(TOKEN, 60)
    tokens.add_for_joining(TOKEN[::-1], -1)
    assert not tokens.may_join(guess)
