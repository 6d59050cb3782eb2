"""The files of tokens: one in each line, `TOKEN` or, if it expires, `TOKEN|EPOCH`."""

import hmac
import secrets
import time

from . import arguments, paths

LEAST_LENGTH = 32
CLUSTER = "cluster-tokens.txt"
PERSISTENT = "persistent-cluster-tokens.txt"
CERTIFICATE_REQUESTS = "certs-request-tokens.txt"
CALLBACK = "callback-token.txt"


def add(name: str, *tokens: str) -> None:
    """Append lines to a file of tokens."""
    with arguments.exclusive_lock(paths.credential("")), paths.credential(name).open("a") as file:
        file.writelines(f"{token}\n" for token in tokens)


def add_for_joining(token: str, ttl: int) -> None:
    """Allow one node to join with a token or, for `ttl` seconds unless that is -1, any number of them."""
    add(CLUSTER, token if ttl == -1 else f"{token}|{int(time.time()) + ttl}")


def may_join(token: str) -> bool:
    """Return whether a token allows to join; one without expiry is used up by this."""
    return token in _lines(PERSISTENT) or consume(CLUSTER, token)


def consume(name: str, token: str) -> bool:
    """Return whether a token is valid, and remove it from the file if it does not expire."""
    with arguments.exclusive_lock(paths.credential("")):
        lines = _lines(name)
        if token in lines:
            lines.remove(token)
            paths.credential(name).write_text("".join(f"{line}\n" for line in lines))
            return True
    expiries = [line.partition("|")[2] for line in lines if line.startswith(f"{token}|")]
    return any(int(expiry) > time.time() for expiry in expiries)


def _lines(name: str) -> list[str]:
    file = paths.credential(name)
    return [line for line in file.read_text().split() if line] if file.exists() else []


def callback() -> str:
    """Return the token that the cluster's nodes show each other, which is made when it is first needed."""
    file = paths.credential(CALLBACK)
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(f"{secrets.token_hex(32)}\n")
    return file.read_text().strip()


def is_callback(token: str) -> bool:
    """Tell whether a token is that one. Like MicroK8s, it may be shown any number of times."""
    return any(hmac.compare_digest(line, token) for line in _lines(CALLBACK))
