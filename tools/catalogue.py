"""Write docs/catalogue.md from the catalogue of apps."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

if not AnsibleCollectionConfig.collection_finder:
    init_plugin_loader()

from ansible_collections.homeserver.stack.plugins.module_utils.apps import LEVELS, namespace
from ansible_collections.homeserver.stack.plugins.module_utils.catalogue import part

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/catalogue.md"
CATALOGUE = ROOT / "roles/apps/catalogue"
INTRODUCTION = """\
# Catalogue

Apps that run with one entry:

```yaml
apps:
  - from: miniflux
  - from: jellyfin
    host: films.home.arpa # default: <name>.<domain>
    volumes:
      - { name: media, size_gib: 500 }
  - from: nextcloud
    name: office # a second one, apart from the first
  - from: nextcloud
```

Each [key of an app](apps.md#every-key) besides `from` changes the app: its value replaces that of the
catalogue. Keys of `env`, `secrets`, `files` and `sysctls` are added. A volume with a known name changes
that one, so `{ name: media, size_gib: 500 }` is enough; one with another name needs a path, and is added.
Other apps of its stack, such as its database, stay as they are, unless
[`parts`](apps.md#from-the-catalogue) has their keys: `parts: {db: {…}}` for `nextcloud-db`.

The passwords are made by the first run, in `inventory/secrets/<host>/apps/<name>/`. `memory` is how much
the app needs, and at most gets. `rights` is the strictest [standard](apps.md#root-and-more) that allows it.
Tests give the objects of each app to a real API server, which accepts them. `compared` says with which
compose file of the app's own project it was compared, and where it differs and why. `tried` says whether the
app itself also runs in the [lab](lab.md), which has few images.

`make docs` writes this page from `roles/apps/catalogue/`.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(render())


def render() -> str:
    """Return the page as Markdown."""
    known = {file.stem: yaml.safe_load(file.read_text()) for file in sorted(CATALOGUE.glob("*.yml"))}
    contents = "".join(f"- [{name}](#{name}): {about['summary']}\n" for name, about in known.items())
    return "\n".join([INTRODUCTION, contents, *(_section(name, about) for name, about in known.items())])


def _section(name: str, about: dict[str, Any]) -> str:
    rows = "".join(f"| {what} | {text} |\n" for what, text in _rows(name, about))
    notes = f"\n{about['notes'].strip()}\n" if "notes" in about else ""
    title = f"## {name}\n\n{about['summary']} See [its page]({about['homepage']}).\n"
    return f"{title}{notes}\n| | |\n| --- | --- |\n{rows}"


def _rows(name: str, about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    apps = about["apps"]
    yield "entry", f"`- from: {name}`"
    yield "memory", f"{about['memory_mib']} MiB, at most {sum(map(_limit, apps))} MiB"
    yield "images", ", ".join(f"`{app['image']}`" for app in apps)
    if len(apps) > 1:
        yield "parts", ", ".join(f"`{part(app, apps[0])}`" for app in apps[1:])
    yield "volumes", ", ".join(_volumes(name, apps)) or "none"
    if ports := [port for app in apps for port in app.get("ports", [])]:
        texts = (f"{port['port']}/{port.get('protocol', 'tcp')}" for port in ports)
        yield "ports of the server", ", ".join(texts)
    if passwords := sorted(set(re.findall(r"app_secrets ~ '/(\w+)'", str(apps)))):
        yield "passwords", ", ".join(f"`{each}`" for each in passwords)
    own = {app["name"] for app in apps}
    if needed := [each for app in apps for each in app.get("needs", []) if each not in own]:
        yield "needs", ", ".join(f"[{each}](#{each})" for each in needed)
    place = namespace(apps[0], apps)
    yield "rights", f"{LEVELS[place]}{_root(apps)}"
    yield "reaches", _reach(apps)
    if "phone" in about:
        yield "phone", about["phone"].strip()
    if "compared" in about:
        yield "compared", _compared(about["compared"])
    yield "tried", "run in the lab" if about["run_here"] else "not run here"


def _compared(compared: dict[str, Any]) -> str:
    parts = [f"with [its project's file]({compared['with']})"]
    parts += (f"{what.replace('*', '…')}: {why}" for what, why in compared.get("differs", {}).items())
    return "; ".join(parts)


def _limit(app: dict[str, Any]) -> int:
    text = app["resources"]["limits"]["memory"]
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


def _volumes(name: str, apps: list[dict[str, Any]]) -> Iterator[str]:
    for app in apps:
        owner = "" if app["name"] == name else f" of `{app['name']}`"
        for volume in app.get("volumes", []):
            yield f"`{volume['name']}`{owner} ({volume['size_gib']} GiB)"


def _root(apps: list[dict[str, Any]]) -> str:
    named = [f"`{app['name']}`" for app in apps if app.get("root")]
    return f"; {', '.join(named)} starts as root" if named else ""


def _reach(apps: list[dict[str, Any]]) -> str:
    reached = {"internet": "the internet", "lan": "your network"}
    found = (text for key, text in reached.items() if any(app.get(key) for app in apps))
    return " and ".join(found) or "nothing else"


if __name__ == "__main__":
    main()
