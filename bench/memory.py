"""The memory of a machine's programs."""

from collections.abc import Iterator

from bench import remote
from lab.machine import Machine

# The name and proportional memory of every process in KiB; shared memory is divided among its users.
_SHARES = r"""for p in /proc/[0-9]*; do
  printf '%s\t%s\n' "$(cat $p/comm 2>/dev/null)" "$(awk '/^Pss:/ { print $2 }' $p/smaps_rollup 2>/dev/null)"
done"""
_WORTH_A_ROW = 10  # MiB


def rows(machine: Machine) -> Iterator[tuple[str, str]]:
    """Yield the memory of the whole machine, then of each large program."""
    programs: dict[str, float] = {}
    for line in remote.run(machine, _SHARES).splitlines():
        name, _, kib = line.partition("\t")
        programs[name] = programs.get(name, 0) + int(kib or 0) / 1024
    yield "memory of the whole machine", f"{sum(programs.values()):.0f} MiB"
    for name, mib in sorted(programs.items(), key=lambda program: -program[1]):
        if mib >= _WORTH_A_ROW:
            yield f"… of {name}", f"{mib:.0f} MiB"
