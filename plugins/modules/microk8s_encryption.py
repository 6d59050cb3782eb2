"""The module microk8s_encryption."""

from __future__ import annotations

DOCUMENTATION = """
module: microk8s_encryption
short_description: Configures the encryption of Secrets in MicroK8s' datastore
description:
  - Writes C(/etc/homeserver/encryption.yaml) with the key that the API server uses to encrypt Secrets before
    it stores them. Providers that may be needed to read existing Secrets follow after that key.
  - With O(rewrite), lets the API server store each Secret with the key, and removes the other providers from
    the file. The next run finishes an interrupted one.
options:
  key:
    type: str
    required: true
    description: The password that the key is derived from.
  rewrite:
    type: bool
    default: false
    description: Whether to store each Secret again, which requires a running cluster.
  timeout:
    type: int
    default: 600
    description: Seconds that the API server may take to restart.
author: The homeserver.stack maintainers (!UNKNOWN)
attributes:
  check_mode:
    support: full
    description: It reports what would change.
"""

EXAMPLES = """
- homeserver.stack.microk8s_encryption:
    key: "{{ lookup('homeserver.stack.secret', homeserver_secrets_dir ~ '/kubernetes_encryption.key') }}"
    rewrite: true
"""

RETURN = """
pending:
  description: Whether a Secret may be stored without this key.
  type: bool
  returned: always
restarted:
  description: Whether the API server was restarted.
  type: bool
  returned: always
"""

import json
import re
import subprocess
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homeserver.stack.plugins.module_utils.nodes import membership, secrets_encryption
from ansible_collections.homeserver.stack.plugins.module_utils.nodes.secrets_encryption import Key

_TIMEOUT = 30
_INTERVAL = 2
_ATTEMPTS = 5
_KUBELITE = "microk8s.daemon-kubelite"
_PROBE = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"generateName": "homeserver-encryption-", "namespace": "kube-system"},
}


class StoreError(Exception):
    """Secrets are not stored as wanted, but all keys to read them still exist."""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "key": {"required": True, "no_log": True},
            "rewrite": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )
    key = secrets_encryption.key_of(module.params["key"])
    try:
        changed, restarted = _encrypt(
            key, module.params["timeout"], rewrite=module.params["rewrite"], check=module.check_mode
        )
    except StoreError as error:
        module.fail_json(msg=str(error))
    pending = not module.params["rewrite"] and wanted(key) != [key]
    module.exit_json(changed=changed, restarted=restarted, pending=pending)


def wanted(key: Key) -> list[Key]:
    """Return the keys for an API server that writes with this one and can read all stored Secrets."""
    before = secrets_encryption.read()
    may_be_plain = secrets_encryption.NOTHING in before or secrets_encryption.stores_plain()
    others = [each for each in before if each not in (key, secrets_encryption.NOTHING)]
    return [key, *others, *([secrets_encryption.NOTHING] if may_be_plain else [])]


def _encrypt(key: Key, timeout: int, *, rewrite: bool, check: bool) -> tuple[bool, bool]:
    """Return whether something changed, and whether the API server was restarted because of it."""
    keys = wanted(key)
    changed, restarted = keys != secrets_encryption.read(), False
    if changed and not check:
        secrets_encryption.write(keys)
    if not rewrite or keys == [key]:
        return changed, restarted
    if not check:
        restarted = _write_with(key, timeout)
        _store_again()
        secrets_encryption.write([key])
    return True, restarted


def _write_with(key: Key, timeout: int) -> bool:
    """Restart the API server unless it already writes with the key; return whether that was needed.

    Raises:
        StoreError: It does not use the key.
    """
    if secrets_encryption.stores_plain():
        flag = f"{secrets_encryption.FLAG}={secrets_encryption.FILE}"
        raise StoreError(f"the API server runs without {flag} -> run site.yml, which sets it")
    if _writes_with(key):
        return False
    _restart()
    deadline = time.monotonic() + timeout
    while not _writes_with(key):
        if time.monotonic() > deadline:
            raise StoreError(
                f"after {timeout} s the API server does not encrypt with {key.name} of "
                f"{secrets_encryption.FILE} -> on the host: sudo journalctl -u snap.{_KUBELITE}"
            )
        time.sleep(_INTERVAL)
    return True


def _writes_with(key: Key) -> bool:
    """Return whether the running API server encrypts with a key, from its metrics by key."""
    made = _kubectl("create", "--filename=-", "--output=name", given=json.dumps(_PROBE))
    if made.returncode:
        return False
    counts = _kubectl("get", "--raw=/metrics").stdout
    _kubectl("delete", "--namespace=kube-system", made.stdout.strip())
    counted = (
        r"^apiserver_storage_transformation_operations_total\{.*\"to_storage\",transformer_prefix=\"%s:\""
    )
    return re.search(counted % re.escape(key.name), counts, re.MULTILINE) is not None


def _store_again() -> None:
    """Let the API server store each Secret unchanged: it rewrites those that are not encrypted with its key.

    Raises:
        StoreError: It did not store them all.
    """
    for _ in range(_ATTEMPTS):
        secrets = _kubectl("get", "secrets", "--all-namespaces", "--output=json")
        if secrets.returncode == 0 and json.loads(secrets.stdout)["items"] == []:
            return
        stored = _kubectl("replace", "--filename=-", given=secrets.stdout)
        if secrets.returncode == stored.returncode == 0:
            return
        # A Secret was changed or deleted in the meantime. The next list has its current state.
        time.sleep(_INTERVAL)
    raise StoreError(f"not every Secret was stored again -> run this again: {secrets.stderr}{stored.stderr}")


def _restart() -> None:
    _run("snap", "restart", _KUBELITE)


def _kubectl(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return _run(membership.MICROK8S, "kubectl", f"--request-timeout={_TIMEOUT}s", *arguments, given=given)


def _run(*command: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main()
