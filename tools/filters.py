"""Write plugins/filter/*.yml, the documentation of each filter, from its docstring and types."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tools.reference import ROOT

DIRECTORY = ROOT / "plugins/filter"
PACKAGE = "ansible_collections.homeserver.stack.plugins.filter"
HEAD = "# `make docs` writes this from the filter's docstring.\n"
# The descriptions of parameters that a docstring does not describe.
PARAMETERS = {
    "abandoned": "Claims, as namespace/name, whose data the owner gives up.",
    "address": "An address that the host reports.",
    "applied": "The text of the last applied launch configuration.",
    "apps": "Entries of C(apps), complete ones.",
    "arguments": "The values of the flags by name; true and false become texts.",
    "claims": "Claims, as namespace/name.",
    "cloned": "The directory of the sources that are cloned.",
    "cluster": "The state of the cluster, as M(homeserver.stack.microk8s_cluster) returns it on the founder.",
    "domains": "DNS domains.",
    "founder": "The name of the founder.",
    "founders": "The version of Kubernetes on the founder.",
    "given": "Lists of receivers by their kind, such as C(ntfy) or C(email).",
    "host": "The name of the machine in the inventory.",
    "image": "The name of an image with its tag.",
    "ingresses": "Ingresses and IngressRoutes, as the cluster has them.",
    "key": "A private key as PEM.",
    "labels": "The wanted labels of the node.",
    "location": "The repository, as restic writes it.",
    "lock": "The digests of images by their names.",
    "machine": "The name of a machine in the inventory.",
    "master": "The password of all backups.",
    "member": "The state of the cluster, as M(homeserver.stack.microk8s_cluster) returns it on the host.",
    "mirrors": "The URL of the mirror of each registry.",
    "name": "The name of the host in the inventory.",
    "names": "DNS names; a wildcard begins with C(*).",
    "node": "The node, by its name or as the cluster knows it.",
    "objects": "Objects of Kubernetes.",
    "own": "The state of the cluster, as M(homeserver.stack.microk8s_cluster) returns it on the host.",
    "paths": "Files on the control machine.",
    "pem": "A certificate as PEM.",
    "placed": "The volumes to restore, as P(homeserver.stack.restored_volumes#filter) returns them.",
    "pods": "Pods, as the cluster has them.",
    "repositories": "The option C(backup_repositories).",
    "taints": "The wanted taints of the node.",
    "text": "The text to encode.",
    "texts": "Addresses and host names.",
    "url": "The URL to which requests are sent.",
    "version": "The version of Kubernetes on the host.",
    "volumes": "The saved volumes. Each has C(volume), C(namespace), C(claim), C(node) and C(path).",
    "wanted": "The wanted launch configuration.",
    "workloads": "Workloads, as the cluster has them.",
}
TYPES = {"str": "str", "int": "int", "float": "float", "bool": "bool"}
LISTS = ("Iterable", "Sequence", "list")
MAPPINGS = ("Mapping", "dict")


def main() -> None:
    """Write the files; remove those of filters that no longer exist."""
    pages = render()
    for file in {*DIRECTORY.glob("*.yml")} - {*pages}:
        file.unlink()
    for file, text in pages.items():
        file.write_text(text)


def render() -> dict[Path, str]:
    """Return what is in each file."""
    modules = (importlib.import_module(f"{PACKAGE}.{path.stem}") for path in sorted(DIRECTORY.glob("*.py")))
    return {
        DIRECTORY / f"{name}.yml": HEAD + _yaml(_documentation(name, function))
        for module in modules
        for name, function in module.FilterModule().filters().items()
    }


def _yaml(documentation: dict[str, Any]) -> str:
    return yaml.safe_dump(documentation, sort_keys=False, allow_unicode=True, width=110)


def _documentation(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    first, *others = _paragraphs(inspect.getdoc(function) or "")
    said = dict(_arguments(others))
    texts = [text for text in others if not re.match(r"(Args|Returns|Raises):", text)]
    types = _types(function)
    source, *more = inspect.signature(function).parameters.values()
    options = {
        "_input": {"description": _described(source, said), **_type(types[source.name]), "required": True},
        **{each.name: _option(each, types[each.name], said) for each in more},
    }
    by_place = [each.name for each in more if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    returned = " ".join([re.sub(r"^(Return|Tell|Say) ", "", first), *_returned(others)])
    return {
        "DOCUMENTATION": {
            "name": name,
            "short_description": _marked(first).rstrip("."),
            "description": _marked(" ".join([first, *map(_joined, texts)])),
            **({"positional": ", ".join(by_place)} if by_place else {}),
            "options": options,
            "author": "The homeserver.stack maintainers (!UNKNOWN)",
        },
        "RETURN": {"_value": {"description": _sentence(_marked(returned)), **_type(types["return"])}},
    }


def _paragraphs(docstring: str) -> list[str]:
    return re.split(r"\n\n", docstring)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _arguments(paragraphs: list[str]) -> Iterator[tuple[str, str]]:
    for text in paragraphs:
        if text.startswith("Args:"):
            for name, description in re.findall(r"^    (\w+): ((?:.|\n     )*)", text, re.MULTILINE):
                yield name, _sentence(_marked(_joined(description)))


def _returned(paragraphs: list[str]) -> list[str]:
    return [_joined(text.removeprefix("Returns:")) for text in paragraphs if text.startswith("Returns:")]


def _described(parameter: inspect.Parameter, said: dict[str, str]) -> str:
    """Return a parameter's description.

    Raises:
        KeyError: it has none.
    """
    return said.get(parameter.name) or PARAMETERS[parameter.name]


def _option(parameter: inspect.Parameter, annotation: str, said: dict[str, str]) -> dict[str, Any]:
    required = parameter.default is inspect.Parameter.empty
    about = {"required": True} if required else {"default": parameter.default}
    return {
        "description": _described(parameter, said),
        **_type(annotation),
        **{key: value for key, value in about.items() if value is not None},
    }


def _types(function: Callable[..., Any]) -> dict[str, str]:
    """Return the annotations as texts, with the aliases of the function's module resolved."""
    names = vars(sys.modules[function.__module__])
    aliases: dict[str, str] = {name: str(value) for name, value in names.items() if "[" in str(value)}
    annotations: dict[str, str] = inspect.get_annotations(function)
    return {name: aliases.get(text.rpartition(".")[2], text) for name, text in annotations.items()}


def _type(annotation: str) -> dict[str, str]:
    """Return the type that Ansible's documentation has for an annotation."""
    plain = re.sub(r"\b(typing|collections\.abc)\.", "", annotation).removesuffix(" | None")
    kind, _, inner = plain.partition("[")
    if kind in LISTS:
        element = _type(inner.removesuffix("]"))["type"]
        return {"type": "list", "elements": element}
    if kind in MAPPINGS:
        return {"type": "dict"}
    return {"type": TYPES.get(kind, "dict")}


def _marked(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"C(\1)", text)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


if __name__ == "__main__":
    main()
