"""Patches of Kubernetes arrive from the channel of MicroK8s. One that does not work is taken back."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from harness.chaos import Pages
from harness.home import ROOT, Home, eventually
from harness.machines import Machines, changes
from lab.catalogue.programs import KUBERNETES

CHANNEL = f"{KUBERNETES.removeprefix('v').rpartition('.')[0]}/stable"
FROM_STORE = ("-e", '{"homeserver_bundle": ""}')
METRIC = "/var/lib/prometheus/node-exporter/homeserver_patches.prom"
REFUSED = "/var/lib/homeserver-patches/refused.json"
DAYS = 12


def _patch(number: int) -> str:
    """Return a version, by how much it is newer than the installed one."""
    start, _, last = KUBERNETES.rpartition(".")
    return f"{start}.{int(last) + number}"


VERSIONS = {"8001": KUBERNETES, "8002": _patch(1), "8003": _patch(2), "8004": _patch(3)}
BROKEN = "8003"


def _pack(source: Path, tree: Path, revision: str, target: Path) -> None:
    """Make a snap of another version of an unpacked one."""
    described = tree / "meta/snap.yaml"
    described.write_text(source.read_text().replace(KUBERNETES, VERSIONS[revision]))
    program = tree / "bin/daemon"
    text = program.read_text()
    if revision == BROKEN:
        program.write_text(text.replace("\nmain()", "\nif 'kubelite' in sys.argv:\n    sys.exit(1)\nmain()"))
    options = [
        "-noappend",
        "-no-fragments",
        "-all-root",
        "-quiet",
        "-comp",
        "zstd",
        "-Xcompression-level",
        "1",
    ]
    subprocess.run(["mksquashfs", tree, target, *options], stdout=subprocess.DEVNULL, check=True)
    program.write_text(text)


@pytest.fixture(scope="module")
def machines(home: Home) -> Machines:
    """A home without logs, which was installed from a bundle. Later, its Kubernetes is from the store."""
    machines = Machines(home)
    machines.play("site.yml")
    return machines


@pytest.fixture(scope="module")
def founder(machines: Machines) -> Host:
    """Its machine."""
    return machines.host(machines.home.name)


@pytest.fixture(scope="module")
def offer(
    machines: Machines, founder: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., None]]:
    """Let the store, which a proxy on the machine stands for, offer a revision, or not answer."""
    home, directory = machines.home, tmp_path_factory.mktemp("snaps")
    assert home.bundle
    tree, original = directory / "tree", directory / "snap.yaml"
    snap = next((home.bundle / "snaps").glob("microk8s*.snap"))
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-dest", tree, snap], check=True)
    shutil.copy(tree / "meta/snap.yaml", original)
    for revision in list(VERSIONS)[1:]:
        _pack(original, tree, revision, directory / f"{revision}.snap")
        _send(directory / f"{revision}.snap", f"/root/{revision}.snap")
    shutil.rmtree(tree)
    # A home from the store downloads this.
    crds = home.versions["manifests"]["traefik_crds"]["version"]
    cached = home.inventory.parent / f".cache/traefik-crds-{crds}.yml"
    cached.parent.mkdir(exist_ok=True)
    shutil.copy(next((home.bundle / "manifests").glob("traefik*crds*")), cached)

    def _offer(revision: str, silent: bool = False) -> None:
        released = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - (DAYS + 0.5) * 24 * 3600))
        revisions = {
            number: {"version": version, "file": f"/root/{number}.snap", "released": released}
            for number, version in VERSIONS.items()
        }
        told: dict[str, Any] = {"channel": CHANNEL, "offered": revision, "silent": silent}
        (directory / "store.json").write_text(json.dumps(told | {"revisions": revisions}))
        _send(directory / "store.json", "/root/store.json")

    _offer("8001")
    _send(ROOT / "harness/snap_store.py", "/root/snap_store.py")
    founder.check_output("systemd-run --unit=lab-snap-store python3 /root/snap_store.py /root/store.json")
    assert eventually(lambda: "8001" in founder.run("snap list microk8s").stdout, 10)
    yield _offer
    founder.check_output("systemctl stop lab-snap-store")
    founder.check_output("mv /run/snapd-of-the-machine.socket /run/snapd.socket")


def _send(file: Path, to: str) -> None:
    with file.open("rb") as content:
        subprocess.run([*Machines._ssh("molecule"), f"cat >{to}"], cwd=ROOT, stdin=content, check=True)


def _assert_whole(machines: Machines, founder: Host, revision: str) -> None:
    """Check that a revision runs, that all pages answer, and that snapd installs nothing by itself."""
    listed = founder.check_output("snap list microk8s").split()
    assert VERSIONS[revision] in listed
    assert revision in listed
    pages = Pages(machines.home)

    def answers() -> bool:
        pages.look()
        return not any(flaw for name, flaw in pages.flaws.items() if name != "jaeger")

    assert eventually(answers, 60), pages.flaws
    assert any("held" in word for word in listed)
    assert not founder.file("/var/lib/homeserver-upgrade").exists
    (node,) = machines.nodes().values()
    assert not node["spec"].get("unschedulable")


def _metric(founder: Host) -> list[str]:
    return [line for line in founder.file(METRIC).content_string.splitlines() if line[0] != "#"]


def test_a_run_that_must_not_leaves_a_patch_and_the_status_tells_it(
    machines: Machines, founder: Host, offer: Callable[..., None]
) -> None:
    offer("8002")

    machines.play("site.yml", *FROM_STORE, "-e", "microk8s_patch=never")

    _assert_whole(machines, founder, "8001")
    told = f"{KUBERNETES}; {VERSIONS['8002']} (revision 8002) waits since {DAYS} days"
    assert told in machines.play("playbooks/status.yml", *FROM_STORE)
    (series,) = _metric(founder)
    assert 'revision="8002",refused="false"' in series


def test_a_run_installs_it(machines: Machines, founder: Host) -> None:
    said = machines.play("site.yml", *FROM_STORE)

    assert f"{KUBERNETES} becomes {VERSIONS['8002']} (revision 8001 becomes 8002)" in said
    _assert_whole(machines, founder, "8002")
    assert eventually(lambda: not _metric(founder), 10)


def test_a_second_run_changes_nothing(machines: Machines) -> None:
    before = machines.kubectl.containers()

    assert set(changes(machines.play("site.yml", *FROM_STORE)).values()) == {0}
    assert machines.kubectl.containers() == before


def test_one_that_does_not_work_is_taken_back(
    machines: Machines, founder: Host, offer: Callable[..., None]
) -> None:
    offer(BROKEN)

    said = machines.refused("playbooks/microk8s.yml", *FROM_STORE, "-e", "microk8s_ready_timeout_seconds=90")

    assert f"MicroK8s {VERSIONS[BROKEN]} did not work, and {VERSIONS['8002']} runs again" in said
    assert f"later runs leave revision {BROKEN} out" in said
    _assert_whole(machines, founder, "8002")
    assert eventually(lambda: any('refused="true"' in series for series in _metric(founder)), 10)


def test_it_is_not_tried_again(machines: Machines, founder: Host) -> None:
    before = machines.kubectl.containers()

    said = machines.play("site.yml", *FROM_STORE)

    assert f"MicroK8s {VERSIONS[BROKEN]} (revision {BROKEN}) did not work here" in said
    assert set(changes(said).values()) == {0}
    assert machines.kubectl.containers() == before
    _assert_whole(machines, founder, "8002")


def test_a_newer_one_is_installed(machines: Machines, founder: Host, offer: Callable[..., None]) -> None:
    offer("8004")

    machines.play("playbooks/microk8s.yml", *FROM_STORE)

    _assert_whole(machines, founder, "8004")


def test_a_store_that_does_not_answer_is_told(machines: Machines, offer: Callable[..., None]) -> None:
    offer("8004", silent=True)

    said = machines.play("playbooks/microk8s.yml", *FROM_STORE)

    # Ansible breaks the line.
    assert "the store does not answer: cannot reach the store" in " ".join(said.split())
    assert set(changes(said).values()) == {0}
