"""`microk8s add-node` and `microk8s remove-node`."""

import argparse
import json
import secrets
import subprocess
import sys

import yaml

from . import arguments, certificates, console, kubernetes, network, tokens

FORMATS = ("pretty", "short", "token", "token-check", "json", "yaml")


def add(words: list[str]) -> None:
    """Make a token that lets a node join, and print what that node has to run.

    Raises:
        SystemExit: With 1, for a token that is too short.
    """
    parser = argparse.ArgumentParser("microk8s add-node", allow_abbrev=False)
    parser.add_argument("-l", "--token-ttl", type=int, default=-1, help="seconds of validity, -1: single use")
    parser.add_argument("-t", "--token", help="the token to add, of at least 32 characters")
    parser.add_argument("--format", default="pretty", choices=FORMATS)
    options = parser.parse_args(words)
    token = secrets.token_hex(16) if options.token is None else options.token
    if len(token) < tokens.LEAST_LENGTH:
        console.leave("Invalid token size.  It must be 32 characters long.", 1)
    tokens.add_for_joining(token, options.token_ttl)
    console.say(described(options.format, token, certificates.fingerprint()))


def described(style: str, token: str, check: str) -> str:
    """Return the output of `add-node` in one of its formats."""
    secret = f"{token}/{check}"
    if style in {"token", "token-check"}:
        return token if style == "token" else secret
    addresses, default, port = network.addresses(), network.default_address(), arguments.agent_port()
    urls = [f"{address}:{port}/{secret}" for address in addresses]
    if style in {"json", "yaml"}:
        content = {"token": secret, "urls": urls}
        return json.dumps(content, indent=2) if style == "json" else yaml.safe_dump(content)
    join = f"microk8s join {default}:{port}/{secret}"
    if style == "short":
        others = (url for address, url in zip(addresses, urls, strict=True) if address != default)
        return "\n".join([join, *(f"microk8s join {url}" for url in others)])
    return "\n".join(
        [
            "From the node you wish to join to this cluster, run the following:",
            f"{join}\n",
            "Use the '--worker' flag to join a node as a worker not running the control plane, eg:",
            f"{join} --worker\n",
            "If the node you are adding is not reachable through the default interface"
            " you can use one of the following:",
            *(f"microk8s join {url}" for url in urls),
        ]
    )


def remove(words: list[str]) -> None:
    """Delete the Kubernetes node with this name or address, silently.

    Raises:
        SystemExit: With 1, if there is no such node.
    """
    if not words:
        console.leave("Please provide the node you want to remove.", 1)
    if len(words) == 2 and words[1] != "--force":
        console.leave("Please provide the node and the optional --force flag.", 1)
    parser = argparse.ArgumentParser("microk8s remove-node", allow_abbrev=False)
    parser.add_argument("node")
    parser.add_argument("--force", action="store_true", help="also if the node still is in the datastore")
    wanted = parser.parse_args(words)
    name = kubernetes.node_names_by_address().get(wanted.node, wanted.node)
    try:
        kubernetes.kubectl("get", "node", name)
    except subprocess.CalledProcessError:
        console.say(f"Node {name} does not exist in Kubernetes.")
        if wanted.force:
            console.say(f"Attempting to remove {name} from dqlite.")
        sys.exit(1)
    kubernetes.kubectl("delete", "node", name)
