from pathlib import Path

import pytest
from microk8s import arguments

from .conftest import Node


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--a=1\n--b 2\n", ["--a=1", "--b", "2"]),
        ("# a comment\n\n--a=1\n  # and another\n", ["--a=1"]),
        ("--dir=${SNAP_DATA}/x\n--dir=$SNAP_DATA/y\n", ["--dir=/data/x", "--dir=/data/y"]),
        (
            "--e=\"memory.available<100Mi\"\n--u='https://x'\n",
            ["--e=memory.available<100Mi", "--u=https://x"],
        ),
        # Like in the real one, a value cannot contain a space.
        ('--a="1 2"\n', ["--a=1", "2"]),
    ],
)
def test_a_file_is_parsed_like_kubelite_does(text: str, expected: list[str]) -> None:
    assert arguments.parse(text, {"SNAP_DATA": "/data"}) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"--b": "9"}, "--a=1\n# note\n--b=9\n--b-c=3\n"),
        ({"--b": None}, "--a=1\n# note\n--b-c=3\n"),
        ({"--new": "x"}, "--a=1\n# note\n--b 2\n--b-c=3\n--new=x\n"),
        ({"--absent": None}, "--a=1\n# note\n--b 2\n--b-c=3\n"),
    ],
)
def test_flags_are_set_and_removed_in_place(changes: dict[str, str | None], expected: str) -> None:
    assert arguments.edited("--a=1\n# note\n--b 2\n--b-c=3\n", changes) == expected


def test_a_flag_given_twice_is_set_once() -> None:
    assert arguments.edited("--a=1\n--a=2\n", {"--a": "3"}) == "--a=3\n"


def test_only_a_real_change_is_reported(node: Node) -> None:
    assert arguments.change("kubelet", {"--max-pods": "50"})
    assert not arguments.change("kubelet", {"--max-pods": "50"})
    assert arguments.get("kubelet", "--max-pods") == "50"
    assert "--max-pods=50" in node.read("args/kubelet").splitlines()


def test_a_value_with_an_equals_sign_counts_as_changed_every_time(node: Node) -> None:
    for _ in range(2):
        assert arguments.change("kubelet", {"--feature-gates": "A=true"})
    assert node.read("args/kubelet").count("--feature-gates=A=true") == 1


def test_a_process_stopped_during_a_change_leaves_the_old_file(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = node.read("args/kubelet")

    def stopped(file: Path, _text: str) -> None:
        file.open("w").close()
        raise SystemExit

    monkeypatch.setattr(Path, "write_text", stopped)
    with pytest.raises(SystemExit):
        arguments.change("kubelet", {"--max-pods": "50"})
    assert node.read("args/kubelet") == before


def test_environment_files_can_have_comments(node: Node) -> None:
    (node.data / "args/containerd-env").write_text("# HTTP_PROXY=no\nHTTPS_PROXY=http://u:p@proxy:1/?a=b\n")
    assert arguments.environment("containerd-env") == {"HTTPS_PROXY": "http://u:p@proxy:1/?a=b"}
