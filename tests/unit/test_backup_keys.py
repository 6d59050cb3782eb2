"""Each machine has a repository and a password of its own, and the master alone opens the control file."""

import base64
from collections.abc import Callable

import pytest
from ansible_collections.homeserver.stack.plugins.module_utils.backup import keys
from ansible_collections.homeserver.stack.plugins.module_utils.backup.keys import SealError

MASTER = "what-opens-the-backups"
FILES = {"home/hosts.yml": base64.b64encode(b"all: {}").decode(), "secrets/home/ca.key": "a2V5"}


@pytest.mark.parametrize(
    ("location", "own"),
    [
        ("/mnt/backup/home", "/mnt/backup/home/attic"),
        ("local:/mnt/backup", "local:/mnt/backup/attic"),
        ("sftp:backup@nas:/home", "sftp:backup@nas:/home/attic"),
        ("sftp:backup@nas:", "sftp:backup@nas:attic"),
        ("sftp://backup@[fd00::2]:2222//home", "sftp://backup@[fd00::2]:2222//home/attic"),
        ("rest:https://me:secret@nas:8000/home", "rest:https://me:secret@nas:8000/home/attic/"),
        ("rest:http://nas:8000/", "rest:http://nas:8000/attic/"),
        ("s3:https://s3.example.org/bucket", "s3:https://s3.example.org/bucket/attic"),
        ("s3:s3.amazonaws.com/bucket/home/", "s3:s3.amazonaws.com/bucket/home/attic"),
        ("rclone:drive:", "rclone:drive:attic"),
        ("rclone:drive:home", "rclone:drive:home/attic"),
        ("b2:bucket", "b2:bucket:/attic"),
        ("b2:bucket:home", "b2:bucket:home/attic"),
        ("azure:container:/", "azure:container:/attic"),
    ],
)
def test_a_machine_has_a_place_of_its_own(location: str, own: str) -> None:
    assert keys.machine_location(location, "attic") == own


def test_a_machine_has_a_password_of_its_own() -> None:
    passwords = {
        keys.machine_password(master, host)
        for master in (MASTER, "another-one")
        for host in ("home", "attic")
    }

    assert len(passwords) == 4
    assert min(map(len, passwords)) >= 32
    # It never changes: what is saved today is read with it in years.
    assert keys.machine_password(MASTER, "home") == (
        "4823a4a2b5aaf707d36af34e38113a15b0298a280a360a2c8e9eeffd73ebb046"
    )


def test_what_is_sealed_is_read_with_the_master_alone() -> None:
    text = keys.sealed(FILES, MASTER)

    assert keys.unsealed(text, MASTER) == FILES
    assert FILES["secrets/home/ca.key"] not in text
    assert b"hosts.yml" not in base64.b64decode(text.partition("\n")[2])
    for other in ("another-one", keys.machine_password(MASTER, "home")):
        with pytest.raises(SealError, match="give the password that this home had then"):
            keys.unsealed(text, other)


def test_the_same_is_sealed_to_the_same() -> None:
    assert keys.sealed(FILES, MASTER) == keys.sealed(dict(reversed(FILES.items())), MASTER)
    assert keys.sealed(FILES, MASTER) != keys.sealed({**FILES, "home/new.yml": ""}, MASTER)


@pytest.mark.parametrize(
    "change", [lambda text: text[:-8], lambda text: text.replace("A", "B"), lambda _: "", str.upper]
)
def test_what_was_changed_is_refused(change: Callable[[str], str]) -> None:
    with pytest.raises(SealError, match="nothing of it is used"):
        keys.unsealed(change(keys.sealed(FILES, MASTER)), MASTER)
