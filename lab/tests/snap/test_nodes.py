import hashlib
import json
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from microk8s import certificates, network, nodes

from .conftest import Node, microk8s

TOKEN = "0123456789abcdef0123456789abcdef"
# Two nodes. What is deleted is noted.
KUBECTL = """\
#!/bin/sh
case "$2 $3 $4" in
"get nodes "*) printf '192.0.2.7 founder\\n192.0.2.8 attic\\n' ;;
"get node attic" | "get node founder") ;;
"delete node "*) echo "$4" >> "$SNAP_COMMON/deleted" ;;
*) exit 1 ;;
esac
"""


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("token", "T"),
        ("token-check", "T/C"),
        (
            "json",
            '{\n  "token": "T/C",\n  "urls": [\n'
            '    "192.0.2.8:25000/T/C",\n    "192.0.2.7:25000/T/C"\n  ]\n}',
        ),
        ("yaml", "token: T/C\nurls:\n- 192.0.2.8:25000/T/C\n- 192.0.2.7:25000/T/C\n"),
        ("short", "microk8s join 192.0.2.7:25000/T/C\nmicrok8s join 192.0.2.8:25000/T/C"),
    ],
)
def test_formats(monkeypatch: pytest.MonkeyPatch, style: str, expected: str) -> None:
    monkeypatch.setattr(network, "addresses", lambda: ["192.0.2.8", "192.0.2.7"])
    monkeypatch.setattr(network, "default_address", lambda: "192.0.2.7")
    assert nodes.described(style, "T", "C") == expected


@pytest.mark.usefixtures("node")
def test_people_are_told_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "default_address", lambda: "192.0.2.7")
    lines = nodes.described("pretty", "T", "C").splitlines()
    assert [line for line in lines if line.startswith("microk8s")] == [
        "microk8s join 192.0.2.7:25000/T/C",
        "microk8s join 192.0.2.7:25000/T/C --worker",
        "microk8s join 192.0.2.7:25000/T/C",
    ]


def test_the_fingerprint_is_that_of_the_certificate_that_the_agent_shows(node: Node) -> None:
    command = ["openssl", "x509", "-in", str(node.data / "certs/server.crt"), "-outform", "der"]
    der = subprocess.run(command, check=True, capture_output=True).stdout
    assert certificates.fingerprint() == hashlib.sha256(der).hexdigest()[:12]


def test_each_call_makes_a_token(node: Node) -> None:
    assert node.read("credentials/cluster-tokens.txt") == ""
    first, second = (microk8s(node, "add-node", "--format", "token").stdout for _ in range(2))
    assert len(first.strip()) == 32
    assert node.read("credentials/cluster-tokens.txt") == first + second


@pytest.mark.parametrize("style", ["pretty", "short", "token", "token-check", "json", "yaml"])
def test_a_token_of_the_owner(node: Node, style: str) -> None:
    done = microk8s(node, "add-node", "-t", TOKEN, "-l", "60", "--format", style)
    assert done.returncode == 0
    assert TOKEN in done.stdout
    assert done.stdout.endswith("\n\n") is (style == "yaml")
    assert done.stderr == ""
    token, _, expiry = node.read("credentials/cluster-tokens.txt").strip().partition("|")
    assert token == TOKEN
    assert 50 < int(expiry) - time.time() <= 60
    if style in {"json", "yaml"}:
        read = json.loads if style == "json" else yaml.safe_load
        assert read(done.stdout)["token"] == f"{TOKEN}/{certificates.fingerprint()}"


@pytest.mark.parametrize(
    ("words", "code", "output"),
    [
        ("-t short", 1, "Invalid token size.  It must be 32 characters long.\n"),
        ("--format xml", 2, ""),
        ("-l soon", 2, ""),
    ],
)
def test_bad_arguments_of_add_node(node: Node, words: str, code: int, output: str) -> None:
    done = microk8s(node, "add-node", *words.split())
    assert (done.returncode, done.stdout) == (code, output)
    assert node.read("credentials/cluster-tokens.txt") == ""


def _deleted(node: Node) -> str:
    file = Path(node.common / "deleted")
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize(
    ("words", "code", "output", "deleted"),
    [
        ("attic", 0, "", "attic\n"),
        ("192.0.2.8", 0, "", "attic\n"),
        ("attic --force", 0, "", "attic\n"),
        ("cellar", 1, "Node cellar does not exist in Kubernetes.\n", ""),
        ("192.0.2.9", 1, "Node 192.0.2.9 does not exist in Kubernetes.\n", ""),
        (
            "cellar --force",
            1,
            "Node cellar does not exist in Kubernetes.\nAttempting to remove cellar from dqlite.\n",
            "",
        ),
        ("", 1, "Please provide the node you want to remove.\n", ""),
        ("attic --now", 1, "Please provide the node and the optional --force flag.\n", ""),
        ("--force attic", 1, "Please provide the node and the optional --force flag.\n", ""),
    ],
)
def test_remove_node(node: Node, words: str, code: int, output: str, deleted: str) -> None:
    node.program("kubectl", KUBECTL)
    done = microk8s(node, "remove-node", *words.split())
    assert (done.returncode, done.stdout) == (code, output)
    assert _deleted(node) == deleted
