"""A real virtual machine, emulated without hardware virtualisation, which takes minutes."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab import process, qemu
from lab.build import cache_root, obtain
from lab.cache import Cache, Job
from lab.host import LabError
from lab.machine import Machine, load, save
from lab.recipes import cloud_image
from lab.tests.conftest import Lab
from lab.tests.debian_disk import DEBIAN_DISK
from lab.tests.host_state import changes, host_state

NAME = "labtest-q"
CONTENT = b"a disk"
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.usefixtures("lab_directory")
def test_a_machines_address_is_a_loopback_address() -> None:
    assert str(qemu.Qemu().subnet) == "127.214.0.0/24"


@pytest.mark.parametrize(
    ("image", "message"),
    [("/nowhere/disk.img", "is not there"), ("http://example.org/disk.img", "use a path or an https URL")],
)
def test_an_unsupported_image_is_rejected(monkeypatch: pytest.MonkeyPatch, image: str, message: str) -> None:
    monkeypatch.setenv("HOMESERVER_LAB_IMAGE", image)
    monkeypatch.setattr(qemu, "ensure_packages", lambda _names: None)
    with pytest.raises(LabError, match=f"HOMESERVER_LAB_IMAGE={image}.*{message}"):
        qemu.Qemu().prepare(print)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    (tmp_path / "disk.img").write_bytes(CONTENT)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64} *other.img\n{CHECKSUM} *disk.img\n")
    return tmp_path


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "out").mkdir()
    return Job(tmp_path / "out", {}, tmp_path, tmp_path / "log")


@pytest.mark.parametrize("checksum", [None, CHECKSUM])
def test_a_published_image_is_checked(published: Path, job: Job, checksum: str | None) -> None:
    cloud_image.download(job, f"file://{published}/disk.img", checksum)
    assert (job.out / cloud_image.NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("name", "checksum", "message"),
    [
        ("disk.img", "1" * 64, f"has the checksum {CHECKSUM}, not 1111"),
        ("SHA256SUMS", None, "set HOMESERVER_LAB_IMAGE_SHA256"),
        ("absent.img", "1" * 64, "cannot be downloaded"),
    ],
)
def test_an_image_with_a_wrong_checksum_is_rejected(
    published: Path, job: Job, name: str, checksum: str | None, message: str
) -> None:
    with pytest.raises(LabError, match=message):
        cloud_image.download(job, f"file://{published}/{name}", checksum)


@pytest.mark.usefixtures("lab_directory")
@pytest.mark.parametrize(
    ("under_kvm", "accelerator"),
    [
        ("print('Linux version 6', flush=True)", "kvm"),
        ("print('Probing EDD', flush=True)", "tcg,thread=multi"),
        ("sys.exit('cannot set a register')", "tcg,thread=multi"),
    ],
)
def test_hardware_virtualisation_is_used_if_a_kernel_runs_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, under_kvm: str, accelerator: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    _program(programs / "genisoimage", "")
    _program(programs / "qemu-img", 'print(\'{"format": "raw"}\')')
    _program(programs / "qemu-system-x86_64", f"if 'kvm' in sys.argv: {under_kvm}\ntime.sleep(60)")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(qemu, "_KERNEL_SECONDS", 2)
    machine = Machine(NAME, "qemu", "127.214.0.2", 2222)
    save(machine)
    machine.make_keys()

    backend = qemu.Qemu()
    backend.create(machine, tmp_path)
    backend.start(machine)
    (running,) = [
        one for one in process.processes() if f"hostfwd=tcp:{machine.address}:443-:443" in str(one.argv)
    ]
    assert running.argv[running.argv.index("-accel") + 1] == accelerator
    assert backend.is_running(machine)
    with pytest.raises(LabError, match=f"moves while it is off: first `python -m lab cut --name {NAME}`"):
        backend.move(machine)
    backend.clear(NAME)
    assert not backend.is_running(machine)
    backend.move(machine)
    backend.start(machine)
    (again,) = [one for one in process.processes() if one.argv == running.argv]
    assert again.pid != running.pid
    backend.clear(NAME)


def test_cloud_init_gets_the_machines_keys_and_users(
    lab_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "run", lambda *_: "")
    machine = Machine(NAME, "qemu", "127.214.0.2", 2222)
    save(machine)
    (lab_directory / NAME / "id_ed25519.pub").write_text("ssh-ed25519 AAAA me\n")
    (lab_directory / NAME / "ssh_host_ed25519_key").write_text("private\n")
    (lab_directory / NAME / "ssh_host_ed25519_key.pub").write_text("public\n")
    qemu._make_seed(machine)
    text = (lab_directory / NAME / "seed/user-data").read_text()
    assert text.startswith("#cloud-config\n")
    user_data = yaml.safe_load(text)
    assert user_data["ssh_keys"] == {"ed25519_private": "private\n", "ed25519_public": "public\n"}
    assert {user["name"]: user["ssh_authorized_keys"] for user in user_data["users"]} == {
        "root": ["ssh-ed25519 AAAA me"],
        "owner": ["ssh-ed25519 AAAA me"],
    }


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{text}\n")
    path.chmod(0o755)


@pytest.mark.machine
def test_a_virtual_machine_boots_returns_its_facts_and_is_removed_completely(
    lab: Lab, lab_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image,) = obtain(Cache(cache_root()), [DEBIAN_DISK], print)
    monkeypatch.setenv("HOMESERVER_LAB_IMAGE", str(image))
    monkeypatch.setenv("HOMESERVER_LAB_MEMORY", "768")
    lab("down", "--name", NAME)  # of an interrupted earlier run
    before = host_state(lab_directory, [NAME])

    lab("up", "--name", NAME, "--backend", "qemu")
    machine = load(NAME)
    assert machine
    assert _output(machine, "cat /etc/hostname") == NAME
    assert _output(machine, "sudo -u owner sudo id -u") == "0"
    assert int(_output(machine, "df --output=size --block-size=1G / | tail -1")) > 30
    ansible = shutil.which("ansible")
    assert ansible
    facts = subprocess.check_output([ansible, NAME, "-i", machine.inventory, "-m", "setup"], text=True)
    assert '"ansible_distribution": "Debian"' in facts or "ansible_distribution: Debian" in facts

    lab("down", "--name", NAME)
    assert not changes(before, host_state(lab_directory, [NAME]))


def _output(machine: Machine, command: str) -> str:
    return subprocess.check_output(machine.ssh(command), text=True).strip()
