"""Tasks of the role microk8s that need no MicroK8s: they run on this machine, with its openssl."""

import datetime
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from harness.playbooks import play
from harness.roles import ROOT
from lab.host import ensure_packages

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


def run(
    directory: Path,
    tasks: str,
    *flags: str,
    host: str = "localhost",
    within: tuple[str, ...] = (),
    **variables: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a file of tasks of the role for a host, whose founder is `localhost`. Both are this machine."""
    role = ROOT / "roles/microk8s"
    tasks_of_it = {
        "hosts": host,
        "gather_facts": False,
        "vars_files": [str(role / "defaults/main.yml"), str(role / "vars/main.yml")],
        "tasks": [{"ansible.builtin.include_tasks": str(role / "tasks" / tasks)}],
    }
    (directory / "play.yml").write_text(json.dumps([tasks_of_it]))
    given = {"homeserver_control_plane": "localhost", "ansible_python_interpreter": sys.executable}
    path = f"{directory}/bin:{os.environ['PATH']}"
    arguments = ["-i", "localhost,attic", "-c", "local", *flags, "-e", json.dumps(given | variables)]
    arguments.append(str(directory / "play.yml"))
    if not within:
        return play(*arguments, PATH=path)
    return subprocess.run(
        [*within, "ansible-playbook", *arguments],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def try_to_renew(
    certificates: Path,
    *names: str,
    flags: tuple[str, ...] = (),
    host: str = "localhost",
    address: str = "192.0.2.7",
    claimed: str = "home",
) -> subprocess.CompletedProcess[str]:
    """Renew certificates of a host that says that it has this address, and this name as a node."""
    nodes = [
        {"name": "home", "address": "192.0.2.7", "host": ""},
        {"name": "attic", "address": "192.0.2.8", "host": "attic"},
        {"name": "shed", "address": "192.0.2.9", "host": "shed"},
    ]
    founder = {"node": "home", "addresses": ["192.0.2.7", "192.0.2.70"]}
    return run(
        certificates.parent,
        "certificates.yml",
        *flags,
        host=host,
        _microk8s_certificates=str(certificates),
        _microk8s_command=f"{certificates.parent}/bin/microk8s",
        _microk8s_info={
            "member": {"node": claimed, "worker": True, "addresses": [address], "authority": "ours"},
            "address": address,
        },
        _microk8s_cluster={"member": founder | {"authority": "ours"}, "nodes": nodes},
        _microk8s_renewed=names,
    )


def renew(certificates: Path, *names: str, **options: Any) -> str:
    """Renew certificates, those of the founder if no other host is given; return what is printed."""
    done = try_to_renew(certificates, *names, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read(certificates: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((certificates / f"{name}.crt").read_bytes())


@pytest.mark.parametrize(
    ("name", "authority", "subject"),
    [
        ("front-proxy-client", "front-proxy-ca", "CN=front-proxy-client"),
        ("kubelet", "ca", "O=system:nodes,CN=system:node:home"),
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
    ("address", "names"), [("192.0.2.7", {"home", "192.0.2.7"}), ("", {"home"})], ids=["address", "none"]
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


ADMIN = "/O=system:masters/CN=system:kube-controller-manager"
HOSTILE = """#!/bin/sh
# Whatever is asked of a key, the answer is always the same.
case $1 in req|pkey) cat {answer} ;; *) PATH=$PATH:/usr/bin; exec /usr/bin/openssl "$@" ;; esac
"""


def _answer_to_all(certificates: Path, answer: str) -> None:
    """Let this machine answer with a text, whatever is asked of a key."""
    (certificates.parent / "answer").write_text(answer)
    program = certificates.parent / "bin/openssl"
    program.write_text(HOSTILE.format(answer=certificates.parent / "answer"))
    program.chmod(0o755)


@pytest.mark.usefixtures("asked")
def test_a_worker_that_asks_for_more_than_its_node_gets_nothing(certificates: Path) -> None:
    before = read(certificates, "kubelet")
    names = ("-addext", "subjectAltName=DNS:home,IP:192.0.2.7", "-addext", "basicConstraints=CA:TRUE")
    request = _openssl(certificates, "req", "-new", "-key", "kubelet.key", "-subj", ADMIN, *names)
    _answer_to_all(certificates, request)

    done = try_to_renew(certificates, "kubelet", host="attic", address="192.0.2.8", claimed="attic")

    assert done.returncode != 0
    assert "kubelet.crt was not signed: it sent no public key" in " ".join(done.stdout.split())
    assert read(certificates, "kubelet") == before


@pytest.mark.parametrize("kind", ["ED25519", "RSA"])
@pytest.mark.usefixtures("asked")
def test_with_another_key_a_worker_is_its_node_and_nobody_else(certificates: Path, kind: str) -> None:
    key = certificates / "other.key"
    _openssl(certificates, "genpkey", "-algorithm", kind, "-out", str(key))
    public = _openssl(certificates, "pkey", "-in", str(key), "-pubout")
    # What follows the key is not read.
    _answer_to_all(certificates, f"{public}\n[extensions]\nbasicConstraints=CA:TRUE\n")

    renew(certificates, "kubelet", host="attic", address="192.0.2.8", claimed="attic")

    signed = read(certificates, "kubelet")
    extensions = {type(each.value): each.value for each in signed.extensions}
    assert signed.subject.rfc4514_string() == "O=system:nodes,CN=system:node:attic"
    names = extensions.pop(x509.SubjectAlternativeName)
    assert {str(name.value) for name in names} == {"attic", "192.0.2.8"}
    assert extensions.pop(x509.BasicConstraints).ca is False
    assert extensions.keys() <= {
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.AuthorityKeyIdentifier,
        x509.SubjectKeyIdentifier,
    }


@pytest.mark.usefixtures("asked")
def test_a_worker_that_says_it_is_another_node_stays_what_the_founder_knows(certificates: Path) -> None:
    renew(certificates, "kubelet", host="attic", address="192.0.2.8", claimed="shed")

    assert read(certificates, "kubelet").subject.rfc4514_string() == "O=system:nodes,CN=system:node:attic"


@pytest.mark.parametrize(
    "address",
    ["192.0.2.7", "192.0.2.70", "192.0.2.9", "127.0.0.1", "10.152.183.1", "192.0.2.8,DNS:kubernetes"],
    ids=["founder", "founder's other", "worker", "itself", "service", "two"],
)
@pytest.mark.usefixtures("asked")
def test_a_worker_gets_no_certificate_for_an_address_of_another(certificates: Path, address: str) -> None:
    before = read(certificates, "kubelet")

    done = try_to_renew(certificates, "kubelet", host="attic", address=address, claimed="attic")

    assert done.returncode != 0
    assert f"it reports the address {address}, which " in " ".join(done.stdout.split())
    assert read(certificates, "kubelet") == before


def test_a_worker_renews_two_certificates_whatever_it_says(certificates: Path, asked: Path) -> None:
    renew(certificates, *FILES, "client", host="attic", address="192.0.2.8", claimed="attic")

    assert asked.read_text() == "snap restart microk8s.daemon-kubelite\n"
    assert [name for name in FILES if _lasts(certificates, name)] == ["kubelet", "proxy"]
    assert not (certificates / "client.crt").exists()


# Networks of its own, with the firewall's set as it was before, and as it is afterwards.
JOINING = """
/usr/sbin/nft 'add table inet homeserver'
/usr/sbin/nft 'add set inet homeserver joining { type ipv4_addr; flags timeout; }'
"$@"
code=$?
/usr/sbin/nft list set inet homeserver joining >&2
exit $code
"""
JOIN_OF_SNAP = """#!/bin/sh
# What is there while a machine joins, or tries to.
/usr/sbin/nft list set inet homeserver joining > {tmp_path}/meanwhile
cat {tmp_path}/credentials/cluster-tokens.txt >> {tmp_path}/meanwhile
echo 0123456789abcdef > {tmp_path}/credentials/callback-token.txt
echo "Contacting cluster at 192.0.2.1"
exit 6
"""
TOKEN = "0a" * 16
ADD_NODE = f"""#!/bin/sh
echo {TOKEN} >> {{tmp_path}}/credentials/cluster-tokens.txt
echo '{{{{"urls": ["192.0.2.1:25000/{TOKEN}/0123456789ab"]}}}}'
"""


def _join(tmp_path: Path, *prepared: str) -> subprocess.CompletedProcess[str]:
    """Let a host join in networks of its own, which fails."""
    ensure_packages(["nftables"])
    (tmp_path / "credentials").mkdir()
    for name, text in {"snap": JOIN_OF_SNAP, "microk8s": ADD_NODE}.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text.format(tmp_path=tmp_path))
        program.chmod(0o755)
    done = run(
        tmp_path,
        "join.yml",
        host="attic",
        within=("unshare", "--user", "--map-root-user", "--net", *prepared),
        _microk8s_credentials=f"{tmp_path}/credentials",
        _microk8s_command=f"{tmp_path}/bin/microk8s",
        _microk8s_bundle_images=[],
        _microk8s_built_images=[],
        _microk8s_why_join="it is not part of the cluster",
        _microk8s_cluster={"member": {"address": "192.0.2.1"}},
        _microk8s_info={"addresses": ["192.0.2.2", "10.0.0.2"]},
    )
    assert "joining failed with exit code 6" in done.stdout, done.stdout + done.stderr
    assert TOKEN not in done.stdout
    return done


def test_what_a_join_opens_is_closed_again_when_it_fails(tmp_path: Path) -> None:
    done = _join(tmp_path, "sh", "-c", JOINING, "-")

    meanwhile = (tmp_path / "meanwhile").read_text()
    assert re.search(r"elements = .*192.0.2.2 timeout 10m", meanwhile)
    assert TOKEN in meanwhile
    assert "set joining" in done.stderr
    assert "elements" not in done.stderr
    assert (tmp_path / "credentials/cluster-tokens.txt").read_text() == ""
    assert not (tmp_path / "credentials/callback-token.txt").exists()


def test_without_the_firewall_there_is_nothing_to_open(tmp_path: Path) -> None:
    _join(tmp_path)

    assert (tmp_path / "meanwhile").read_text() == f"{TOKEN}\n"


@pytest.mark.parametrize(
    ("strangers", "node"),
    [(["admin"], {"name": "attic"}), (["attic"], {"name": "attic"}), ([], {}), ([], {"name": "attic"})],
    ids=["another", "control plane", "somebody else's", "a worker"],
)
def test_who_comes_with_a_worker_is_removed_and_told(
    tmp_path: Path, asked: Path, strangers: list[str], node: dict[str, str]
) -> None:
    done = run(
        tmp_path,
        "verify_join.yml",
        host="attic",
        _microk8s_command=f"{tmp_path}/bin/microk8s",
        _microk8s_strangers=strangers,
        _microk8s_node=node,
    )

    is_well = not strangers and bool(node)
    assert asked.read_text() == "".join(f"microk8s kubectl delete node {name}\n" for name in strangers)
    assert (done.returncode == 0) is is_well
    assert ("Anyone who had the token may have the keys of the cluster" in done.stdout) is not is_well


def keep(tmp_path: Path, kept: str = "kept") -> subprocess.CompletedProcess[str]:
    """Keep the volumes of a home, of which a page has to survive."""
    page = tmp_path / "volumes/apps-wiki-pvc-1/page"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("precious")
    places: dict[str, Any] = {
        "_microk8s_volumes": f"{tmp_path}/volumes",
        "microk8s_kept_volumes_dir": f"{tmp_path}/{kept}",
    }
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
    places: dict[str, Any] = {
        "_microk8s_volumes": f"{tmp_path}/volumes",
        "microk8s_kept_volumes_dir": f"{tmp_path}/kept",
    }

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
        "the bundle's snap microk8s has no assertion: anybody may have built it (homeserver_bundle)"
        in done.stdout
    )
    assert asked.read_text() == ""
    done = run(
        directory, "install_file.yml", "--check", _microk8s_snap=snap, homeserver_bundle_unsigned_snaps=True
    )
    assert "has no assertion" not in done.stdout
