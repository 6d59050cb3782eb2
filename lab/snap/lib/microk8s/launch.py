"""Launch configuration: the owner's settings of a node in one file, before or after the installation."""

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from . import arguments, certificates, console, paths, programs, services

VERSIONS = ((0, 1, 0), (0, 2, 0))

# The argument file that each key edits, and the service that reads it.
ARGUMENTS = {
    "extraKubeletArgs": ("kubelet", "kubelite"),
    "extraKubeAPIServerArgs": ("kube-apiserver", "kubelite"),
    "extraKubeProxyArgs": ("kube-proxy", "kubelite"),
    "extraKubeControllerManagerArgs": ("kube-controller-manager", "kubelite"),
    "extraKubeSchedulerArgs": ("kube-scheduler", "kubelite"),
    "extraContainerdArgs": ("containerd", "containerd"),
    "extraContainerdEnv": ("containerd-env", "containerd"),
    "extraMicroK8sClusterAgentArgs": ("cluster-agent", "cluster-agent"),
}
ELSEWHERE = ("join", "addonRepositories", "extraCNIEnv", "extraDqliteArgs", "extraDqliteEnv", "extraEtcdArgs")

Document = dict[str, Any]


class InvalidError(ValueError):
    """A launch configuration that MicroK8s would reject."""


def _is_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, str | None) for v in value.values())


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _is_addon(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.get("name")) and _is_names(value.get("args", []))


def _is_addons(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_addon, value))


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= 32


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(ARGUMENTS, (_is_map, "must map flags to values")),
    "extraConfigFiles": (_is_map, "must map file names to contents"),
    "containerdRegistryConfigs": (_is_map, "must map registries to contents of hosts.toml"),
    "extraSANs": (_is_names, "must be a list of names and addresses"),
    "addons": (_is_addons, "must be a list of addons, each with a name, and arguments in a list"),
    "persistentClusterToken": (_is_token, "must have at least 32 characters"),
}


class _Loader(yaml.SafeLoader):
    """Reads every scalar as a string: `1.10` and `true` are values of flags."""


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in resolvers if entry[0] in {"tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"}]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load(text: str) -> list[Document]:
    """Return the documents of a launch configuration.

    Raises:
        InvalidError: When it is not YAML, has no supported version, or a key has the wrong type.
    """
    try:
        documents = [document for document in yaml.load_all(text, _Loader) if document is not None]
    except yaml.YAMLError as error:
        raise InvalidError(f"not YAML: {error}") from error
    for document in documents:
        _check(document)
    return documents


def _check(document: Any) -> None:
    if not isinstance(document, dict):
        raise InvalidError("a launch configuration must be a map")
    version = str(document.get("version", ""))
    parts = tuple(int(part) if part.isdigit() else -1 for part in version.split("."))
    if not VERSIONS[0] <= parts <= VERSIONS[1]:
        raise InvalidError(f"unsupported version {version!r}, must be between 0.1.0 and 0.2.0")
    for key, value in document.items():
        if key in ELSEWHERE:
            raise InvalidError(f"{key} is not part of the lab's MicroK8s")
        if key in CHECKS and value is not None and not CHECKS[key][0](value):
            raise InvalidError(f"{key} {CHECKS[key][1]}")
        if key not in CHECKS and key != "version":
            console.warn(f"Ignoring unknown key {key} of the launch configuration")


def configure(documents: Iterable[Document]) -> set[str]:
    """Write the documents' settings into the files of the services; return the services that must restart."""
    changed: set[str] = set()
    for document in documents:
        for key, (file, service) in ARGUMENTS.items():
            if arguments.change(file, document.get(key) or {}):
                changed.add(service)
        for name, text in _items(document, "extraConfigFiles"):
            if _write(paths.data() / "args" / name, text):
                changed.add("kubelite")
        for host, text in _items(document, "containerdRegistryConfigs"):
            _write(paths.data() / "args/certs.d" / host / "hosts.toml", text)
        if (names := document.get("extraSANs")) is not None:
            certificates.set_names(names)
        if token := document.get("persistentClusterToken"):
            _write(paths.credential("persistent-cluster-tokens.txt"), f"{token}\n")
    return changed


def _items(document: Document, key: str) -> Iterable[tuple[str, str]]:
    return (document.get(key) or {}).items()


def _write(file: Path, text: str) -> bool:
    if file.exists() and file.read_text() == text:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return True


def apply(text: str) -> None:
    """Apply a launch configuration to a running node.

    Raises:
        InvalidError: When the configuration is invalid; nothing has changed then.
        subprocess.CalledProcessError: When an addon or a service fails.
    """
    documents = load(text)
    changed = configure(documents)
    for service in ("containerd", "kubelite"):
        if service in changed:
            services.restart(service)
    for document in documents:
        for addon in document.get("addons") or []:
            action = "disable" if addon.get("disable") == "true" else "enable"
            command = [programs.path("microk8s"), action, addon["name"], *addon.get("args", [])]
            subprocess.run(command, check=True)
    if "cluster-agent" in changed:
        # This ends the program; its successor finds everything else done.
        services.restart("cluster-agent")


def source() -> Path:
    """Return the file that configures a new node: the first of the owner's files, or the default."""
    owners = [
        Path("/etc/microk8s.yaml"),
        Path("/root/snap/microk8s/common/.microk8s.yaml"),
        paths.common() / ".microk8s.yaml",
    ]
    return next((file for file in owners if file.is_file()), paths.snap() / "microk8s.default.yaml")


def apply_pending(directory: Path) -> None:
    """Apply the files in the launcher directory; a failed one is reported, and kept for the next try."""
    for file in sorted(directory.glob("*.yaml")):
        try:
            apply(file.read_text())
        except (InvalidError, OSError, subprocess.CalledProcessError) as error:
            console.say(f"Failed to apply {file}: {error}")
        else:
            file.rename(f"{file}.applied")
            console.say(f"Applied {file}")
