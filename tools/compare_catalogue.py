"""Compare the catalogue of apps with the compose files of the apps' own projects.

`DIRECTORY` has a file for each app to compare: `<name>.yml`, or `<name>.md`, whose first block with services
is taken. Prints each service, port, volume, variable and privilege that the catalogue lacks, and that it does
not explain under `compared`.
"""

import argparse
import fnmatch
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

if not AnsibleCollectionConfig.collection_finder:
    init_plugin_loader()

from ansible_collections.homeserver.stack.plugins.module_utils.apps import ROOT_CAPABILITIES
from ansible_collections.homeserver.stack.plugins.module_utils.compose.entries import translate
from ansible_collections.homeserver.stack.plugins.module_utils.compose.project import read_project

from tools.catalogue import CATALOGUE

App = Mapping[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """Print the differences of all files; return 1 if there are any."""
    options = argparse.ArgumentParser(prog="python -m tools.compare_catalogue", description=__doc__)
    options.add_argument("directory", metavar="DIRECTORY", type=Path)
    directory = options.parse_args(arguments).directory
    found = [
        f"{name}: {line}"
        for name in sorted(file.stem for file in CATALOGUE.glob("*.yml"))
        for file in (directory / f"{name}.yml", directory / f"{name}.md")
        if file.is_file()
        for line in unexplained(yaml.safe_load((CATALOGUE / f"{name}.yml").read_text()), file)
    ]
    sys.stdout.writelines(f"{line}\n" for line in found)
    return 1 if found else 0


def unexplained(about: Mapping[str, Any], file: Path) -> Iterator[str]:
    """Yield the differences that the catalogue does not explain, and explanations of none.

    Args:
        about: the content of a file of the catalogue.
        file: the compose file of the app's project, or a page with it.
    """
    known = about.get("compared", {}).get("differs", {})
    found = set(differences(about["apps"], services(file)))
    yield from sorted(each for each in found if not any(fnmatch.fnmatch(each, pattern) for pattern in known))
    for pattern in known:
        if not fnmatch.filter(found, pattern):
            yield f"{pattern}: explained, and not different"


def differences(apps: Iterable[App], services: Iterable[App]) -> Iterator[str]:
    """Yield what an app lacks, and the volumes that only it has; apps are found by their images."""
    there = {_image(each): each for each in services}
    own = {_image(each): each for each in apps}
    yield from (f"no {name}" for name in there.keys() - own.keys())
    for name in there.keys() & own.keys():
        given, kept = there[name], own[name]
        for what, of in _COMPARED.items():
            yield from (f"no {what} {each} in {name}" for each in of(given) - of(kept))
        yield from (f"own volume {each} in {name}" for each in _paths(kept) - _paths(given))
        if kept.get("shared_memory_mib", 0) < (wanted := given.get("shared_memory_mib", 0)):
            yield f"no shared memory of {wanted} MiB in {name}"


def _ports(app: App) -> set[str]:
    ports = {str(each.get("target_port", each["port"])) for each in app.get("ports", [])}
    return ports | ({str(app["port"])} if app.get("port") else set())


def _paths(app: App) -> set[str]:
    return {each["path"].rstrip("/") for each in app.get("volumes", [])}


def _variables(app: App) -> set[str]:
    return {*app.get("env", {}), *app.get("secrets", {})}


def _privileges(app: App) -> set[str]:
    """Return what an app may do beyond a root of its own."""
    more = set(app.get("capabilities", [])) - {*ROOT_CAPABILITIES, "NET_BIND_SERVICE"}
    return more | {"host network"} if app.get("host_network") else more


_COMPARED: dict[str, Callable[[App], set[str]]] = {
    "port": _ports,
    "volume": _paths,
    "variable": _variables,
    "privilege": _privileges,
}


def _image(app: App) -> str:
    """Return the last part of an image's name, without its tag."""
    return re.split(r"[@:]", str(app["image"]).rpartition("/")[2])[0]


def services(file: Path) -> list[App]:
    """Return the apps that the import makes of a compose file, or of a page with one."""
    text = file.read_text()
    if file.suffix == ".md":
        text = next(block for block in re.findall(r"(?s)```[^\n]*\n(.*?)```", text) if "services:" in block)
    # Beside the original, where the files are that it names.
    with tempfile.NamedTemporaryFile("w", suffix=".yml", dir=file.parent) as copy:
        copy.write(text)
        copy.flush()
        project = read_project(Path(copy.name), file.stem)
    return list(translate(project, image_user=lambda _: "0").entries)


if __name__ == "__main__":
    sys.exit(main())
