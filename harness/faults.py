"""The faults that happen to a home, and what each cost as a row of a table."""

import re
import threading
from collections.abc import Callable
from typing import Any

from bench import page as benchmark
from harness.chaos import Cost, Fault, Victim

Object = dict[str, Any]

_CTR = "/snap/bin/microk8s ctr"
_STORAGE = "/var/snap/microk8s/common/default-storage"
_LINK = "visitor0"
_FILLER = "/var/filler"
_SECTION = f"""{benchmark.FAULTS}
Measured by `make chaos`: faults happen to a home in the lab, one after another, while two clients load a page of an
app without pause. The seconds count from when a fault is over, or the machine is switched on; those of an alert, from
when the fault begins. What an alert is for stays until the alert has arrived.

| fault | alert | all pages answer | everything is healthy | requests failed | longest time without metrics | lost | to be done by hand |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""  # noqa: E501


def _kill(namespace: str, app: str) -> Callable[[Victim], None]:
    """Kill the containers of one pod of an app."""

    def begin(victim: Victim) -> None:
        pods = victim.kubectl.get(f"-n {namespace} pods -l app.kubernetes.io/name={app}")["items"]
        _kill_pod(victim, pods[0])

    return begin


def _kill_pod(victim: Victim, pod: Object) -> None:
    """Kill the containers of a pod, as the kernel does when memory is short."""
    for status in pod["status"]["containerStatuses"]:
        container = status["containerID"].removeprefix("containerd://")
        victim.run(f"{_CTR} tasks kill --signal SIGKILL {container}")


def _kill_others(victim: Victim) -> None:
    """Kill every pod that has no row of its own."""
    for pod in victim.kubectl.get("pods -A --field-selector=status.phase=Running")["items"]:
        if pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") not in _SINGLY:
            _kill_pod(victim, pod)


def _scale(namespace: str, workload: str, replicas: int) -> Callable[[Victim], str]:
    return lambda victim: victim.kubectl(f"-n {namespace} scale {workload} --replicas={replicas}")


def _away(name: str, namespace: str, workload: str, alert: str) -> Fault:
    """A part that is away until its alert has arrived."""
    return Fault(name, _scale(namespace, workload, 0), _scale(namespace, workload, 1), alert, long=True)


def _cut_power(victim: Victim) -> None:
    victim.machines.cut(victim.home.name)


def _switch_on(victim: Victim) -> None:
    victim.machines.start(victim.home.name)


class _Run:
    """A run of site.yml that loses its machine a few seconds after it has begun to change something."""

    def begin(self, victim: Victim) -> None:
        """Start it, and cut the power."""
        self._run = threading.Thread(target=victim.home.play, args=("site.yml",))
        self._run.start()
        self._run.join(15)
        _cut_power(victim)

    def repeat(self, victim: Victim) -> str:
        """Run it again, once the first has ended, and tell so."""
        self._run.join()
        run = victim.home.play("site.yml")
        assert run.returncode == 0, run.stdout + run.stderr
        return "run `site.yml` again"


_RUN = _Run()


def _cut_power_of_changes(victim: Victim) -> None:
    """Cut the power while an app's pods are replaced and new lines begin to go to a new index."""
    victim.kubectl("-n apps rollout restart deployment/hello")
    victim.logs.ask("logs-traefik/_rollover", method="POST")
    _cut_power(victim)


def _kill_datastore(victim: Victim) -> None:
    victim.run("pkill -KILL -x etcd")


def _truncate_write_ahead_log(victim: Victim) -> None:
    wal = f"ls {_STORAGE}/monitoring-*prometheus*/wal/0* | tail -1"
    victim.run(f"truncate --size=-1000 $({wal})")
    _kill("monitoring", "prometheus")(victim)


def _truncate_segment(victim: Victim) -> None:
    """Cut short the last segment of the index that the hosts' lines go to."""
    index = _written(victim)
    victim.logs.ask(f"{index}/_flush", method="POST")
    uuid = victim.logs.ask(f"{index}/_settings")[index]["settings"]["index"]["uuid"]
    segment = f"ls -t $(find {_STORAGE}/logging-*elasticsearch* -path '*/{uuid}/0/index/*.cf[es]') | head -1"
    victim.run(f"truncate --size=100 $({segment})")
    _kill("logging", "elasticsearch")(victim)


def _retain(victim: Victim) -> None:
    """Run the job that replaces a damaged index, as its schedule does."""
    victim.kubectl("-n logging create job replacing --from=cronjob/logstore-retain")
    victim.kubectl("-n logging wait job/replacing --for=condition=Complete --timeout=300s")
    victim.kubectl("-n logging delete job replacing")


def _delete_index(victim: Victim) -> str:
    """Delete the index before the one that is written to."""
    series, _, number = _written(victim).rpartition("-")
    victim.logs.ask(f"{series}-{int(number) - 1:06}", method="DELETE")
    return "restore or delete the damaged index"


def _written(victim: Victim) -> str:
    """Return the index that the hosts' lines go to."""
    found = victim.logs.ask("_alias/logs-host")
    (index,) = (name for name in found if found[name]["aliases"]["logs-host"].get("is_write_index"))
    return str(index)


def _fill_disk(victim: Victim) -> None:
    """Leave less than the alert asks for, and more than Kubernetes does."""
    _leave(victim, 2048)


def _empty_disk(victim: Victim) -> None:
    """Let Kubernetes evict pods, then fill the disk to the last byte, which stops Kubernetes; free it."""
    _leave(victim, 512)
    victim.run("sleep 60")
    _leave(victim, 100)
    victim.run(f"! cat /dev/zero >{_FILLER}; sleep 30; rm {_FILLER}*")


def _leave(victim: Victim, mebibytes: int) -> None:
    """Let this be free on the disk."""
    free = "$(df --output=avail --block-size=1M /var | tail -1)"
    victim.run(f"fallocate --length=$(({free} - {mebibytes}))M {_FILLER}.{mebibytes}")


def _add_address(victim: Victim) -> None:
    """Let an interface come and go, as with a VPN, a bridge of Docker, or IPv6. No process may notice."""
    main_process = "systemctl show --value --property=MainPID snap.microk8s.daemon-kubelite"
    process, before = victim.run(main_process), victim.kubectl.containers()
    victim.run(f"ip link add {_LINK} type bridge && ip link set {_LINK} up")
    victim.run(f"ip address add 192.0.2.77/24 dev {_LINK} && ip address add 2001:db8::77/64 dev {_LINK}")
    # MicroK8s looks for changes every five seconds.
    victim.run(f"sleep 12; ip link delete {_LINK}; sleep 12")
    assert victim.run(main_process) == process
    # A pod of a Job may have ended meanwhile.
    after = victim.kubectl.containers()
    assert before == {pod: after.get(pod, containers) for pod, containers in before.items()}


_COSTS = re.compile(r"\| (\d+) s \| (\d+) s \| (\d+) of (\d+) \| (\d+) s \|")
# What is killed, and the namespace and name of its pods.
_KILLED = {
    "one of an app's two pods": ("apps", "hello"),
    "Traefik": ("traefik", "traefik"),
    "an app's database": ("apps", "db"),
    "Prometheus": ("monitoring", "prometheus"),
    "Alertmanager": ("monitoring", "alertmanager"),
    "Elasticsearch": ("logging", "elasticsearch"),
    "Filebeat": ("logging-host", "filebeat"),
    "the Collector": ("tracing", "collector"),
    "Jaeger": ("tracing", "jaeger"),
}
_OFTEN = {"one of an app's two pods", "Elasticsearch"}
_SINGLY = {app for _, app in _KILLED.values()}
FULL_DISK = Fault(
    "the disk fills up to the last byte",
    _fill_disk,
    _empty_disk,
    alert="DiskNearlyFull",
    loses="what could not be written",
    loses_lines=True,
    long=True,
)
POWER_CUT = Fault("the power is cut", _cut_power, _switch_on, boots=True)
FAULTS = (
    # The first, for what was killed may be started once more.
    Fault("an address comes and goes", _add_address, often=True),
    *(
        Fault(f"{what} is killed", _kill(namespace, app), often=what in _OFTEN)
        for what, (namespace, app) in _KILLED.items()
    ),
    Fault("every other pod is killed, one after another", _kill_others),
    Fault("the cluster's datastore is killed", _kill_datastore),
    Fault(
        "Prometheus' write-ahead log is cut short",
        _truncate_write_ahead_log,
        alert="PrometheusStorageFailing",
    ),
    Fault(
        "the last segment of an index is cut short",
        _truncate_segment,
        _retain,
        alert="ElasticsearchNotGreen",
        by_hand=_delete_index,
        loses="that index's lines since the last snapshot",
        long=True,
    ),
    FULL_DISK,
    _away("Elasticsearch is away", "logging", "statefulset/elasticsearch", "LogStoreDown"),
    _away("names are not resolved", "kube-system", "deployment/coredns", "ProbesMissing"),
    POWER_CUT,
    Fault(
        "the power is cut during a rollout and a rollover of an index",
        _cut_power_of_changes,
        _switch_on,
        boots=True,
        long=True,
    ),
    Fault(
        "the power is cut during `site.yml`",
        _RUN.begin,
        _switch_on,
        boots=True,
        by_hand=_RUN.repeat,
        long=True,
    ),
)


def excess(fault: Fault, cost: Cost, page: str) -> list[str]:
    """Return what cost far more than the page says: three times as much, and what a busy machine adds."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| [{fault.name}]"))
    usual = _COSTS.search(line)
    assert usual, line
    pages, healthy, failed, asked, gap = map(int, usual.groups())
    compared = (
        ("seconds until all pages answered", cost.pages, 3 * pages + 30),
        ("seconds until everything was healthy", cost.healthy, 3 * healthy + 60),
        ("share of failed requests", cost.failed / cost.asked, 3 * failed / asked + 0.05),
        ("seconds without metrics", cost.gap, 3 * gap + 30),
    )
    return [f"{what}: {found:.2f}, at most {most:.2f}" for what, found, most in compared if found > most]


def row(fault: Fault, cost: Cost) -> str:
    """Return the row of a table in Markdown."""
    lines = [f"{cost.lines} lines"] if cost.lines else []
    lost = ", ".join([*cost.lost, *lines, *filter(None, [fault.loses])])
    cells = (
        f"[{fault.name}]({fault.page})",
        f"{fault.alert}, {cost.alert:.0f} s" if fault.alert else "none is due",
        f"{cost.pages:.0f} s",
        f"{cost.healthy:.0f} s",
        f"{cost.failed} of {cost.asked}",
        f"{cost.gap:.0f} s",
        lost or "nothing",
        cost.by_hand or "nothing",
    )
    return f"| {' | '.join(cells)} |"


def noted(page: str, anew: str) -> str:
    """Return a page whose last part has this row, in the place of the one about the same fault."""
    fault, _, _ = anew.removeprefix("| ").partition("]")
    whole = page if benchmark.FAULTS in page else page + _SECTION
    kept = [line for line in whole.splitlines() if not line.startswith(f"| {fault}]")]
    return "\n".join([*kept, anew, ""])
