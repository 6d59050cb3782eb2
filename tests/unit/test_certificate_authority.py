"""The home's certificate authority in a temporary directory, by its functions and by tasks."""

import json
import os
import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.homeserver.stack.plugins.filter.certificates import cannot_rotate, fingerprint
from ansible_collections.homeserver.stack.plugins.module_utils.authority import (
    Authority,
    AuthorityError,
    outside,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from harness import playbooks
from harness.rendering import INVENTORY, Role

NAMES = ["home.arpa", "*.home.arpa", "nas.home.arpa"]
ISSUE = {"homeserver.stack.certificate": {"name": "web", "dns_names": NAMES}}
ROLE = {"ansible.builtin.import_role": {"name": "homeserver.stack.certificate_authority"}}


class Home:
    """A home with the defaults of the role, and the files of its authority."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.secrets = state / "secrets/home"

    def copied(self, state: Path) -> "Home":
        """Return another with the same files."""
        shutil.copytree(self._state, state, dirs_exist_ok=True)
        return Home(state)

    def authority(self, *, dry_run: bool = False, **options: Any) -> Authority:
        """Return the authority, with some options."""
        return Authority.of(Role("certificate_authority", self._state, **options).value, dry_run=dry_run)

    def issue(self, names: list[str] = NAMES, *, for_clients: bool = False, **options: Any) -> bool:
        """Issue a certificate; return whether there was something to do."""
        return self.authority(**options).issue("web", names, for_clients=for_clients)

    def refused(self, names: list[str] = NAMES, **options: Any) -> str:
        """Try to issue a certificate, which must fail; return why."""
        with pytest.raises(AuthorityError) as refusal:
            self.issue(names, **options)
        return str(refusal.value)

    def play(
        self, *tasks: dict[str, Any], arguments: tuple[str, ...] = (), **options: Any
    ) -> tuple[int, str]:
        """Run tasks; return how many changed something, or -1 if one failed, and what was printed."""
        (self._state / "inventory").mkdir(exist_ok=True)
        (self._state / "inventory/hosts.yml").write_text(INVENTORY)
        play = {"hosts": "control_plane", "gather_facts": False, "roles": ["homeserver.stack.common"]}
        (self._state / "play.yml").write_text(yaml.safe_dump([play | {"tasks": list(tasks)}]))
        given = ("-i", "inventory", "-e", json.dumps(options), *arguments)
        run = playbooks.play(*given, "play.yml", directory=self._state)
        told = run.stdout + run.stderr
        assert run.returncode in (0, 2), told
        assert "PRIVATE KEY" not in told
        changed = int(re.findall(r"changed=(\d+)", told)[0])
        return -1 if run.returncode else changed, " ".join(told.split())

    def certificate(self, name: str) -> x509.Certificate:
        """One certificate, parsed."""
        return x509.load_pem_x509_certificate((self.secrets / f"{name}.crt").read_bytes())

    def files(self) -> dict[str, bytes]:
        """Return what is in each file."""
        return {path.name: path.read_bytes() for path in self.secrets.iterdir()}


@pytest.fixture(scope="module")
def first_issued(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An authority that has issued one certificate; read only."""
    home = Home(tmp_path_factory.mktemp("issued"))
    assert home.issue()
    return home


@pytest.fixture(scope="module")
def first_begun(first_issued: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One with another authority that is to take its place; read only."""
    home = first_issued.copied(tmp_path_factory.mktemp("begun"))
    assert home.authority().begin()
    return home


@pytest.fixture
def issued(first_issued: Home, tmp_path: Path) -> Home:
    """An authority that has issued one certificate."""
    return first_issued.copied(tmp_path)


@pytest.fixture
def begun(first_begun: Home, tmp_path: Path) -> Home:
    """One with another authority that is to take its place."""
    return first_begun.copied(tmp_path)


# ---- by tasks


def test_a_dry_run_makes_no_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    begin = {"homeserver.stack.certificate_authority": {"step": "begin"}}

    assert home.play(ISSUE, ROLE, begin, arguments=("--check", "--diff"))[0] == 3
    assert not home.secrets.exists()


def test_tasks_issue_by_the_options_of_the_role_and_show_no_secret(tmp_path: Path) -> None:
    home = Home(tmp_path)
    options: dict[str, Any] = {
        "certificate_authority_passphrase": "not-a-secret",
        "certificate_authority_common_name": "Another of {{ homeserver_domain }}",
        "certificate_authority_domains": ["{{ 'shop' }}.example"],
        "certificate_authority_days": "4000",
        "certificate_authority_leaf_days": 300,
        "certificate_authority_renew_days": 299,
    }
    clients = {"name": "web", "dns_names": ["shop.example"], "for_clients": True}
    tasks = [{"homeserver.stack.certificate": clients}] * 2

    changed, told = home.play(*tasks, ROLE, arguments=("-vvv",), **options)
    assert changed == 1, told
    assert "not-a-secret" not in told
    authority, certificate = home.certificate("ca"), home.certificate("web")
    assert b"ENCRYPTED" in (home.secrets / "ca.key").read_bytes()
    assert authority.subject.rfc4514_string() == "CN=Another of home.arpa"
    assert _days(authority) == 4000
    assert _days(certificate) == 300
    assert _accepted(home, "shop.example", certificate)
    assert len(_usage(home)) == 2
    options["certificate_authority_renew_days"] = 301
    assert home.play(tasks[0], **options)[0] == 1


def test_a_task_tells_why_it_issues_nothing(issued: Home) -> None:
    task = {"homeserver.stack.certificate": {"name": "web", "dns_names": ["shop.example"]}}

    changed, told = issued.play(task)
    assert changed == -1
    assert (
        f"{issued.secrets}/ca.crt permits no certificate for shop.example. Devices would reject all" in told
    )
    (issued.secrets / "ca.crt").unlink()
    (issued.secrets / "ca.crt").mkdir()
    changed, told = issued.play(ISSUE)
    assert changed == -1
    assert "ca.crt cannot be read or written: Is a directory -> let the user" in told


@pytest.mark.parametrize("option", ["certificate_authority_state", "homeserver_workloads_state"])
def test_only_the_authority_is_removed_and_only_once(begun: Home, option: str) -> None:
    absent: dict[str, Any] = {option: "absent"}
    files = begun.files()

    assert begun.play(ROLE, arguments=("--check",), **absent)[0] == 1
    assert begun.files() == files
    for name in ("ca.previous.crt", "ca.dropped.crt"):
        (begun.secrets / name).touch()
    assert begun.play(ROLE, ROLE, **absent)[0] == 1
    assert begun.files().keys() == {"web.crt", "web.key"}


def test_tasks_replace_the_authority_step_by_step(begun: Home) -> None:
    second = begun.certificate("ca.next")
    steps = [
        {"homeserver.stack.certificate_authority": {"step": step}}
        for step in ("begin", "switch", "switch", "drop", "drop", "end", "end")
    ]

    changed, told = begun.play(*steps, ISSUE)
    assert changed == 4, told
    assert begun.certificate("ca") == second
    assert begun.files().keys() == {"ca.crt", "ca.key", "web.crt", "web.key"}


@pytest.mark.parametrize("arguments", [{}, {"state": "present", "step": "end"}], ids=["neither", "both"])
def test_a_task_names_either_a_state_or_a_step(tmp_path: Path, arguments: dict[str, str]) -> None:
    changed, told = Home(tmp_path).play({"homeserver.stack.certificate_authority": arguments})

    assert changed == -1
    assert "state, step" in told or "state|step" in told


# ---- what is issued


def test_the_certificate_is_for_the_names_and_signed_by_the_authority(issued: Home) -> None:
    certificate = issued.certificate("web")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    certificate.verify_directly_issued_by(issued.certificate("ca"))
    assert names.get_values_for_type(x509.DNSName) == NAMES


def test_the_key_belongs_to_the_certificate(issued: Home) -> None:
    context = ssl.create_default_context(cafile=issued.secrets / "ca.crt")

    context.load_cert_chain(issued.secrets / "web.crt", issued.secrets / "web.key")


def test_only_the_owner_reads_the_keys(issued: Home) -> None:
    names = (".", "ca.crt", "ca.key", "web.crt", "web.key")
    modes = {name: (issued.secrets / name).stat().st_mode & 0o777 for name in names}

    assert modes == {".": 0o700, "ca.crt": 0o644, "ca.key": 0o600, "web.crt": 0o644, "web.key": 0o600}


def test_a_run_shows_the_fingerprint_that_openssl_shows(issued: Home) -> None:
    shown = _openssl("x509", "-in", issued.secrets / "ca.crt", "-noout", "-fingerprint", "-sha256")

    assert shown.strip().partition("=")[2] == fingerprint((issued.secrets / "ca.crt").read_text())


def test_a_second_run_changes_nothing(issued: Home) -> None:
    before = issued.files()

    assert not issued.issue()
    assert not issued.authority().create()
    assert issued.files() == before


def test_other_names_need_a_new_certificate(issued: Home) -> None:
    before = issued.files()
    names = [*NAMES, "printer.home.arpa"]

    assert issued.issue(names, dry_run=True)
    assert issued.files() == before
    assert issued.issue(names)
    after = issued.files()
    assert {name for name in after if after[name] != before[name]} == {"web.crt"}
    assert not issued.issue([*reversed(names), NAMES[0]])


def _days(certificate: x509.Certificate) -> int:
    return (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days


def test_a_certificate_is_valid_for_a_year_at_most(issued: Home) -> None:
    assert 360 < _days(issued.certificate("web")) <= 366


def test_one_that_is_valid_for_longer_is_replaced(issued: Home) -> None:
    (issued.secrets / "web.crt").unlink()
    issued.issue(certificate_authority_leaf_days=397)

    assert issued.issue()
    assert _days(issued.certificate("web")) <= 366
    assert not issued.issue()


def test_a_certificate_that_expires_soon_is_renewed(issued: Home) -> None:
    before = issued.certificate("web")

    assert issued.issue(certificate_authority_renew_days=400)
    assert issued.certificate("web").serial_number != before.serial_number
    assert issued.certificate("web").public_key() == before.public_key()


def test_an_authority_that_would_expire_first_is_renewed_with_key_and_name(issued: Home) -> None:
    before = issued.certificate("ca")
    options: dict[str, Any] = {
        "certificate_authority_leaf_days": 3650,
        "certificate_authority_common_name": "Another",
    }

    assert issued.issue(dry_run=True, **options)
    assert issued.certificate("ca") == before
    assert issued.issue(**options)

    after = issued.certificate("ca")
    assert after.serial_number != before.serial_number
    assert after.subject == before.subject
    assert after.public_key() == before.public_key()
    issued.certificate("web").verify_directly_issued_by(after)


def test_a_new_authority_issues_a_new_certificate(issued: Home) -> None:
    name = issued.certificate("ca").subject
    (issued.secrets / "ca.key").unlink()

    assert issued.issue()
    issued.certificate("web").verify_directly_issued_by(issued.certificate("ca"))
    assert issued.certificate("ca").subject == name


def test_a_key_of_another_authority_issues_nothing(begun: Home) -> None:
    shutil.copy(begun.secrets / "ca.next.key", begun.secrets / "ca.key")

    assert not begun.issue()
    assert "ca.key does not belong to" in begun.refused(NAMES[:1])


@pytest.mark.parametrize("content", [None, "", "another"], ids=["gone", "broken", "another"])
def test_a_key_that_is_not_the_certificates_is_noticed(issued: Home, content: str | None) -> None:
    key = issued.secrets / "web.key"
    if content is None:
        key.unlink()
    else:
        key.write_text(content and (issued.secrets / "ca.key").read_text())

    assert issued.issue()
    test_the_key_belongs_to_the_certificate(issued)
    assert not issued.issue()


def _usage(home: Home) -> list[x509.ObjectIdentifier]:
    """What a certificate is for."""
    return list(home.certificate("web").extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_a_certificate_is_for_clients_only_if_requested(issued: Home) -> None:
    assert _usage(issued) == [ExtendedKeyUsageOID.SERVER_AUTH]

    (issued.secrets / "web.crt").unlink()
    assert issued.issue(for_clients=True)
    assert _usage(issued) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


# ---- what devices believe


def _accepted(home: Home, name: str, leaf: x509.Certificate) -> bool:
    """Whether a client that trusts the authority believes that this certificate is for this name."""
    store = verification.Store([home.certificate("ca")])
    verifier = verification.PolicyBuilder().store(store).build_server_verifier(_subject(name))
    try:
        verifier.verify(leaf, [])
    except verification.VerificationError:
        return False
    return True


def _subject(name: str) -> x509.DNSName | x509.IPAddress:
    return x509.IPAddress(ip_address(name)) if name[-1].isdigit() else x509.DNSName(name)


def _key(home: Home) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key((home.secrets / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _stolen(home: Home, name: str) -> x509.Certificate:
    """A certificate that a thief of the key has made."""
    key = _key(home)
    now = datetime.now(UTC)
    issuer = home.certificate("ca")
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
    home = Home(tmp_path)
    home.issue([*NAMES, "blog.example.org"], apps=[{"name": "blog", "host": "blog.example.org"}])

    assert _accepted(home, "nas.home.arpa", home.certificate("web"))
    assert _accepted(home, "blog.example.org", home.certificate("web"))
    assert _accepted(home, "a.home.arpa", _stolen(home, "a.home.arpa"))
    for name in ("www.bank.example", "example.org", "xhome.arpa", "192.0.2.1", "2001:db8::1"):
        assert not _accepted(home, name, _stolen(home, name)), name


def test_a_domain_has_what_ends_in_it() -> None:
    names = ["home.arpa", "a.home.arpa", "*.home.arpa", "xhome.arpa", "arpa", "*.arpa"]

    assert outside(names, ["home.arpa"]) == ["xhome.arpa", "arpa", "*.arpa"]


def test_a_name_that_no_device_would_believe_is_not_issued(issued: Home) -> None:
    before = issued.certificate("web")

    assert "permits no certificate for shop.example." in issued.refused([*NAMES, "shop.example"])
    assert issued.certificate("web") == before


def test_an_authority_without_limits_gets_them_and_keeps_its_key(issued: Home) -> None:
    leaf, limited = issued.certificate("web"), issued.certificate("ca")
    builder = x509.CertificateBuilder(limited.issuer, limited.subject, limited.public_key(), 1)
    builder = builder.not_valid_before(limited.not_valid_before_utc).not_valid_after(
        limited.not_valid_after_utc
    )
    for extension in limited.extensions:
        if not isinstance(extension.value, x509.NameConstraints):
            builder = builder.add_extension(extension.value, extension.critical)
    earlier = builder.sign(_key(issued), hashes.SHA256())
    (issued.secrets / "ca.crt").write_bytes(earlier.public_bytes(serialization.Encoding.PEM))

    assert issued.issue()
    assert issued.certificate("ca").extensions.get_extension_for_class(x509.NameConstraints)
    # A device that trusts the earlier one notices nothing.
    assert issued.certificate("ca").public_key() == earlier.public_key()
    assert issued.certificate("web") == leaf


# ---- what was there before


def _openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


# What community.crypto made in earlier releases.
_AUTHORITY = """
keyUsage = critical,keyCertSign,cRLSign
basicConstraints = critical,CA:TRUE,pathlen:0
nameConstraints = critical,{limits}
subjectKeyIdentifier = hash
"""
_ISSUED = """
subjectAltName = {names}
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@pytest.fixture
def former(tmp_path: Path) -> Home:
    """A home of an earlier release."""
    home = Home(tmp_path)
    home.secrets.mkdir(parents=True)
    domains = Role("certificate_authority", tmp_path).value("certificate_authority_domains")
    inside = ["elasticsearch", "logstash", "localhost", "logging", "svc", "svc.cluster.local"]
    assert set(outside(domains, ["home.arpa"])) == set()
    limits = [f"permitted;DNS:{name}" for name in ("home.arpa", *inside)]
    limits += ["excluded;IP:0.0.0.0/0.0.0.0", "excluded;IP:::/::"]
    for name in ("ca", "web"):
        key = home.secrets / f"{name}.key"
        key.write_text(_openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout"))
    _sign(home, "ca", "Home server CA of home.arpa", 3650, _AUTHORITY.format(limits=",".join(limits)))
    names = ",".join(f"DNS:{name}" for name in NAMES)
    authority = ("-CA", home.secrets / "ca.crt", "-CAkey", home.secrets / "ca.key")
    _sign(home, "web", NAMES[0], 365, _ISSUED.format(names=names), *authority)
    return home


def _sign(home: Home, name: str, subject: str, days: int, extensions: str, *by: str | Path) -> None:
    file = home.secrets.parent / "extensions"
    file.write_text(extensions)
    key = home.secrets / f"{name}.key"
    given = ("-subj", f"/CN={subject}", "-days", str(days), "-extfile", file)
    signed = by or ("-key", key)
    public = ("-force_pubkey", _public(key)) if by else ()
    certificate = _openssl("x509", "-new", "-sha256", *given, *signed, *public)
    (home.secrets / f"{name}.crt").write_text(certificate)


def _public(key: Path) -> Path:
    file = key.parent.parent / "public"
    file.write_text(_openssl("pkey", "-in", key, "-pubout"))
    return file


def test_what_an_earlier_release_has_made_stays(former: Home) -> None:
    before = former.files()

    assert not former.issue()
    assert not former.authority().create()
    assert former.files() == before


def _described(certificate: x509.Certificate) -> list[tuple[str, bool, object]]:
    """Return a certificate's extensions, without what depends on keys."""
    identifiers = (x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    return [
        (each.oid.dotted_string, each.critical, not isinstance(each.value, identifiers) and each.value)
        for each in certificate.extensions
    ]


@pytest.mark.parametrize("name", ["ca", "web"])
def test_what_is_made_is_like_that_of_an_earlier_release(former: Home, first_issued: Home, name: str) -> None:
    before, now = former.certificate(name), first_issued.certificate(name)

    assert _described(now) == _described(before)
    assert (now.subject, now.issuer) == (before.subject, before.issuer)


# ---- keys and broken files


def test_the_key_can_have_a_passphrase(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.issue(certificate_authority_passphrase="not-a-secret")
    key = (home.secrets / "ca.key").read_bytes()

    assert b"ENCRYPTED" in key
    assert b"ENCRYPTED" not in (home.secrets / "web.key").read_bytes()
    assert not home.issue(certificate_authority_passphrase="not-a-secret")
    assert not home.issue()  # nothing is issued
    wrong: dict[str, Any] = {"certificate_authority_passphrase": "wrong"}
    assert "passphrase" in home.refused(NAMES[:1], **wrong)
    assert "passphrase" in home.refused(NAMES[:1], dry_run=True, **wrong)
    assert "passphrase" in home.refused(certificate_authority_leaf_days=3650)
    assert "not-a-secret" not in repr(home.authority(certificate_authority_passphrase="not-a-secret"))
    assert (home.secrets / "ca.key").read_bytes() == key
    assert home.issue(NAMES[:1], certificate_authority_passphrase="not-a-secret")


def test_a_broken_file_of_the_authority_is_told(issued: Home) -> None:
    for name, content in {"ca.crt": "", "ca.key": "-----BEGIN PRIVATE KEY-----\nMIIB"}.items():
        whole = (issued.secrets / name).read_text()
        (issued.secrets / name).write_text(content)
        assert f"{name} is empty or damaged" in issued.refused()
        assert (issued.secrets / name).read_text() == content
        (issued.secrets / name).write_text(whole)


def test_a_broken_certificate_is_issued_again(issued: Home) -> None:
    (issued.secrets / "web.crt").write_text("")

    assert issued.issue()
    issued.certificate("web").verify_directly_issued_by(issued.certificate("ca"))


def test_a_file_is_there_as_a_whole_or_not_at_all(issued: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = issued.files()

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        issued.issue(NAMES[:1])
    assert {name: issued.files()[name] for name in before} == before


# ---- another authority


def _trusted(home: Home) -> list[x509.Certificate]:
    """The authorities that the home's own clients trust."""
    role = Role("prometheus", home.secrets, homeserver_secrets_dir=str(home.secrets))
    return x509.load_pem_x509_certificates(role.value("homeserver_ca").encode())


def test_another_authority_takes_its_place_while_both_are_trusted(first_issued: Home, begun: Home) -> None:
    first, leaf = first_issued.certificate("ca"), first_issued.certificate("web")
    assert _trusted(first_issued) == [first]

    authority = begun.authority()
    assert not authority.begin()
    second = begun.certificate("ca.next")
    assert _trusted(begun) == [first, second]
    assert second.public_key() != first.public_key()
    assert second.subject != first.subject
    assert not begun.issue()
    assert begun.certificate("web") == leaf

    assert [authority.switch(), authority.switch()] == [True, False]
    assert (begun.secrets / "ca.previous.crt").stat().st_mode & 0o777 == 0o644
    assert _trusted(begun) == [second, first]
    assert begun.issue()
    begun.certificate("web").verify_directly_issued_by(second)

    assert [authority.drop(), authority.drop()] == [True, False]
    assert _trusted(begun) == [second]
    assert [authority.end(), authority.end()] == [True, False]
    assert begun.files().keys() == {"ca.crt", "ca.key", "web.crt", "web.key"}
    assert not begun.issue()


def test_a_long_name_has_room_for_the_day(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.authority(certificate_authority_common_name="a" * 64).begin()

    assert re.fullmatch(r"CN=a{53} \d{4}-\d\d-\d\d", home.certificate("ca.next").subject.rfc4514_string())


@pytest.mark.parametrize("step", ["switch", "drop", "end"])
def test_a_dry_run_of_a_step_changes_nothing(begun: Home, step: str) -> None:
    for name in ("previous", "dropped"):
        shutil.copy(begun.secrets / "ca.crt", begun.secrets / f"ca.{name}.crt")
    before = begun.files()

    assert getattr(begun.authority(dry_run=True), step)()
    assert begun.files() == before


@pytest.mark.parametrize("moved", [[], ["key"]], ids=["before", "between the files"])
def test_a_switch_that_was_interrupted_is_completed(begun: Home, moved: list[str]) -> None:
    first, second = begun.certificate("ca"), begun.certificate("ca.next")
    shutil.copy(begun.secrets / "ca.crt", begun.secrets / "ca.previous.crt")
    for ending in moved:
        (begun.secrets / f"ca.next.{ending}").rename(begun.secrets / f"ca.{ending}")

    assert begun.authority().switch()
    assert _trusted(begun) == [second, first]
    assert begun.issue()
    begun.certificate("web").verify_directly_issued_by(second)


@pytest.mark.parametrize(
    ("files", "steps"),
    [
        ([], ["", "begin"]),
        (["ca.next.key"], ["", "begin"]),
        (["ca.next.crt"], ["", "begin", "finish"]),
        (["ca.next.crt", "ca.previous.crt"], ["finish"]),
        (["ca.previous.crt"], ["finish"]),
        (["ca.dropped.crt"], ["finish"]),
    ],
    ids=["none", "begins", "begun", "switches", "switched", "dropped"],
)
def test_only_the_next_step_is_taken(tmp_path: Path, files: list[str], steps: list[str]) -> None:
    for name in ("ca.crt", "ca.key", *files):
        (tmp_path / name).touch()

    every = ("", "begin", "finish", "end")
    assert [step for step in every if not cannot_rotate("ca", step, str(tmp_path))] == steps


def test_a_step_that_is_not_the_next_says_which_is(tmp_path: Path) -> None:
    begin = "secret=ca step=finish: no next authority is ready -> first -e secret=ca, and let your"
    finish = "the authority is being replaced -> -e step=finish completes it"

    assert cannot_rotate("ca", "finish", str(tmp_path)).startswith(begin)
    (tmp_path / "ca.previous.crt").touch()
    assert cannot_rotate("ca", "", str(tmp_path)) == f"secret=ca: {finish}"
    assert cannot_rotate("ca", "begin", str(tmp_path)) == f"secret=ca step=begin: {finish}"


def test_a_password_has_no_steps(tmp_path: Path) -> None:
    assert cannot_rotate("grafana_admin", "", str(tmp_path)) == ""
    told = cannot_rotate("grafana_admin", "finish", str(tmp_path))
    assert told == "secret=grafana_admin step=finish: it has no steps -> leave step out"


def test_an_authority_of_another_name_issues_again(issued: Home) -> None:
    """And of a life and with names of the owner's choice."""
    (issued.secrets / "ca.crt").unlink()

    issued.issue(
        [*NAMES, "shop.example"],
        certificate_authority_common_name="Another",
        certificate_authority_days=4000,
        certificate_authority_domains=["*.shop.example"],
    )
    authority = issued.certificate("ca")
    issued.certificate("web").verify_directly_issued_by(authority)
    assert authority.subject.rfc4514_string() == "CN=Another"
    assert _days(authority) == 4000
    assert _accepted(issued, "shop.example", issued.certificate("web"))
