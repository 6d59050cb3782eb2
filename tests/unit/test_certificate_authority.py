"""The home's certificate authority, run for real in a directory of its own."""

import json
import os
import re
import ssl
import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

NAMES = ["home.arpa", "*.home.arpa", "nas.home.arpa"]
PLAY = [
    {
        "hosts": "control_plane",
        "gather_facts": False,
        "tasks": [
            {
                "ansible.builtin.include_role": {
                    "name": "homeserver.stack.certificate_authority",
                    "tasks_from": "issue.yml",
                },
                "vars": {"certificate_authority_name": "web"},
            }
        ],
    }
]


class Authority:
    """The role, and what it leaves in the directory of secrets."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.secrets = home / "secrets"
        (home / "play.yml").write_text(yaml.safe_dump(PLAY))
        (home / "hosts.yml").write_text("all: {children: {control_plane: {hosts: {home: }}}}")

    def issue(self, *arguments: str, names: list[str] = NAMES, **variables: object) -> int:
        """Run the role; return how many tasks changed something."""
        variables |= {
            "certificate_authority_dns_names": names,
            "homeserver_secrets_dir": str(self.secrets),
            "homeserver_versions": {
                "microk8s_channel": "1.35/stable",
                "images": {"python": "python:3.11"},
                "manifests": {},
            },
        }
        run = subprocess.run(
            ["ansible-playbook", "-i", "hosts.yml", "-e", json.dumps(variables), *arguments, "play.yml"],
            cwd=self._home,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1"},
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert "PRIVATE KEY" not in run.stdout
        return int(re.findall(r"changed=(\d+)", run.stdout)[0])

    def certificate(self, name: str) -> x509.Certificate:
        """One certificate, parsed."""
        return x509.load_pem_x509_certificate((self.secrets / f"{name}.crt").read_bytes())


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has issued one certificate."""
    authority = Authority(tmp_path_factory.mktemp("home"))
    assert authority.issue() > 0
    return authority


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    assert authority.issue("--check", "--diff") > 0
    assert not authority.secrets.exists()


def test_the_certificate_is_for_the_names_and_signed_by_the_authority(issued: Authority) -> None:
    certificate = issued.certificate("web")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    certificate.verify_directly_issued_by(issued.certificate("ca"))
    assert names.get_values_for_type(x509.DNSName) == NAMES


def test_the_key_belongs_to_the_certificate(issued: Authority) -> None:
    context = ssl.create_default_context(cafile=issued.secrets / "ca.crt")

    context.load_cert_chain(issued.secrets / "web.crt", issued.secrets / "web.key")


def test_only_the_owner_reads_the_keys(issued: Authority) -> None:
    modes = {name: (issued.secrets / name).stat().st_mode & 0o777 for name in (".", "ca.key", "web.key")}

    assert modes == {".": 0o700, "ca.key": 0o600, "web.key": 0o600}


def test_a_second_run_changes_nothing(issued: Authority) -> None:
    before = issued.certificate("web")

    assert issued.issue() == 0
    assert issued.certificate("web") == before


def test_other_names_need_another_certificate(issued: Authority) -> None:
    before = issued.certificate("web")
    names = [*NAMES, "printer.home.arpa"]

    assert issued.issue("--check", names=names) == 1
    assert issued.certificate("web") == before
    assert issued.issue(names=names) == 1
    assert issued.certificate("web") != before


def test_what_expires_soon_is_renewed(issued: Authority) -> None:
    before = issued.certificate("web")

    assert issued.issue(certificate_authority_renew_days=400) == 1
    assert issued.certificate("web").serial_number != before.serial_number


def test_an_authority_that_would_expire_first_is_renewed_with_its_key(issued: Authority) -> None:
    before = issued.certificate("ca")

    assert issued.issue(certificate_authority_leaf_days=3650) > 0

    after = issued.certificate("ca")
    assert after.serial_number != before.serial_number
    assert after.public_key() == before.public_key()
    issued.certificate("web").verify_directly_issued_by(after)


def test_another_authority_means_another_certificate(issued: Authority) -> None:
    (issued.secrets / "ca.key").unlink()

    assert issued.issue() > 0
    issued.certificate("web").verify_directly_issued_by(issued.certificate("ca"))


@pytest.mark.parametrize("for_clients", [False, True])
def test_a_certificate_says_who_is_asking_only_where_that_is_wanted(
    tmp_path: Path, for_clients: bool
) -> None:
    authority = Authority(tmp_path)
    authority.issue(certificate_authority_for_clients=for_clients)
    usage = authority.certificate("web").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert (ExtendedKeyUsageOID.CLIENT_AUTH in usage) == for_clients
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage
