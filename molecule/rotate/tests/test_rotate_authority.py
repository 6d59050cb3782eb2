"""Another authority takes the place of the home's own, and a device that trusts both notices nothing."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.exceptions import SSLError

from harness import browser
from harness.home import Home, eventually
from harness.machines import WITHOUT_LOGS
from harness.prometheus import Prometheus
from harness.repeatedly import repeatedly
from plugins.filter.certificates import fingerprint


def _rotate(home: Home, *arguments: str) -> None:
    run = home.play("playbooks/rotate.yml", *WITHOUT_LOGS, "-e", "secret=ca", *arguments)
    assert run.returncode == 0, run.stdout + run.stderr


def _trusts(home: Home, authorities: Path) -> bool:
    """Whether a device with these authorities opens a page without a warning."""
    try:
        return requests.get(f"https://hello.{home.domain}/", verify=str(authorities), timeout=10).ok
    except SSLError:
        return False


@contextmanager
def _asking(home: Home, authorities: Path) -> Iterator[list[str]]:
    """Open a page again and again; yield what went wrong."""
    flaws: list[str] = []

    def ask() -> None:
        try:
            requests.get(f"https://hello.{home.domain}/", verify=str(authorities), timeout=10)
        except requests.RequestException as error:
            flaws.append(f"{time.strftime('%X')} {error}")

    with repeatedly(ask, 0.2):
        yield flaws


def _asks_for_the_next_authority(home: Home) -> None:
    """The page for devices offers it, lists who lacks it, and is itself served by a certificate of it."""
    page, reached = f"http://{home.address}/trust", f"https://welcome.{home.domain}/trust/reached"
    headers = {"User-Agent": "Mozilla/5.0 (iPhone)"}

    def row() -> list[str]:
        text = requests.get(page, headers=headers, timeout=10).text
        return re.findall(rf"<td>iPhone</td><td>{home.tests}</td><td>(.+?)</td>", text)

    offered = requests.get(f"{page}/home-ca-next.crt", timeout=10).text
    assert offered == (home.secrets / "ca.next.crt").read_text()
    assert row() == ["not yet"]
    with pytest.raises(SSLError):
        requests.get(reached, headers=headers, verify=home.ca, timeout=10)
    requests.get(reached, headers=headers, verify=str(home.secrets / "ca.next.crt"), timeout=10)
    assert row() == ["yes"]


def _says(home: Home, profile: Path, *authorities: str) -> str:
    """Return what the page for devices says to one with these authorities."""
    with browser.on_a_phone(home, profile, *(home.secrets / f"{name}.crt" for name in authorities)) as tab:
        tab.open(f"http://{home.address}/trust")
        tab.wait_for("This device does", "This device trusts")
        return str(tab.value("document.getElementById('state').textContent"))


@pytest.fixture(scope="module")
def devices(home: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[str]]:
    """A device that trusts the old authority alone, one that trusts both, and what the second noticed."""
    directory = tmp_path_factory.mktemp("devices")
    old, both = directory / "old.crt", directory / "both.crt"
    old.write_text((home.secrets / "ca.crt").read_text())
    _rotate(home)
    assert _trusts(home, old)
    _asks_for_the_next_authority(home)
    assert _says(home, directory / "neither") == "This device does not trust the home yet."
    lacks = "This device trusts the present authority, but not the next one yet."
    assert _says(home, directory / "present", "ca") == lacks
    assert _says(home, directory / "both", "ca", "ca.next") == "✓ This device trusts the next authority."
    both.write_text(old.read_text() + (home.secrets / "ca.next.crt").read_text())
    with _asking(home, both) as flaws:
        _rotate(home, "-e", "step=finish")
    return old, both, flaws


def test_who_trusts_both_notices_nothing(home: Home, devices: tuple[Path, Path, list[str]]) -> None:
    _, both, flaws = devices

    assert flaws == []
    assert _trusts(home, both)


def test_the_old_authority_is_no_longer_enough(home: Home, devices: tuple[Path, Path, list[str]]) -> None:
    old, _, _ = devices

    assert not _trusts(home, old)
    assert _trusts(home, home.secrets / "ca.crt")
    text = requests.get(f"http://{home.address}/trust", timeout=10).text
    assert fingerprint((home.secrets / "ca.crt").read_text()) in text.replace("<wbr>", "")
    assert "being replaced" not in text
    assert sorted(path.name for path in home.secrets.glob("ca.*")) == ["ca.crt", "ca.key"]


@pytest.mark.usefixtures("devices")
def test_prometheus_trusts_the_new_one(prometheus: Prometheus) -> None:
    def refused() -> list[Any]:
        return [sample["metric"] for sample in prometheus.query("up == 0 or probe_success == 0")]

    # It and what it asks have started anew.
    assert eventually(lambda: not refused(), 60), refused()


@pytest.mark.usefixtures("devices")
def test_nothing_is_left_to_do(home: Home) -> None:
    run = home.play("site.yml", "--check", *WITHOUT_LOGS)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "changed=0" in run.stdout
