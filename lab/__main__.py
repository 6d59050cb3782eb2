"""The lab's command line: `python -m lab up|down|build|status|ssh`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence

from lab import status
from lab.build import build
from lab.host import LabError, require_root
from lab.lifecycle import BACKENDS, down, running, up
from lab.machine import check_name

DESCRIPTION = (
    "Throwaway home servers on this machine. They are meant for trying and testing, not for keeping."
)


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
        print("interrupted; what was begun is cleared by the next `up` or `down`", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    """Options may stand before or after the command; those after it have no default, to undo none before."""
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

    command("up", _up, "create a machine, or find it running").add_argument(
        "--backend", choices=sorted(BACKENDS), help="what to make it with (nspawn)"
    )
    command("down", _down, "remove a machine without a trace")
    command("build", _build, "build what machines are made of and will run, as far as it is not cached")
    command("status", _status, "say which machines there are and how to reach what runs there")
    command("ssh", _ssh, "log in to a machine as root, or run a command there").add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="COMMAND"
    )
    return parser


def _add_options(parser: argparse.ArgumentParser, name: str, json: bool | str) -> None:
    parser.add_argument("--name", default=name, help="the machine (home)")
    parser.add_argument("--json", action="store_true", default=json, help="print one JSON object")


def _up(options: argparse.Namespace) -> None:
    machine = up(options.name, options.backend, _report)
    _print_status(options, machine.name)


def _down(options: argparse.Namespace) -> None:
    down(options.name)
    _print(options, {"removed": options.name}, f"machine {options.name} is gone")


def _build(options: argparse.Namespace) -> None:
    built = build(_report)
    paths = {"bundle": str(built.bundle), "rootfs": str(built.rootfs)}
    _print(options, paths, paths["bundle"])


def _status(options: argparse.Namespace) -> None:
    check_name(options.name)
    require_root()
    _print_status(options, options.name)


def _ssh(options: argparse.Namespace) -> None:
    check_name(options.name)
    require_root()
    machine = running(options.name)
    if machine is None:
        raise LabError(f"no machine {options.name} is running: `python -m lab up --name {options.name}`")
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
