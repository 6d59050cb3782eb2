"""Runs `ansible-playbook` for each line of its input, and prints its exit code; for `harness.playbooks`."""

import json
import os
import sys
import traceback
from typing import NoReturn

from ansible.cli.playbook import main
from ansible_collections.homeserver.stack.plugins.callback.preload import CallbackModule


def _serve() -> None:
    CallbackModule().v2_playbook_on_start(None)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become_command(*json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become_command(
    arguments: list[str], directory: str, variables: dict[str, str], output: str, errors: str
) -> NoReturn:
    status = 1
    try:
        for number, name in enumerate((os.devnull, output, errors)):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT, 0o600), number)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(variables)
        main(["ansible-playbook", *arguments])
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
