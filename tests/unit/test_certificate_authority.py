"""Runs the role of the home's certificate authority in a temporary directory."""

import json
import os
import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.filter.certificates import fingerprint
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.rendering import Role

NAMES = ["home.arpa", "*.home.arpa", "nas.home.arpa"]


def _play(tasks_from: str) -> str:
    role = {"name": "homeserver.stack.certificate_authority", "tasks_from": tasks_from}
    task = {"ansible.builtin.include_role": role, "vars": {"certificate_authority_name": "web"}}
    return yaml.safe_dump([{"hosts": "control_plane", "gather_facts": False, "tasks": [task]}])


class Authority:
    """The role, and the files that it makes in the directory of secrets."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.secrets = home / "secrets"
        (home / "hosts.yml").write_text("all: {children: {control_plane: {hosts: {home: }}}}")

    def copied(self, home: Path) -> "Authority":
        """Return another with the same files."""
        shutil.copytree(self.secrets, home / "secrets")
        return Authority(home)

    def issue(self, *arguments: str, names: list[str] = NAMES, **variables: object) -> int:
        """Issue a certificate; return how many tasks changed something."""
        return self._run("issue.yml", *arguments, certificate_authority_dns_names=names, **variables)

    def remove(self, *arguments: str) -> int:
        """Remove the authority; return how many tasks changed something."""
        return self._run("main.yml", *arguments, certificate_authority_state="absent")

    def rotate(self, step: str) -> int:
        """Do one step of replacing the authority; return how many tasks changed something."""
        return self._run("rotate.yml", certificate_authority_step=step)

    def refused(self, names: list[str] = NAMES, **variables: object) -> str:
        """Try to issue a certificate, which must fail; return what is printed."""
        run = self._play("issue.yml", certificate_authority_dns_names=names, **variables)
        assert run.returncode == 2, run.stdout + run.stderr
        return " ".join((run.stdout + run.stderr).split())

    def _run(self, tasks_from: str, *arguments: str, **variables: object) -> int:
        run = self._play(tasks_from, *arguments, **variables)
        assert run.returncode == 0, run.stdout + run.stderr
        assert "PRIVATE KEY" not in run.stdout
        return int(re.findall(r"changed=(\d+)", run.stdout)[0])

    def _play(
        self, tasks_from: str, *arguments: str, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        (self._home / "play.yml").write_text(_play(tasks_from))
        variables |= {
            "homeserver_secrets_dir": str(self.secrets),
        }
        return subprocess.run(
            ["ansible-playbook", "-i", "hosts.yml", "-e", json.dumps(variables), *arguments, "play.yml"],
            cwd=self._home,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"},
        )

    def certificate(self, name: str) -> x509.Certificate:
        """One certificate, parsed."""
        return x509.load_pem_x509_certificate((self.secrets / f"{name}.crt").read_bytes())


@pytest.fixture(scope="module")
def first_issued(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has issued one certificate; read only."""
    authority = Authority(tmp_path_factory.mktemp("issued"))
    assert authority.issue() > 0
    return authority


@pytest.fixture(scope="module")
def first_begun(first_issued: Authority, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One with another authority that is to take its place; read only."""
    authority = first_issued.copied(tmp_path_factory.mktemp("begun"))
    assert authority.rotate("begin") > 0
    return authority


@pytest.fixture
def issued(first_issued: Authority, tmp_path: Path) -> Authority:
    """An authority that has issued one certificate."""
    return first_issued.copied(tmp_path)


@pytest.fixture
def begun(first_begun: Authority, tmp_path: Path) -> Authority:
    """One with another authority that is to take its place."""
    return first_begun.copied(tmp_path)


def test_a_dry_run_makes_no_file(tmp_path: Path) -> None:
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


def test_a_run_shows_the_fingerprint_that_openssl_shows(issued: Authority) -> None:
    command = ["openssl", "x509", "-in", str(issued.secrets / "ca.crt"), "-noout", "-fingerprint", "-sha256"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert shown.partition("=")[2] == fingerprint((issued.secrets / "ca.crt").read_text())


def test_a_second_run_changes_nothing(issued: Authority) -> None:
    before = issued.certificate("web")

    assert issued.issue() == 0
    assert issued.certificate("web") == before


def test_other_names_need_a_new_certificate(issued: Authority) -> None:
    before = issued.certificate("web")
    names = [*NAMES, "printer.home.arpa"]

    assert issued.issue("--check", names=names) == 1
    assert issued.certificate("web") == before
    assert issued.issue(names=names) == 1
    assert issued.certificate("web") != before


def _lifetime(certificate: x509.Certificate) -> timedelta:
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def test_a_certificate_is_valid_for_a_year_at_most(issued: Authority) -> None:
    assert timedelta(days=360) < _lifetime(issued.certificate("web")) <= timedelta(days=366)


def test_one_that_is_valid_for_longer_is_replaced(issued: Authority) -> None:
    (issued.secrets / "web.crt").unlink()
    issued.issue(certificate_authority_leaf_days=397)

    assert issued.issue() == 1
    assert _lifetime(issued.certificate("web")) <= timedelta(days=366)
    assert issued.issue() == 0


def test_a_certificate_that_expires_soon_is_renewed(issued: Authority) -> None:
    before = issued.certificate("web")

    assert issued.issue(certificate_authority_renew_days=400) == 1
    assert issued.certificate("web").serial_number != before.serial_number


def test_an_authority_that_would_expire_first_is_renewed_with_key_and_name(issued: Authority) -> None:
    before = issued.certificate("ca")

    renewed = issued.issue(certificate_authority_leaf_days=3650, certificate_authority_common_name="Another")
    assert renewed > 0

    after = issued.certificate("ca")
    assert after.serial_number != before.serial_number
    assert after.subject == before.subject
    assert after.public_key() == before.public_key()
    issued.certificate("web").verify_directly_issued_by(after)


def test_a_new_authority_issues_a_new_certificate(issued: Authority) -> None:
    (issued.secrets / "ca.key").unlink()

    assert issued.issue() > 0
    issued.certificate("web").verify_directly_issued_by(issued.certificate("ca"))


def _usage(authority: Authority) -> list[x509.ObjectIdentifier]:
    """What a certificate is for."""
    return list(authority.certificate("web").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_certificate_is_for_clients_only_if_requested(issued: Authority) -> None:
    assert _usage(issued) == [ExtendedKeyUsageOID.SERVER_AUTH]

    (issued.secrets / "web.crt").unlink()
    assert issued.issue(certificate_authority_for_clients=True) == 1
    assert {*_usage(issued)} == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_only_the_authority_is_removed_and_only_once(issued: Authority) -> None:
    assert issued.remove("--check") == 1
    assert (issued.secrets / "ca.crt").exists()
    assert issued.remove() == 1
    assert {path.name for path in issued.secrets.iterdir()} == {"web.crt", "web.key"}
    assert issued.remove() == 0


def _accepted(authority: Authority, name: str, leaf: x509.Certificate) -> bool:
    """Whether a client that trusts the authority believes that this certificate is for this name."""
    store = verification.Store([authority.certificate("ca")])
    verifier = verification.PolicyBuilder().store(store).build_server_verifier(_subject(name))
    try:
        verifier.verify(leaf, [])
    except verification.VerificationError:
        return False
    return True


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    return x509.IPAddress(ip_address(name)) if name[-1].isdigit() else x509.DNSName(name)


def _stolen(authority: Authority, name: str) -> x509.Certificate:
    """A certificate that a thief of the key has made."""
    key = serialization.load_pem_private_key((authority.secrets / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    issuer = authority.certificate("ca")
    builder = (
        x509.CertificateBuilder(
            issuer.subject, x509.Name([]), ec.generate_private_key(ec.SECP256R1()).public_key()
        )
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_subject(name)]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def test_a_thief_of_the_key_cannot_be_another_site(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    elsewhere = [{"name": "blog", "host": "blog.example.org"}]
    authority.issue(names=[*NAMES, "blog.example.org"], apps=elsewhere)

    assert _accepted(authority, "nas.home.arpa", authority.certificate("web"))
    assert _accepted(authority, "blog.example.org", authority.certificate("web"))
    assert _accepted(authority, "a.home.arpa", _stolen(authority, "a.home.arpa"))
    for name in ("www.bank.example", "example.org", "xhome.arpa", "192.0.2.1", "2001:db8::1"):
        assert not _accepted(authority, name, _stolen(authority, name)), name


def test_a_name_that_no_device_would_believe_is_not_issued(issued: Authority) -> None:
    before = issued.certificate("web")

    assert "permits no certificate for shop.example." in issued.refused([*NAMES, "shop.example"])
    assert issued.certificate("web") == before


def test_an_authority_without_limits_gets_them_and_keeps_its_key(issued: Authority) -> None:
    leaf, limited = issued.certificate("web"), issued.certificate("ca")
    key = serialization.load_pem_private_key((issued.secrets / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(limited.issuer, limited.subject, limited.public_key(), 1)
    builder = builder.not_valid_before(limited.not_valid_before_utc).not_valid_after(
        limited.not_valid_after_utc
    )
    for extension in limited.extensions:
        if not isinstance(extension.value, x509.NameConstraints):
            builder = builder.add_extension(extension.value, extension.critical)
    earlier = builder.sign(key, hashes.SHA256())
    (issued.secrets / "ca.crt").write_bytes(earlier.public_bytes(serialization.Encoding.PEM))

    assert issued.issue() == 1
    assert issued.certificate("ca").extensions.get_extension_for_class(x509.NameConstraints)
    # A device that trusts the earlier one notices nothing.
    assert issued.certificate("ca").public_key() == earlier.public_key()
    assert issued.certificate("web") == leaf


def test_the_key_can_have_a_passphrase(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue(certificate_authority_passphrase="not-a-secret")
    key = (authority.secrets / "ca.key").read_bytes()

    assert b"ENCRYPTED" in key
    assert authority.issue(certificate_authority_passphrase="not-a-secret") == 0
    assert authority.issue() == 0  # nothing is issued
    assert "passphrase" in authority.refused(NAMES[:1], certificate_authority_passphrase="wrong")
    assert "passphrase" in authority.refused(certificate_authority_leaf_days=3650)
    assert (authority.secrets / "ca.key").read_bytes() == key
    assert authority.issue(names=NAMES[:1], certificate_authority_passphrase="not-a-secret") == 1


def test_a_broken_file_of_the_authority_is_told(issued: Authority) -> None:
    for name, content in {"ca.crt": "", "ca.key": "-----BEGIN PRIVATE KEY-----\nMIIB"}.items():
        whole = (issued.secrets / name).read_text()
        (issued.secrets / name).write_text(content)
        assert f"{name} is empty or no longer whole" in issued.refused()
        assert (issued.secrets / name).read_text() == content
        (issued.secrets / name).write_text(whole)


def test_a_broken_certificate_is_issued_again(issued: Authority) -> None:
    (issued.secrets / "web.crt").write_text("")

    assert issued.issue() > 0
    issued.certificate("web").verify_directly_issued_by(issued.certificate("ca"))


def _trusted(authority: Authority) -> list[x509.Certificate]:
    """The authorities that the home's own clients trust."""
    role = Role("prometheus", authority.secrets, homeserver_secrets_dir=str(authority.secrets))
    return x509.load_pem_x509_certificates(role.value("homeserver_ca").encode())


def test_another_authority_takes_its_place_while_both_are_trusted(
    first_issued: Authority, begun: Authority
) -> None:
    first, leaf = first_issued.certificate("ca"), first_issued.certificate("web")
    assert _trusted(first_issued) == [first]

    assert begun.rotate("begin") == 0
    second = begun.certificate("ca.next")
    assert _trusted(begun) == [first, second]
    assert second.public_key() != first.public_key()
    assert second.subject != first.subject
    assert begun.issue() == 0
    assert begun.certificate("web") == leaf

    assert [begun.rotate("switch"), begun.rotate("switch")] == [2, 0]
    assert _trusted(begun) == [second, first]
    assert begun.issue() > 0
    begun.certificate("web").verify_directly_issued_by(second)

    assert [begun.rotate("drop"), begun.rotate("drop")] == [1, 0]
    assert _trusted(begun) == [second]
    assert [begun.rotate("end"), begun.rotate("end")] == [1, 0]
    assert {path.name for path in begun.secrets.iterdir()} == {"ca.crt", "ca.key", "web.crt", "web.key"}
    assert begun.issue() == 0


@pytest.mark.parametrize("moved", [[], ["key"]], ids=["before", "between the files"])
def test_a_switch_that_was_interrupted_is_completed(begun: Authority, moved: list[str]) -> None:
    first, second = begun.certificate("ca"), begun.certificate("ca.next")
    shutil.copy(begun.secrets / "ca.crt", begun.secrets / "ca.previous.crt")
    for ending in moved:
        (begun.secrets / f"ca.next.{ending}").rename(begun.secrets / f"ca.{ending}")

    begun.rotate("switch")
    assert _trusted(begun) == [second, first]
    assert begun.issue() > 0
    begun.certificate("web").verify_directly_issued_by(second)


def test_an_authority_of_another_name_issues_again(issued: Authority) -> None:
    """And of a life and with names of the owner's choice."""
    (issued.secrets / "ca.crt").unlink()

    issued.issue(
        names=[*NAMES, "shop.example"],
        certificate_authority_common_name="Another",
        certificate_authority_days=4000,
        certificate_authority_domains=["shop.example"],
    )
    authority = issued.certificate("ca")
    issued.certificate("web").verify_directly_issued_by(authority)
    assert authority.subject.rfc4514_string() == "CN=Another"
    assert abs(_lifetime(authority) - timedelta(days=4000)) < timedelta(days=2)
    assert _accepted(issued, "shop.example", issued.certificate("web"))
