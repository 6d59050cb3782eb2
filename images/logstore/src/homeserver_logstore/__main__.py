"""Run one of the commands."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence

from homeserver_logstore import commands
from homeserver_logstore.client import RefusedError, UnreachableError


def parser() -> argparse.ArgumentParser:
    """Return a parser with a subcommand for each module in `commands`; _ in the name becomes -."""
    parser = argparse.ArgumentParser(prog="homeserver_logstore", description="Manages logs in Elasticsearch.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for found in pkgutil.iter_modules(commands.__path__):
        module = importlib.import_module(f"{commands.__name__}.{found.name}")
        summary = (module.__doc__ or "").partition("\n")[0]
        command = subparsers.add_parser(found.name.replace("_", "-"), help=summary, description=summary)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """Run the command in these arguments, and return its exit status."""
    arguments = parser().parse_args(words)
    try:
        return int(arguments.run(arguments))
    except (RefusedError, UnreachableError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
