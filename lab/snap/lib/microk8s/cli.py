"""The entry point of the snap's commands: `microk8s NAME ...`, which is also `microk8s.NAME`."""

import argparse
import getpass
import os
import sys
from collections.abc import Callable

from . import (
    addons,
    certificates,
    console,
    images,
    inspection,
    join,
    leave,
    network,
    node,
    nodes,
    paths,
    programs,
    services,
    status,
)

NOT_RUNNING = "microk8s is not running, try microk8s start"
WORKER = "This MicroK8s deployment is acting as a node in a cluster."
# Commands of Canonical's snap that the lab does not implement.
ELSEWHERE = ("addons", "dbctl", "istioctl", "linkerd", "reset")


def main() -> None:
    """Run the command in the first argument."""
    name, words = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if name in COMMANDS:
        COMMANDS[name](words)
    elif name in ELSEWHERE:
        console.warn(f"The lab's MicroK8s has no command {name}.")
        sys.exit(1)
    elif name and os.access(plugin := paths.common() / "plugins" / name, os.X_OK):
        programs.become([str(plugin), *words], os.environ)
    else:
        asked_for_help = name in {"help", "--help", "-h"}
        if name and not asked_for_help:
            console.say(f"'{name}' is not a valid MicroK8s subcommand.")
        console.say("Available subcommands are:")
        for command in COMMANDS:
            console.say(f"\t{command}")
        sys.exit(0 if asked_for_help else 1)


def _need_permission() -> None:
    if os.access(paths.credential("client.config"), os.R_OK):
        return
    user = getpass.getuser()
    console.warn("Insufficient permissions to access MicroK8s.")
    console.warn(f"You can either try again with sudo or add the user {user} to the 'microk8s' group:")
    console.warn(f"\n    sudo usermod -a -G microk8s {user}")
    sys.exit(1)


def _as_root(words: list[str], command: str) -> None:
    """Restart the command as root: members of the group may do everything, but services belong to root."""
    _need_permission()
    if os.geteuid() != 0:
        programs.become(["/usr/bin/sudo", "/snap/bin/microk8s", command, *words], os.environ)


def _on_control_plane(advice: str, code: int) -> None:
    if paths.lock("clustered.lock").exists():
        console.say(WORKER)
        console.leave(advice, code)


def _need_started(code: int) -> None:
    if paths.lock("stopped.lock").exists():
        console.leave(NOT_RUNNING, code)


def _status(words: list[str]) -> None:
    _need_permission()
    _need_started(0)
    _on_control_plane("Please use the control plane node.", 0)
    status.main(words)


def _kubectl(words: list[str]) -> None:
    _need_permission()
    _on_control_plane("Please use the microk8s kubectl on the control plane node.", 0)
    _need_started(1)
    environment = {**os.environ, "KUBECONFIG": str(paths.credential("client.config"))}
    programs.become([programs.path("kubectl"), *words], environment)


def _ctr(words: list[str]) -> None:
    _as_root(words, "ctr")
    programs.become(images.ctr(*words), os.environ)


def _helm(words: list[str]) -> None:
    programs.become([programs.path("helm"), *words], os.environ)


def _config(words: list[str]) -> None:
    parser = argparse.ArgumentParser("microk8s config")
    parser.add_argument("-l", "--use-loopback", action="store_true", help="name this host 127.0.0.1")
    options = parser.parse_args(words)
    _need_permission()
    _on_control_plane("Please use the microk8s config on the control plane node.", 0)
    config = paths.credential("client.config").read_text()
    console.say(config if options.use_loopback else config.replace("127.0.0.1", network.default_address()))


def _xable(action: str) -> Callable[[list[str]], None]:
    def command(words: list[str]) -> None:
        parser = argparse.ArgumentParser(f"microk8s {action}")
        parser.add_argument("addons", nargs=argparse.REMAINDER)
        wanted = parser.parse_args(words).addons
        if not wanted:
            parser.error("Missing argument 'ADDONS...'.")
        _as_root(words, action)
        _on_control_plane("Please use the control plane node.", 1)
        _need_started(1)
        addons.change(action, wanted)

    return command


def _images(words: list[str]) -> None:
    parser = argparse.ArgumentParser("microk8s images")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("import").add_argument("image", nargs="?", default="-")
    exporter = actions.add_parser("export-local")
    exporter.add_argument("output", nargs="?", default="-")
    exporter.add_argument("images", nargs="*")
    options = parser.parse_args(words)
    _as_root(words, "images")
    if options.action == "import":
        images.import_on_every_node(options.image)
    else:
        images.export(options.output, options.images)


def _start(words: list[str]) -> None:
    argparse.ArgumentParser("microk8s start").parse_args(words)
    _as_root(words, "start")
    _on_control_plane("Use 'snap start microk8s' to start services on this node.", 0)
    node.start()


def _stop(words: list[str]) -> None:
    argparse.ArgumentParser("microk8s stop").parse_args(words)
    _as_root(words, "stop")
    _on_control_plane("Use 'snap stop microk8s' to stop services on this node.", 0)
    node.stop()


def _refresh_certs(words: list[str]) -> None:
    parser = argparse.ArgumentParser("microk8s refresh-certs")
    parser.add_argument("-c", "--check", action="store_true", help="print the days until expiry")
    parser.add_argument("-e", "--cert", choices=tuple(certificates.REPLACEABLE), help="what to replace")
    options = parser.parse_args(words)
    if options.check and options.cert:
        console.leave("Please select only one of the options -c, -u or -e.", 2)
    if os.geteuid() != 0:
        console.leave("Elevated permissions is needed for this operation. Please run it with sudo.", 50)
    _on_control_plane("Please use the control plane node.", 0)
    if options.check:
        for file, title in certificates.REPLACEABLE.items():
            console.say(f"The {title} certificate will expire in {certificates.days_left(file)} days.")
    elif options.cert:
        certificates.refresh(options.cert)
        services.restart("kubelite")
        services.restart("cluster-agent")
    else:
        console.leave("Please use the '--cert' flag to select the certificate you need refreshed.", 3)


def _version(_words: list[str]) -> None:
    version, revision = (os.environ.get(name, "(unknown)") for name in ("SNAP_VERSION", "SNAP_REVISION"))
    console.say(f"MicroK8s {version} revision {revision}")


def _inspect(words: list[str]) -> None:
    _as_root(words, "inspect")
    inspection.main(words)


def _refuse_on_worker(advice: str) -> None:
    if paths.lock("clustered.lock").exists():
        console.leave(f"{WORKER} {advice}", 1)


def _add_node(words: list[str]) -> None:
    _refuse_on_worker("Please use the microk8s add-node on the master.")
    _as_root(words, "add-node")
    _need_started(1)
    nodes.add(words)


def _remove_node(words: list[str]) -> None:
    _need_permission()
    _refuse_on_worker("Please use microk8s leave.")
    nodes.remove(words)


def _join(words: list[str]) -> None:
    _as_root(words, "join")
    join.main(words)


def _leave(words: list[str]) -> None:
    _need_started(1)
    _as_root(words, "leave")
    leave.main(words)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "add-node": _add_node,
    "config": _config,
    "ctr": _ctr,
    "disable": _xable("disable"),
    "enable": _xable("enable"),
    "helm": _helm,
    "helm3": _helm,
    "images": _images,
    "inspect": _inspect,
    "join": _join,
    "kubectl": _kubectl,
    "leave": _leave,
    "refresh-certs": _refresh_certs,
    "remove-node": _remove_node,
    "start": _start,
    "status": _status,
    "stop": _stop,
    "version": _version,
}
