"""Tasks of the role microk8s that need no MicroK8s: they run on this machine, with its openssl."""

import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.support.roles import ROOT

FILES = ("front-proxy-client", "kubelet", "proxy", "server")


def _openssl(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """The certificates of a founder, which are valid for a day."""
    directory = tmp_path / "certs"
    directory.mkdir()
    for name in ("ca", "front-proxy-ca", *FILES):
        _openssl(directory, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{name}.key")
        signer = {"front-proxy-client": "front-proxy-ca"}.get(name, "ca")
        by = () if name.endswith("ca") else ("-CA", f"{signer}.crt", "-CAkey", f"{signer}.key")
        described = ("-key", f"{name}.key", "-subj", f"/CN={name}", "-days", "1", "-out", f"{name}.crt")
        _openssl(directory, "req", "-x509", "-new", *described, *by)
    return directory


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """What `snap` and `microk8s` were asked to do."""
    for name in ("snap", "microk8s"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/asked\n')
        program.chmod(0o755)
    (tmp_path / "asked").touch()
    return tmp_path / "asked"


def run(directory: Path, tasks: str, *flags: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run a file of tasks of the role."""
    role = ROOT / "roles/microk8s"
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": [str(role / "defaults/main.yml"), str(role / "vars/main.yml")],
        "tasks": [{"ansible.builtin.include_tasks": str(role / "tasks" / tasks)}],
    }
    (directory / "play.yml").write_text(json.dumps([play]))
    given = {"homeserver_founder": "localhost", "ansible_python_interpreter": sys.executable}
    return subprocess.run(
        [
            *("ansible-playbook", "-i", "localhost,", "-c", "local", *flags),
            *("-e", json.dumps(given | variables), str(directory / "play.yml")),
        ],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{directory}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def renew(certificates: Path, *names: str, flags: tuple[str, ...] = (), address: str = "192.0.2.7") -> str:
    """Renew certificates of the host `Attic`; return what is printed."""
    done = run(
        certificates.parent,
        "certificates.yml",
        *flags,
        _microk8s_certificates=str(certificates),
        _microk8s_command=f"{certificates.parent}/bin/microk8s",
        _microk8s_info={"member": {"node": "attic"}, "address": address},
        _microk8s_renewed=names,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(certificates: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((certificates / f"{name}.crt").read_bytes())


@pytest.mark.parametrize(
    ("name", "authority", "subject"),
    [
        ("front-proxy-client", "front-proxy-ca", "CN=front-proxy-client"),
        ("kubelet", "ca", "O=system:nodes,CN=system:node:attic"),
        ("proxy", "ca", "CN=system:kube-proxy"),
    ],
)
def test_a_certificate_is_signed_for_the_same_key(
    certificates: Path, asked: Path, name: str, authority: str, subject: str
) -> None:
    before = read(certificates, name)

    renew(certificates, name)

    after = read(certificates, name)
    assert after.public_key() == before.public_key()
    assert after.subject.rfc4514_string() == subject
    after.verify_directly_issued_by(read(certificates, authority))
    assert after.not_valid_after_utc - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=3600)
    assert (certificates / f"{name}.crt").stat().st_mode & 0o777 == 0o660
    assert asked.read_text() == "snap restart microk8s.daemon-kubelite\n"
    assert [other for other in FILES if other != name and _lasts(certificates, other)] == []


def _lasts(certificates: Path, name: str) -> bool:
    end = read(certificates, name).not_valid_after_utc
    return end - datetime.datetime.now(datetime.UTC) > datetime.timedelta(days=2)


@pytest.mark.parametrize(
    ("address", "names"), [("192.0.2.7", {"attic", "192.0.2.7"}), ("", {"attic"})], ids=["address", "none"]
)
@pytest.mark.usefixtures("asked")
def test_the_kubelets_has_the_names_of_its_node(certificates: Path, address: str, names: set[str]) -> None:
    renew(certificates, "kubelet", address=address)

    extension = read(certificates, "kubelet").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert {str(name.value) for name in extension.value} == names


def test_all_restart_once_and_the_api_servers_is_made_by_microk8s(certificates: Path, asked: Path) -> None:
    renew(certificates, *FILES)

    assert asked.read_text() == "microk8s refresh-certs -e server.crt\n"
    assert [name for name in FILES if _lasts(certificates, name)] == [n for n in FILES if n != "server"]


def test_a_dry_run_tells_that_it_would_and_renews_nothing(certificates: Path, asked: Path) -> None:
    assert "changed=1" in renew(certificates, *FILES, flags=("--check", "--diff"))

    assert asked.read_text() == ""
    assert [name for name in FILES if _lasts(certificates, name)] == []


def keep(tmp_path: Path, kept: str = "kept") -> subprocess.CompletedProcess[str]:
    """Keep the volumes of a home, of which a page has to survive."""
    page = tmp_path / "volumes/apps-wiki-pvc-1/page"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("precious")
    places = {"_microk8s_volumes": f"{tmp_path}/volumes", "microk8s_kept_volumes_dir": f"{tmp_path}/{kept}"}
    return run(tmp_path, "keep_volumes.yml", **places)


def test_volumes_are_moved_to_a_new_directory_each_time(tmp_path: Path) -> None:
    done = keep(tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    (page,) = (tmp_path / "kept").glob("*/apps-wiki-pvc-1/page")
    assert page.read_text() == "precious"
    assert not (tmp_path / "volumes").exists()
    assert str(page.parent.parent) in " ".join(done.stdout.split())
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


def test_without_volumes_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "volumes").mkdir()
    places = {"_microk8s_volumes": f"{tmp_path}/volumes", "microk8s_kept_volumes_dir": f"{tmp_path}/kept"}

    done = run(tmp_path, "keep_volumes.yml", **places)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout
    assert not (tmp_path / "kept").exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no second file system")
def test_volumes_are_not_copied_to_another_file_system(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        done = keep(tmp_path, os.path.relpath(other, tmp_path))

    assert done.returncode != 0
    assert "MicroK8s was not removed" in done.stdout
    assert (tmp_path / "volumes/apps-wiki-pvc-1/page").exists()


def test_a_snap_of_a_bundle_that_nobody_signed_is_not_installed(asked: Path) -> None:
    snap = {"name": "microk8s", "file": "/nowhere/microk8s.snap", "confinement": "classic"}
    directory = asked.parent
    done = run(directory, "install_file.yml", _microk8s_snap=snap, homeserver_bundle_unsigned_snaps=False)

    assert done.returncode != 0
    assert (
        "the bundle's snap microk8s has no assertion: it may be of anybody (homeserver_bundle)" in done.stdout
    )
    assert asked.read_text() == ""
    done = run(
        directory, "install_file.yml", "--check", _microk8s_snap=snap, homeserver_bundle_unsigned_snaps=True
    )
    assert "has no assertion" not in done.stdout
