"""Enter networks and connect from each to all targets; runs on the machine, with nothing but Python.

Its argument is JSON: a process in each network, by name, and a list of addresses and ports. It prints, by
name, what was reached. A refused connection has reached its target too: the network drops what a policy
forbids.
"""

import asyncio
import ctypes
import json
import sys
import threading
from pathlib import Path

Target = tuple[str, int]
SECONDS = 3


async def _reaches(target: Target) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(*target), SECONDS)
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    writer.close()
    return True


async def _reached(targets: list[Target]) -> list[Target]:
    answers = await asyncio.gather(*(_reaches(target) for target in targets))
    return [target for target, answer in zip(targets, answers, strict=True) if answer]


def _from(pid: int, targets: list[Target], found: list[Target]) -> None:
    """Connect from the network of a process; only the calling thread enters it."""
    with Path(f"/proc/{pid}/ns/net").open() as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    found.extend(asyncio.run(_reached(targets)))


def main(pids: dict[str, int], targets: list[Target]) -> dict[str, list[Target]]:
    """Return what each network reaches."""
    found: dict[str, list[Target]] = {name: [] for name in pids}
    threads = [threading.Thread(target=_from, args=(pid, targets, found[name])) for name, pid in pids.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*json.loads(sys.argv[1]))))
