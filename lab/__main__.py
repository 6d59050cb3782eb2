"""The lab's command line: `python -m lab up|down|cut|start|address|build|status|ssh`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from lab import status
from lab.build import build, build_earlier
from lab.host import LabError, require_root
from lab.lifecycle import BACKENDS, cut, down, existing, is_running, move, start, up
from lab.machine import check_name

DESCRIPTION = "Disposable home servers on this machine, for experiments and tests. Do not keep data on them."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next `up` or `down` cleans up", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    """Options may precede or follow the command; those after it have no default, to keep earlier values."""
    parser = argparse.ArgumentParser(prog="python -m lab", description=DESCRIPTION)
    _add_options(parser, name="home", json=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, function: Callable[[argparse.Namespace], None], purpose: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=purpose, description=f"{purpose}.")
        added.set_defaults(command=function)
        _add_options(added, name=argparse.SUPPRESS, json=argparse.SUPPRESS)
        return added

    up_parser = command("up", _up, "create the machines of a home, unless they run already")
    up_parser.add_argument(
        "--backend", choices=sorted(BACKENDS), help="backend to create them with (default: nspawn)"
    )
    up_parser.add_argument(
        "--nodes", type=int, choices=range(1, 10), default=1, metavar="N",
        help="how many machines: NAME, NAME-2 and so on, 1 to 9 (default: 1)",
    )  # fmt: skip
    command("down", _down, "remove a machine, or a home with all its machines, completely")
    command("cut", _cut, "switch a machine's power off: nothing is stopped first, and its disk remains")
    command("start", _start, "switch a machine on, unless it runs already")
    command("address", _address, "give a machine another address, in its home's inventory, too").add_argument(
        "address", nargs="?", help="the new address (default: the lowest free one)"
    )
    command("build", _build, "build the parts of machines that are not cached").add_argument(
        "--earlier", action="store_true", help="build the bundle with the minor version of Kubernetes before"
    )
    command("status", _status, "list the machines and how to reach their services")
    command("ssh", _ssh, "log in to a machine as root, or run a command there").add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="COMMAND"
    )
    return parser


def _add_options(parser: argparse.ArgumentParser, name: str, json: bool | str) -> None:
    parser.add_argument("--name", default=name, help="name of the machine (default: home)")
    parser.add_argument("--json", action="store_true", default=json, help="print one JSON object")


def _up(options: argparse.Namespace) -> None:
    machine = up(options.name, options.backend, _report, options.nodes)
    _print_status(options, machine.name)


def _down(options: argparse.Namespace) -> None:
    down(options.name)
    _print(options, {"removed": options.name}, f"machine {options.name} is gone")


def _cut(options: argparse.Namespace) -> None:
    cut(options.name)
    _print(options, {"off": options.name}, f"machine {options.name} is off")


def _start(options: argparse.Namespace) -> None:
    start(options.name, _report)
    _print_status(options, options.name)


def _address(options: argparse.Namespace) -> None:
    move(options.name, options.address, _report)
    _print_status(options, options.name)


def _build(options: argparse.Namespace) -> None:
    if options.earlier:
        bundle = str(build_earlier(_report))
        _print(options, {"bundle": bundle}, bundle)
        return
    built = build(_report)
    paths = {"bundle": str(built.bundle), "rootfs": str(built.rootfs)}
    _print(options, paths, paths["bundle"])


def _status(options: argparse.Namespace) -> None:
    check_name(options.name)
    require_root()
    _print_status(options, options.name)


def _ssh(options: argparse.Namespace) -> None:
    require_root()
    machine = existing(options.name)
    if not is_running(machine):
        raise LabError(
            f"machine {options.name} is off: switch it on with `python -m lab start --name {options.name}`"
        )
    command = machine.ssh(*options.argv)
    os.execvp(command[0], command)  # noqa: S606 # no shell between, on purpose


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _print_status(options: argparse.Namespace, name: str) -> None:
    found = status.of_lab(name)
    _print(options, found, status.as_text(found, name))


def _print(options: argparse.Namespace, result: object, text: str) -> None:
    print(json.dumps(result, indent=2) if options.json else text)


if __name__ == "__main__":
    sys.exit(main())
