import json
from pathlib import Path

import pytest

from lab.host import LabError
from lab.machine import Machine, check_name, load, machines, machines_of, save


@pytest.mark.parametrize("name", ["a", "home", "a1", "my-home-2", "abcdefghij"])
def test_a_host_name_of_ten_characters_is_valid(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["", "Home", "1a", "-a", "a-", "abcdefghijk", "a.b", "a/b", "..", "a\n"])
def test_an_invalid_name_is_rejected_with_the_rules(name: str) -> None:
    with pytest.raises(LabError, match="1 to 10 of a-z"):
        check_name(name)


def test_a_machine_is_found_by_its_name(lab_directory: Path) -> None:
    machine = Machine("home", "nspawn", "10.214.0.2", 2222)
    save(machine)
    assert load("home") == machine
    assert list(machines()) == [machine]
    assert machine.directory == lab_directory / "home"


def test_a_home_has_one_inventory(lab_directory: Path) -> None:
    home = Machine("home", "nspawn", "10.214.0.2", 22)
    attic = Machine("home-2", "nspawn", "10.214.0.3", 22, "home")
    for machine in (attic, Machine("home-3", "nspawn", "10.214.0.4", 22), home):
        save(machine)
    assert machines_of("home") == [home, attic]
    assert attic.inventory == home.inventory == lab_directory / "home/inventory"


@pytest.mark.parametrize("record", [None, "", '{"name": "home", "backend": "nsp'])
def test_a_machine_without_a_record_does_not_exist(lab_directory: Path, record: str | None) -> None:
    (lab_directory / "home").mkdir(parents=True)
    if record is not None:
        (lab_directory / "home/machine.json").write_text(record)
    assert load("home") is None
    assert list(machines()) == []


@pytest.mark.parametrize(("port", "known_as"), [(22, "10.214.0.2"), (2222, "[10.214.0.2]:2222")])
def test_only_its_own_host_key_is_trusted(lab_directory: Path, port: int, known_as: str) -> None:
    machine = Machine("home", "nspawn", "10.214.0.2", port)
    save(machine)
    machine.make_keys()
    address, kind, key, *_ = machine.known_hosts.read_text().split()
    assert (address, kind) == (known_as, "ssh-ed25519")
    assert key in (lab_directory / "home/ssh_host_ed25519_key.pub").read_text()
    assert machine.key.stat().st_mode & 0o777 == 0o600
    assert "StrictHostKeyChecking=yes" in machine.ssh()
    assert f"UserKnownHostsFile={machine.known_hosts}" in machine.ssh()


def test_a_command_follows_the_address(lab_directory: Path) -> None:
    machine = Machine("home", "nspawn", "10.214.0.2", 22)
    assert machine.ssh("uname", "-a")[-3:] == ["root@10.214.0.2", "uname", "-a"]
    assert str(lab_directory / "home/id_ed25519") in machine.ssh_command()


def test_the_end_of_the_console_is_shown_without_colours(lab_directory: Path) -> None:
    machine = Machine("home", "nspawn", "10.214.0.2", 22)
    assert machine.last_console_lines() == ""
    save(machine)
    assert machine.console.parent == lab_directory / "home"
    machine.console.write_bytes(
        b"first\r\n[\x1b[0;32m  OK  \x1b[0m] Started \xe2\x80\xa6\r\n\r\r\n\xff last\r\n"
    )
    assert machine.last_console_lines(2) == "[  OK  ] Started …\n� last"


def test_the_record_is_json_for_other_programs(lab_directory: Path) -> None:
    save(Machine("home", "nspawn", "10.214.0.2", 22))
    record = json.loads((lab_directory / "home/machine.json").read_text())
    assert record == {
        "name": "home",
        "backend": "nspawn",
        "address": "10.214.0.2",
        "port": 22,
        "founder": None,
        "memory_mib": 0,
        "disk_gib": 0,
    }
