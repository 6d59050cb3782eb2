"""What a machine takes while nobody uses it: the memory of its programs, and processor time."""

from collections.abc import Iterator, Mapping

from bench import remote
from bench.page import Row, row
from lab.machine import Machine

# The name and proportional memory of every process in KiB; shared memory is divided among its users.
_SHARES = r"""for p in /proc/[0-9]*; do
  printf '%s\t%s\n' "$(cat $p/comm 2>/dev/null)" "$(awk '/^Pss:/ { print $2 }' $p/smaps_rollup 2>/dev/null)"
done"""
# The name of every process, and its hundredths of a second so far, with those of what it waited for.
_TICKS = r"""cat /proc/[0-9]*/stat 2>/dev/null |
  sed -E 's/^[0-9]+ \((.*)\) . ([-0-9]+ ){10}([0-9]+) ([0-9]+) ([0-9]+) ([0-9]+).*/\1\t\3 \4 \5 \6/' |
  awk -F '[\t ]' '{ name = $0; sub(/\t.*/, "", name); print name "\t" $(NF-3) + $(NF-2) + $(NF-1) + $NF }'"""
_GROUP = "Idle"
_SETTLED = 120  # seconds after a run, which leaves caches to clean and code to compile
_SECONDS = 60
_MEASURED = f"sleep {_SETTLED}; {_TICKS}; printf '\\f'; sleep {_SECONDS}; {_TICKS}"
_WORTH_A_ROW = 10  # MiB
_BUSY_ENOUGH = 0.005  # cores


def rows(machine: Machine) -> Iterator[Row]:
    """Yield the processor time and memory of the whole machine, each with the programs that take most."""
    cores = _processor(machine)
    yield row(_GROUP, "processor", sum(cores.values()), "cores")
    yield from _each(cores, "processor of {}", "cores", _BUSY_ENOUGH)
    mib = memory(machine)
    yield row(_GROUP, "memory of the whole machine", sum(mib.values()), "MiB")
    yield from _each(mib, "… of {}", "MiB", _WORTH_A_ROW)


def rows_without_logs(machine: Machine) -> Iterator[Row]:
    """Yield the processor time and memory of a machine that keeps neither logs nor traces."""
    group = f"{_GROUP}, without logs and traces"
    yield row(group, "processor, without logs and traces", sum(_processor(machine).values()), "cores")
    mib = sum(memory(machine).values())
    yield row(group, "memory of the whole machine, without logs and traces", mib, "MiB")


def _each(programs: Mapping[str, float], what: str, unit: str, least: float) -> Iterator[Row]:
    for name, value in sorted(programs.items(), key=lambda program: -program[1]):
        if value >= least:
            yield row(_GROUP, what.format(name), value, unit)


def _processor(machine: Machine) -> dict[str, float]:
    """Return the cores that all processes of each name take."""
    first, last = map(_by_name, remote.run(machine, _MEASURED).split("\f"))
    # What has ended counts with what waited for it.
    return {name: (last.get(name, 0) - first.get(name, 0)) / 100 / _SECONDS for name in first | last}


def _by_name(lines: str) -> dict[str, float]:
    """Add up what lines of names and numbers say."""
    found: dict[str, float] = {}
    for line in lines.strip().splitlines():
        name, _, number = line.partition("\t")
        found[name] = found.get(name, 0) + int(number or 0)
    return found


def memory(machine: Machine) -> dict[str, float]:
    """Return the MiB of all processes of each name."""
    return {name: kib / 1024 for name, kib in _by_name(remote.run(machine, _SHARES)).items()}
