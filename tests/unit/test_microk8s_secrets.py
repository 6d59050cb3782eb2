"""What is stored of a Secret, and that it can be read at any moment: a real API server, and its datastore."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership, secrets_encryption
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.secrets_encryption import NOTHING, key_of
from ansible_collections.homeserver.stack.plugins.modules import microk8s_encryption

from harness.api_server import ApiServer, api_server
from harness.manifests import Object
from harness.programs import kubernetes
from harness.rendering import Role

SECRETS = "/api/v1/namespaces/default/secrets"
WORD = "a-word-that-nobody-guesses"
PASSWORDS = ("first", "second", "third")
KEYS = [key_of(password) for password in PASSWORDS]
NAMES = ("wiki", "blog", "fixed")


class Home:
    """The API server of a home, and what the module finds on its host."""

    def __init__(self, api: ApiServer, directory: Path) -> None:
        self._api, self._arguments = api, directory / "args"
        self.flag = f"--encryption-provider-config={secrets_encryption.FILE}"
        self.restarts = 0

    def restart(self) -> None:
        """Restart the API server, with the flag if its file of arguments has it."""
        self.restarts += 1
        self._api.restart(*self._arguments.read_text().split())

    def set_flag(self) -> None:
        """Do as MicroK8s does with a launch configuration: set the flag, and restart."""
        self._arguments.write_text(f"{self.flag}\n")
        self.restart()

    def drop_flag(self) -> None:
        """Make an API server of before."""
        self._arguments.write_text("")

    def run(self, number: int, *, rewrite: bool = False) -> tuple[bool, bool]:
        """Run the module with a key; return whether something changed, and whether the server restarted."""
        return microk8s_encryption._encrypt(KEYS[number], 0, rewrite=rewrite, check=False)

    def keep(self, *names: str) -> None:
        """Create Secrets, one of which nobody may change."""
        for name in names:
            word = base64.b64encode(f"{WORD}-{name}".encode()).decode()
            secret: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
            secret |= {"data": {"word": word}, "immutable": name == "fixed"}
            answer = self._api.apply(f"{SECRETS}/{name}", secret)
            assert answer.ok, answer.text

    def probes(self) -> list[Object]:
        """Return the Secrets that the module has left behind."""
        found: list[Object] = self._api.get("/api/v1/namespaces/kube-system/secrets")["items"]
        return found

    def read(self) -> set[str]:
        """Return the words in all Secrets, which are none if a single one cannot be read."""
        listed = self._api.get(SECRETS)["items"]
        return {base64.b64decode(secret["data"]["word"]).decode() for secret in listed}

    def stored_with(self) -> set[str]:
        """Return the names of the keys that the Secrets are encrypted with, or `plain`."""
        stored = [self._api.stored(f"secrets/default/{name}") for name in NAMES]
        assert {each.startswith(b"k8s:enc:") for each in stored if WORD.encode() in each} <= {False}
        assert {each.startswith(b"k8s:enc:") for each in stored if WORD.encode() not in each} <= {True}
        return {
            each.decode(errors="replace").split(":")[4] if each.startswith(b"k8s:enc:secretbox:") else "plain"
            for each in stored
        }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home of before, whose API server encrypts nothing, with Secrets."""
    program = tmp_path / "microk8s"
    (tmp_path / "kubectl").symlink_to(kubernetes() / "kubernetes")
    called = f'exec {tmp_path}/kubectl --kubeconfig={tmp_path}/kubeconfig "$@"'
    program.write_text(f"#!/bin/sh\nshift\n{called}\n")
    program.chmod(0o755)
    monkeypatch.setattr(membership, "MICROK8S", str(program))
    monkeypatch.setattr(secrets_encryption, "FILE", tmp_path / "etc/encryption.yaml")
    monkeypatch.setattr(secrets_encryption, "_ARGUMENTS", tmp_path / "args")
    monkeypatch.setattr(microk8s_encryption, "_INTERVAL", 0)
    (tmp_path / "args").touch()
    with api_server(tmp_path, {}) as api:
        (tmp_path / "kubeconfig").write_text(api.kubeconfig)
        home = Home(api, tmp_path)
        monkeypatch.setattr(microk8s_encryption, "_restart", home.restart)
        home.keep(*NAMES)
        yield home


ALL = {f"{WORD}-{name}" for name in NAMES}


def test_the_secrets_of_a_home_of_before_are_encrypted_with_one_restart(home: Home) -> None:
    assert home.stored_with() == {"plain"}
    assert home.run(0) == (True, False)
    assert secrets_encryption.read() == [KEYS[0], NOTHING]
    home.set_flag()
    assert (home.read(), home.stored_with()) == (ALL, {"plain"})

    assert home.run(0, rewrite=True) == (True, False)

    assert home.stored_with() == {KEYS[0].name}
    assert secrets_encryption.read() == [KEYS[0]]
    assert secrets_encryption.FILE.stat().st_mode & 0o777 == 0o600
    assert home.restarts == 1
    assert [home.run(0), home.run(0, rewrite=True)] == [(False, False)] * 2
    home.restart()
    assert home.read() == ALL
    assert not home.probes()


def test_another_key_takes_the_place_of_one_whatever_interrupts_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.run(0)
    home.set_flag()
    home.run(0, rewrite=True)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(microk8s_encryption, "_store_again", interrupted)
        with pytest.raises(KeyboardInterrupt):
            home.run(1, rewrite=True)
    assert secrets_encryption.read() == KEYS[1::-1]
    home.keep("more")
    assert home.read() == ALL | {f"{WORD}-more"}

    # And another, before the second was everywhere.
    assert home.run(2, rewrite=True) == (True, True)

    assert secrets_encryption.read() == [KEYS[2]]
    assert home.stored_with() == {KEYS[2].name}
    home.restart()
    assert home.read() == ALL | {f"{WORD}-more"}


def test_nothing_is_dropped_while_the_server_does_not_use_the_key(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The launch configuration was not applied.
    with pytest.raises(microk8s_encryption.StoreError, match=r"runs without --encryption-provider-config="):
        home.run(0, rewrite=True)
    assert secrets_encryption.read() == [KEYS[0], NOTHING]
    home.set_flag()
    home.run(0, rewrite=True)

    # It did not restart.
    monkeypatch.setattr(microk8s_encryption, "_restart", lambda: None)
    with pytest.raises(microk8s_encryption.StoreError, match=f"does not encrypt with {KEYS[1].name}"):
        home.run(1, rewrite=True)
    assert secrets_encryption.read() == KEYS[1::-1]
    home.restart()
    assert home.read() == ALL


def test_a_datastore_that_came_back_can_be_read(home: Home) -> None:
    """A snap revert brings the arguments of before as well."""
    home.run(0)
    home.set_flag()
    home.run(0, rewrite=True)
    home.drop_flag()

    assert home.run(0) == (True, False)
    assert secrets_encryption.read() == [KEYS[0], NOTHING]


def test_a_new_home_never_stores_one_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets_encryption, "FILE", tmp_path / "etc/encryption.yaml")
    monkeypatch.setattr(secrets_encryption, "_ARGUMENTS", tmp_path / "args")
    assert microk8s_encryption._encrypt(KEYS[0], 0, rewrite=False, check=True) == (True, False)
    assert not secrets_encryption.FILE.exists()
    microk8s_encryption._encrypt(KEYS[0], 0, rewrite=False, check=False)
    assert microk8s_encryption.wanted(KEYS[0]) == secrets_encryption.read() == [KEYS[0]]


def test_the_role_knows_what_is_written(tmp_path: Path) -> None:
    """A second run that changes nothing does not call the module."""
    role = Role("microk8s", tmp_path)
    password = role.value("_microk8s_encryption_key")
    assert (tmp_path / "secrets/home/kubernetes_encryption.key").read_text().strip() == password
    assert role.value("_microk8s_encryption_name") == key_of(password).name
    flags = role.value("_microk8s_apiserver_args")
    assert flags[secrets_encryption.FLAG] == str(secrets_encryption.FILE)
