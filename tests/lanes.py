"""Lanes: stories of a home that take minutes. Each run of `make test` includes one of them, in turn.

Which one is decided by the files that the last commit changed, otherwise by the number of commits.
"""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.build import cache_root

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Lane:
    """A story, which is the test of its name in tests/scenarios/test_lanes.py.

    Attributes:
        name: The name, as in `make lane LANE=power`.
        files: What belongs to it, as patterns of git.
    """

    name: str
    files: tuple[str, ...]

    @property
    def _record(self) -> Path:
        return cache_root() / "lanes" / self.name

    def passed(self, seconds: float) -> None:
        """Note that it has passed at this commit, and in how many seconds."""
        self._record.parent.mkdir(parents=True, exist_ok=True)
        self._record.write_text(
            json.dumps({"seconds": round(seconds), "commit": _git("rev-parse", "--short", "HEAD")})
        )

    @property
    def last(self) -> str:
        """When it last passed on this machine, and at which commit."""
        if not self._record.exists():
            return "has not passed on this machine yet"
        record = json.loads(self._record.read_text())
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(self._record.stat().st_mtime))
        return f"passed in {record['seconds']} s, {day}, at {record['commit']}"


_CLUSTER = ("molecule/cluster/tests/conftest.py", "harness/machines.py")
_FAULTS = ("molecule/chaos", "harness/chaos.py", "harness/faults.py")
LANES = (
    Lane(
        "small",
        (
            *(f"molecule/{name}" for name in ("without_logs", "addresses", "arguments", "removal", "pull")),
            "tests/integration",
            "playbooks/reset.yml",
            "playbooks/stages/remove_workloads.yml",
        ),
    ),
    Lane("joining", (*_CLUSTER, "molecule/cluster/tests/test_[jnt]*", "roles/microk8s/tasks/*join*")),
    Lane(
        "power",
        (*_CLUSTER, "molecule/cluster/tests/test_[bpw]*", "molecule/cluster/tests/test_monitoring.py"),
    ),
    Lane("leaving", (*_CLUSTER, "molecule/cluster/tests/test_[el]*", "roles/microk8s/tasks/*leave*")),
    Lane(
        "apps",
        (
            "molecule/apps/tests/test_[mu]*",
            "roles/apps",
            "playbooks/move_in.yml",
            "roles/restore/tasks/move*",
        ),
    ),
    Lane(
        "catalogue",
        (
            "molecule/apps/tests/test_[cd]*",
            "roles/apps/catalogue",
            "images/devices",
            "lab/recipes/s6",
            "lab/recipes/samba",
        ),
    ),
    Lane("passwords", ("molecule/rotate/tests/test_rotate_passwords.py", "playbooks/rotate.yml")),
    Lane("authority", ("molecule/rotate/tests/test_rotate_authority.py", "plugins/*/*authority.py")),
    Lane("restore", ("molecule/restore", "roles/backup", "roles/restore", "plugins/modules/*backup*")),
    Lane(
        "upgrade",
        (
            "molecule/upgrade",
            "roles/microk8s/tasks/*upgrade*",
            "plugins/module_utils/kubernetes/upgrade.py",
            "plugins/*/volume_copies.py",
        ),
    ),
    Lane("patches", ("molecule/patches", "harness/snap_store.py", "plugins/module_utils/nodes/patches.py")),
    Lane("takeover", ("molecule/takeover", "plugins/action/component.py", "plugins/plugin_utils")),
    Lane("upgrade-of-two", ("molecule/upgrade_of_two",)),
    Lane("faults", _FAULTS),
    Lane("long-faults", _FAULTS),
    Lane("debian-13", ("lab/catalogue/__init__.py", "lab/guest", "roles/microk8s/tasks/snapd.yml")),
    Lane("control", ("harness/debian_13.py", "requirements*.txt", "pyproject.toml")),
    Lane("standalone", ("molecule/*/molecule.yml", "molecule/*/converge.yml", "extensions/molecule")),
)
# The scenarios that a developer runs one by one and that are no lanes. The lane `standalone` has one of them.
STANDALONE = (
    "default",
    "traefik",
    "welcome",
    "microk8s",
    "firewall",
    "apps",
    "prometheus",
    "grafana",
    "elk",
    "tracing",
    "incident",
    "options",
    "addresses",
    "arguments",
    "without_logs",
    "pull",
    "removal",
)


def chosen(changed: Sequence[Lane], turn: int) -> Lane:
    """Return one of the lanes whose files were changed, or of all if none were."""
    lanes = changed or LANES
    return lanes[turn % len(lanes)]


def of_this_commit() -> Lane:
    """Return the lane whose turn it is."""
    return chosen([lane for lane in LANES if _changed(lane)], commits())


def standalone_of_this_commit() -> str:
    """Return the scenario whose turn it is to run by itself."""
    return STANDALONE[commits() // len(LANES) % len(STANDALONE)]


def commits() -> int:
    """Return the number of commits."""
    return int(_git("rev-list", "--count", "HEAD"))


def named(name: str) -> Lane:
    """Return the lane of this name.

    Raises:
        SystemExit: There is none; with the names of all.
    """
    for lane in LANES:
        if lane.name == name:
            return lane
    raise SystemExit(f"LANE is {name!r} (expected one of {', '.join(lane.name for lane in LANES)})")


def _changed(lane: Lane) -> bool:
    """Whether the last commit, or what is not committed yet, changed a file of it."""
    return bool(_git("diff", "--name-only", "HEAD^", "--", *lane.files))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
