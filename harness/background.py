"""Programs that run on the processor time that others leave."""

import os
from collections.abc import Sequence
from pathlib import Path

_SYSTEMD = Path("/run/systemd/system")
# A control group of version 1. The kernel gives each group its share, whatever the niceness inside it is.
_GROUP = Path("/sys/fs/cgroup/cpu/homeserver-background")
# Of 1024 that a group has by default, and of systemd's 100. With less, programs would fail for want of time.
_SHARES = 256
_WEIGHT = 25


def in_background(command: Sequence[str]) -> list[str]:
    """Return a command that runs this one with a small share of the processors where others need them.

    Where the control groups cannot be used, it has the lowest priority among the processes of its own group.
    """
    if os.geteuid() == 0 and _SYSTEMD.is_dir():
        return ["systemd-run", "--scope", "--quiet", f"--property=CPUWeight={_WEIGHT}", "--", *command]
    try:
        _GROUP.mkdir(exist_ok=True)
        (_GROUP / "cpu.shares").write_text(str(_SHARES))
    except OSError:
        return ["nice", "-n", "19", *command]
    return ["sh", "-c", f'echo $$ >{_GROUP}/cgroup.procs && exec "$@"', "sh", *command]
