import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.diagnosis import (
    likely_cause,
    telling_lines,
)


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            'E1124 14:04:16.2 9042 run.go:72] "command failed" err="unknown flag: --no-such"',
            "there is no flag --no-such -> remove it from the microk8s_extra_*_args",
        ),
        (
            'Error: invalid argument "lots" for "--max-pods" flag: strconv.ParseInt',
            "the flag --max-pods takes no 'lots' -> correct it in the microk8s_extra_*_args",
        ),
        ("Error: unrecognized feature gate: Nonsense", "there is no feature gate Nonsense -> remove it"),
        (
            "listen tcp 0.0.0.0:10250: bind: address already in use",
            "0.0.0.0:10250 is taken by another program",
        ),
        ("write /var/snap/x: no space left on device", "the disk is full -> free space at /var/snap"),
        (
            "x509: certificate has expired or is not yet valid: current time",
            "a certificate has expired, or the clock",
        ),
        ("kubelet is configured to not run on a host using cgroup v1", "control groups of version 1"),
        (
            'Failed: Failed to pull image "docker.io/calico/cni:v3.28.5": failed to pull and unpack image '
            '"docker.io/calico/cni:v3.28.5": docker.io/calico/cni:v3.28.5: not found',
            "the image docker.io/calico/cni:v3.28.5 cannot be pulled, or not yet -> if the connection is",
        ),
        ("Addon gpuu was not found in any repository", "there is no addon gpuu"),
    ],
)
def test_a_known_problem_is_recognized(log: str, cause: str) -> None:
    assert cause in str(likely_cause(f"starting\n{log}\nended"))


def test_the_last_problem_counts_and_an_unknown_one_is_not_guessed() -> None:
    log = "unknown flag: --first\nno space left on device\n"
    assert "disk is full" in str(likely_cause(log))
    assert likely_cause("all is well") is None


def test_errors_are_found_in_noise_and_similar_ones_shown_once() -> None:
    log = [
        "Usage:",
        "      --bind-address ip   address",
        "I1124 14:03:38.0    8528 controller.go:1] started",
        *(
            f'E1124 14:0{n}:39.1    85{n} pods.go:9] "Error syncing pod" uid="{n}abcdef012345"'
            for n in range(5)
        ),
        "F1124 14:09:00.0    8528 run.go:7] exit",
    ]
    lines = telling_lines(log)
    assert len(lines) == 2
    assert "4abcdef012345" in lines[0]
    assert lines[1].startswith("F1124")


def test_without_errors_the_last_lines_are_shown() -> None:
    assert telling_lines(["one", "two"]) == ["one", "two"]
