"""Backups: what one takes, and how soon an empty machine is the old home again."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import remote
from bench.clock import seconds
from bench.page import Row, row
from bench.remote import KUBECTL
from lab import lifecycle
from lab.build import Report
from lab.catalogue.images import REGISTRY
from lab.machine import Machine
from plugins.module_utils import http_probe

# Of which a home with photos has thousands of times as much; what restic does with it is the same.
_MIB = 512
_A_DAY_LATER_MIB = 16
_GROUP = "Backups"
_DISK = "/mnt/disk"
_REPOSITORY = f"{_DISK}/home"
_CLAIM = "photos"
_IMAGE = f"{REGISTRY}/registry.k8s.io/pause:3.10"  # does nothing, and every machine has it
_VOLUMES = "/var/snap/microk8s/common/default-storage"

Play = Callable[..., None]


def rows(machine: Machine, play: Play, report: Report) -> Iterator[Row]:
    """Save the home twice, lose it, and restore it to a new machine.

    Args:
        machine: The home, which site.yml has set up. Another has its name afterwards.
        play: Runs a playbook on the machine that is given, with variables.
        report: Receives the progress.
    """
    saved = {"backup_repositories": [{"name": "disk", "location": _REPOSITORY}]}
    remote.run(machine, f"mkdir -p {_REPOSITORY}")
    directory = _volume(machine)
    _write(machine, directory, "first", _MIB)
    play(machine, "site.yml", **saved)
    took = seconds(lambda: _save(machine))
    size = _size(machine)
    first = f"first backup of a home with {_MIB} MiB of app data"
    yield row(_GROUP, first, took, "s")
    yield row(_GROUP, f"… size of the {first}", size, "MiB")
    _write(machine, directory, "second", _A_DAY_LATER_MIB)
    took = seconds(lambda: _save(machine))
    added = _size(machine) - size
    following = f"next backup, {_A_DAY_LATER_MIB} MiB later"
    yield row(_GROUP, following, took, "s")
    yield row(_GROUP, f"… size of the {following}", added, "MiB")
    with tempfile.TemporaryDirectory() as elsewhere:
        disk, password = Path(elsewhere) / "disk.tar", Path(elsewhere) / "password"
        _take(machine, disk)
        secrets = machine.directory / "secrets" / machine.name
        password.write_text((secrets / "backup.password").read_text())
        lifecycle.down(machine.name)
        anew = lifecycle.up(machine.name, None, report)
        _give(anew, disk)
        given = {"restore_location": _REPOSITORY, "restore_password_file": str(password)}
        took = seconds(lambda: _restore(anew, play, given))
    _check(anew)
    yield row(_GROUP, "from an empty machine to the restored home, until its pages answer", took, "s")
    restored = size / took
    yield row(_GROUP, "… restored data", restored, "MiB per second", more_is_better=True)


def _volume(machine: Machine) -> str:
    """Make a volume as an app of the owner's has one, and return its directory."""
    items = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_claim(), _app()]})
    remote.run(machine, f"{KUBECTL} apply -f -", items)
    remote.run(machine, f"{KUBECTL} rollout status deployment/{_CLAIM} --timeout=120s")
    return remote.run(machine, f"ls -d {_VOLUMES}/default-{_CLAIM}-*").strip()


def _claim() -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": _CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _app() -> dict[str, Any]:
    """Return a Deployment, since a volume is only made for a pod."""
    labels = {"app": _CLAIM}
    mount = {"name": "data", "mountPath": "/data"}
    pod = {
        "containers": [{"name": _CLAIM, "image": _IMAGE, "volumeMounts": [mount]}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": _CLAIM}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _CLAIM},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _write(machine: Machine, directory: str, name: str, mib: int) -> None:
    """Write data that cannot be compressed, as photos cannot."""
    remote.run(machine, f"head -c {mib}M /dev/urandom > {directory}/{name}")


def _save(machine: Machine) -> None:
    remote.run(machine, "systemctl start homeserver-backup.service")


def _size(machine: Machine) -> int:
    """Return what the repository takes, in MiB."""
    return int(remote.run(machine, f"du --summarize --block-size=1M {_REPOSITORY}").split()[0])


def _take(machine: Machine, archive: Path) -> None:
    with archive.open("wb") as file:
        subprocess.run(machine.ssh(f"tar -C {_DISK} -c ."), stdout=file, check=True)


def _give(machine: Machine, archive: Path) -> None:
    with archive.open("rb") as file:
        subprocess.run(machine.ssh(f"mkdir -p {_DISK} && tar -C {_DISK} -x"), stdin=file, check=True)


def _restore(machine: Machine, play: Play, given: dict[str, str]) -> None:
    play(machine, "playbooks/restore_inventory.yml", **given)
    play(machine, "playbooks/restore.yml", restore_location=_REPOSITORY)


def _check(machine: Machine) -> None:
    """Fail unless the old data are there, and a page answers with the old certificate authority."""
    ca = machine.directory / "secrets" / machine.name / "ca.crt"
    if flaw := http_probe.flaw("https://hello.home.arpa/", machine.address, str(ca)):
        raise RuntimeError(f"the restored home {flaw}")
    remote.run(
        machine,
        f"test $(cat {_VOLUMES}/default-{_CLAIM}-*/* | wc -c) -eq {(_MIB + _A_DAY_LATER_MIB) * 2**20}",
    )
