"""What memory a machine's programs take."""

from collections.abc import Iterator

from bench import remote
from lab.machine import Machine

# Of every process its name and its share of the memory in KiB, what it shares with others divided among them.
_SHARES = r"""for p in /proc/[0-9]*; do
  printf '%s\t%s\n' "$(cat $p/comm 2>/dev/null)" "$(awk '/^Pss:/ { print $2 }' $p/smaps_rollup 2>/dev/null)"
done"""
_WORTH_A_ROW = 10  # MiB


def rows(machine: Machine) -> Iterator[tuple[str, str]]:
    """The memory of the whole machine, then of each program that takes more than a little."""
    programs: dict[str, float] = {}
    for line in remote.run(machine, _SHARES).splitlines():
        name, _, kib = line.partition("\t")
        programs[name] = programs.get(name, 0) + int(kib or 0) / 1024
    yield "memory of the whole machine", f"{sum(programs.values()):.0f} MiB"
    for name, mib in sorted(programs.items(), key=lambda program: -program[1]):
        if mib >= _WORTH_A_ROW:
            yield f"… of {name}", f"{mib:.0f} MiB"
