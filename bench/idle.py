"""What a machine takes while nobody uses it: the memory of its programs, and processor time."""

from collections.abc import Iterator

from bench import remote
from bench.page import Row, row
from lab.machine import Machine

# The name and proportional memory of every process in KiB; shared memory is divided among its users.
_SHARES = r"""for p in /proc/[0-9]*; do
  printf '%s\t%s\n' "$(cat $p/comm 2>/dev/null)" "$(awk '/^Pss:/ { print $2 }' $p/smaps_rollup 2>/dev/null)"
done"""
# Hundredths of a second that all processes took so far, and those that they waited for.
_TICKS = """cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' |
  awk '{ all += $12 + $13 + $14 + $15 } END { print all }'"""
_GROUP = "Idle"
_SECONDS = 60
_WORTH_A_ROW = 10  # MiB


def rows(machine: Machine) -> Iterator[Row]:
    """Yield the processor time and memory of the whole machine, then the memory of each large program."""
    first, last = remote.run(machine, f"{_TICKS}; sleep {_SECONDS}; {_TICKS}").split()
    yield row(_GROUP, "processor", (int(last) - int(first)) / 100 / _SECONDS, "cores")
    programs = memory(machine)
    yield row(_GROUP, "memory of the whole machine", sum(programs.values()), "MiB")
    for name, mib in sorted(programs.items(), key=lambda program: -program[1]):
        if mib >= _WORTH_A_ROW:
            yield row(_GROUP, f"… of {name}", mib, "MiB")


def memory(machine: Machine) -> dict[str, float]:
    """Return the MiB of all processes of each name."""
    programs: dict[str, float] = {}
    for line in remote.run(machine, _SHARES).splitlines():
        name, _, kib = line.partition("\t")
        programs[name] = programs.get(name, 0) + int(kib or 0) / 1024
    return programs
