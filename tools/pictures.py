"""Makes docs/pictures/ from a running home, and shows them on the pages of the documentation.

Everything is real: a browser loads the home's own pages, a dashboard of Kibana is drawn from the answers of
the home's Elasticsearch, and the terminal shows the output of `site.yml`. What does not run has no picture.
"""

import argparse
import html
import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import testinfra
import vl_convert
from rich.console import Console
from rich.text import Text

from harness import browser, kibana
from harness.home import ROOT, Home, Kubectl
from harness.jaeger import WITHOUT_PAGES
from harness.logs import Logs
from lab.machine import lab_directory

DIRECTORY = ROOT / "docs/pictures"
PAGES = (ROOT / "README.md", ROOT / "docs/architecture.md")
LARGEST = 200_000
"""Bytes of a picture."""


class Screen(NamedTuple):
    """A page to take a picture of."""

    host: str
    path: str
    shows: str
    height: int
    password: bool = True


SCREENS = {
    "hello.png": Screen("hello", "/", "Hello", 240, password=False),
    "traefik.png": Screen("traefik", "/dashboard/", "Entrypoints", 800),
    "prometheus-alerts.png": Screen("prometheus", "/alerts", "Watchdog", 800),
    "jaeger.png": Screen("jaeger", "/search?service=traefik", "Jaeger UI", 800),
}
TERMINAL = "site.svg"
DASHBOARD = "kibana-traffic.png"
NAMES = (*SCREENS, DASHBOARD, TERMINAL)

_WIDTH = 1200
# A dashboard of Kibana has 48 columns, and rows of this height.
_COLUMN, _ROW = _WIDTH // 48, 20
_SINCE = {"gte": "now-1h", "lte": "now"}
_INTERVAL = "1m"
_STYLE = """
body { font: 14px sans-serif; margin: 0 }
section { position: absolute; padding-left: 12px }
h2 { font-size: 14px; margin: 8px 0 }
"""

Ask = Callable[[str, Any], Any]
"""Returns the answer of Elasticsearch to a path and a body."""


def main() -> None:
    """Make every picture of the home in an inventory."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    default = lab_directory() / "home/inventory"
    parser.add_argument(
        "-i", "--inventory", type=Path, default=default, help=f"of a running home ({default})"
    )
    home = Home.of(str(parser.parse_args().inventory.resolve()))
    DIRECTORY.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as scratch,
        browser.at_home(home, Path(scratch) / "profile") as chromium,
    ):
        for name, screen in SCREENS.items():
            if picture := _screen(chromium, home, screen):
                _write(name, picture)
        _write(DASHBOARD, _dashboard(chromium, Path(scratch) / "dashboard.html", _logs(home).ask))
    run = home.play("site.yml", ANSIBLE_FORCE_COLOR="true")
    if run.returncode:
        raise SystemExit(f"site.yml failed:\n{run.stdout}{run.stderr}")
    _write(TERMINAL, terminal(run.stdout).encode())
    for page in PAGES:
        page.write_text(with_pictures(page.read_text(), page.parent))


def _screen(chromium: browser.Browser, home: Home, screen: Screen) -> bytes | None:
    password = (home.secrets / "traefik_dashboard.password").read_text().strip()
    with chromium.page(("admin", password) if screen.password else None) as page:
        page.open(f"https://{screen.host}.{home.domain}{screen.path}")
        if WITHOUT_PAGES in page.wait_for(screen.shows):
            return None
        return page.picture(_WIDTH, screen.height)


def _logs(home: Home) -> Logs:
    host = testinfra.get_host(f"ansible://{home.name}?ansible_inventory={home.inventory}")
    return Logs(host, home, Kubectl(host))


def _dashboard(chromium: browser.Browser, file: Path, ask: Ask) -> bytes:
    content, height = dashboard_page("Traffic", ask)
    file.write_text(content)
    with chromium.page() as page:
        page.open(file.as_uri())
        page.wait_for("Requests")
        return page.picture(_WIDTH, height)


def dashboard_page(title: str, ask: Ask) -> tuple[str, int]:
    """Return a page with the panels that Vega-Lite draws on a dashboard of Kibana, and its height."""
    panels = list(kibana.panels(kibana.read(), title))
    top = min(panel.row for panel in panels)
    bottom = max(panel.row + panel.height for panel in panels)
    drawn = "".join(_section(panel, top, _draw(panel, ask)) for panel in panels)
    return f"<!doctype html><meta charset=utf-8><style>{_STYLE}</style>{drawn}", (bottom - top) * _ROW


def _section(panel: kibana.Panel, top: int, drawing: str) -> str:
    place = f"left: {panel.column * _COLUMN}px; top: {(panel.row - top) * _ROW}px"
    return f'<section style="{place}"><h2>{html.escape(panel.title)}</h2>{drawing}</section>'


def _draw(panel: kibana.Panel, ask: Ask) -> str:
    """Return a panel as SVG, with what Elasticsearch answers to its search."""
    source = panel.specification["data"]
    url = source["url"]
    answer = ask(f"{url['index']}/_search", kibana.filled_in(url["body"], _SINCE, _INTERVAL))
    for key in source["format"]["property"].split("."):
        answer = answer[key]
    size = {
        "width": panel.width * _COLUMN - 36,
        "height": panel.height * _ROW - 44,
        "autosize": {"type": "fit", "contains": "padding"},
    }
    drawing = panel.specification | {"data": {"values": answer}} | size
    return str(vl_convert.vegalite_to_svg(drawing, vl_version="5.20"))


def terminal(output: str) -> str:
    """Return the end of a run of site.yml, with its colours, as SVG."""
    text = Text.from_ansi(output[output.rindex("TASK [Your home server") :].rstrip() + "\n")
    console = Console(record=True, file=io.StringIO(), width=max(map(len, text.plain.splitlines())))
    console.print(text, soft_wrap=True)
    svg = console.export_svg(title="ansible-playbook site.yml", unique_id="site")
    # The fonts are on a server of others, and a picture loads nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def with_pictures(text: str, folder: Path) -> str:
    """Return a page with every picture that is there in the place that a comment keeps for it."""

    def shown(match: re.Match[str]) -> str:
        path, caption = match.groups()
        return f"![{caption}]({path})" if (folder / path).exists() else match[0]

    return re.sub(r"<!-- picture (\S+): (.+?) -->", shown, text)


def _write(name: str, content: bytes) -> None:
    if len(content) > LARGEST:
        raise SystemExit(f"{name} has {len(content)} bytes, more than {LARGEST}: take a smaller window")
    (DIRECTORY / name).write_bytes(content)


if __name__ == "__main__":
    main()
