"""Every page of the summary opens in a browser, without an error in its console."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import browser, lan
from harness.home import Home
from harness.jaeger import WITHOUT_PAGES
from lab.host import LabError

# What each page shows once it is complete.
SHOWN = {
    "hello": "Hello from the home server!",
    "second": "Hello from the second app!",
    "httpbin": "go-httpbin",
    "nas": lan.SAYS,
    "nas-files": lan.SAYS,
    "grafana": "Welcome to Grafana",
    "kibana": "Elastic",
    "prometheus": "Execute",
    "alertmanager": "New Silence",
    "jaeger": "Jaeger UI",
    "traefik": "Entrypoints",
    "whoami": '"headers"',
    "welcome": "this device trusts the home",
}
# Errors that are no fault of this home.
TOLERATED = {
    "httpbin": r"404 .*/favicon\.ico$",  # it has no icon
    # Without internet it cannot load the button of Traefik Hub.
    "traefik": r"Worker\]? [Vv]erification (error|failed): (TypeError: )?Failed to fetch",
}


class Listed(NamedTuple):
    """A page as the summary lists it."""

    state: str
    url: str
    user: str
    password_file: str


@pytest.fixture(scope="module")
def listed(home: Home) -> dict[str, Listed]:
    """All pages of the summary by name; of several with one name, the first."""
    output = home.play("playbooks/status.yml").stdout
    row = r"^ +(\S+) .*?(healthy|not run here \(0 replicas\)|answers \d+) +(https://\S+)(?: +(\S+) +(\S+))?$"
    return {name: Listed(*rest) for name, *rest in reversed(re.findall(row, output, re.MULTILINE))}


@pytest.fixture(scope="module")
def chromium(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    try:
        browser.install()
    except LabError as error:
        pytest.skip(f"there is no Chromium: {error}")
    with browser.at_home(home, tmp_path_factory.mktemp("chromium")) as running:
        yield running


def test_it_is_known_what_every_page_shows(listed: dict[str, Listed]) -> None:
    assert set(listed) == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_renders_without_an_error(
    name: str, listed: dict[str, Listed], chromium: browser.Browser
) -> None:
    state, url, user, password_file = listed[name]
    if state.startswith("not run here"):
        pytest.skip(f"{name}: {state}")
    assert state == "healthy"
    credentials = (user, Path(password_file).read_text().strip()) if user else None

    with chromium.page(credentials) as page:
        page.open(url)
        if WITHOUT_PAGES in page.wait_for(SHOWN[name], WITHOUT_PAGES):
            pytest.skip("it was built without its pages")
        tolerated = TOLERATED.get(name)
        assert [error for error in page.errors if not (tolerated and re.search(tolerated, error))] == []
