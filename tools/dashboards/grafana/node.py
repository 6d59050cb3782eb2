"""A host: its processor, memory, disks, network and temperature."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import variables
from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import Query, Scale, graph, link, number, threshold

HOST = 'node=~"$host"'
DISK = f'{HOST}, device!~"(loop|ram|zram|sr).*"'
CARD = f'{HOST}, device!~"lo|(cali|veth|vxlan|tunl|docker|cni).*"'
TOTAL = f"node_memory_MemTotal_bytes{{{HOST}}}"
AVAILABLE = f"node_memory_MemAvailable_bytes{{{HOST}}}"
FREE = f"node_memory_MemFree_bytes{{{HOST}}}"
LOST = [
    f"rate(node_network_{way}{{{CARD}}}[$__rate_interval])"
    for way in ("receive_drop_total", "receive_errs_total", "transmit_drop_total", "transmit_errs_total")
]


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "node",
        "Host",
        "Processor, memory, disks and network of the home servers.",
        {
            "At a glance": [
                number("Runs for", units.Seconds, f"min(time() - node_boot_time_seconds{{{HOST}}})"),
                number(
                    "Cores",
                    units.Short,
                    f'count(count by (node, cpu) (node_cpu_seconds_total{{{HOST}, mode="idle"}}))',
                ),
                number("Memory", units.BytesIEC, f"sum({TOTAL})"),
                number(
                    "Pods",
                    units.Short,
                    f"sum(kubelet_running_pods{{{HOST}}})",
                ).data_links([link("Workloads", "workloads")]),
                number(
                    "Connection table",
                    units.PercentUnit,
                    f"max(node_nf_conntrack_entries{{{HOST}}} / node_nf_conntrack_entries_limit{{{HOST}}})",
                    scale=Scale(doubtful=0.8, bad=0.95),
                ).description("A host whose table is full takes no new connections."),
                number(
                    "Clock is off by",
                    units.Seconds,
                    f"max(abs(node_timex_offset_seconds{{{HOST}}}))",
                    limit=threshold("clock_skew_seconds"),
                ),
            ],
            "Processor": [
                graph(
                    "Processor by what it does",
                    units.PercentUnit,
                    Query(
                        "sum by (mode) (rate(node_cpu_seconds_total"
                        f'{{{HOST}, mode!="idle"}}[$__rate_interval])) / scalar(count(node_cpu_seconds_total'
                        f'{{{HOST}, mode="idle"}}))',
                        "{{mode}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Processor in use",
                    units.PercentUnit,
                    Query(f"node:cpu_busy:ratio_rate5m{{{HOST}}}", "{{node}}"),
                ),
                graph(
                    "Load per core",
                    units.Short,
                    Query(
                        f"node:load15_per_core:ratio{{{HOST}}}",
                        "{{node}}",
                    ),
                    limit=threshold("load_per_core"),
                ).description("How many processes want to run, or wait for a disk."),
                graph(
                    "Waiting for the processor, memory or a disk",
                    units.PercentUnit,
                    Query(
                        f"rate(node_pressure_cpu_waiting_seconds_total{{{HOST}}}[$__rate_interval])",
                        "{{node}} processor",
                    ),
                    Query(
                        f"rate(node_pressure_memory_waiting_seconds_total{{{HOST}}}[$__rate_interval])",
                        "{{node}} memory",
                    ),
                    Query(
                        f"rate(node_pressure_io_waiting_seconds_total{{{HOST}}}[$__rate_interval])",
                        "{{node}} disk",
                    ),
                ).description("The share of time in which something could not go on."),
            ],
            "Memory": [
                graph(
                    "Memory by use",
                    units.BytesIEC,
                    Query(
                        f"sum({TOTAL} - {AVAILABLE})",
                        "programs",
                    ),
                    Query(
                        f"sum({AVAILABLE} - {FREE})",
                        "cache, can be freed",
                    ),
                    Query(f"sum({FREE})", "free"),
                    stacked=True,
                ),
                graph(
                    "Memory in use",
                    units.PercentUnit,
                    Query(
                        f"node:memory_used:ratio{{{HOST}}}",
                        "{{node}}",
                    ),
                    limit=f"1 - {threshold('memory_available_percent')} / 100",
                ),
            ],
            "Disks": [
                graph(
                    "Disks in use",
                    units.PercentUnit,
                    Query(
                        f"node:filesystem_used:ratio{{{HOST}}}",
                        "{{node}} {{mountpoint}}",
                    ),
                    limit=f"1 - {threshold('disk_free_percent')} / 100",
                ).data_links([link("Storage", "storage", host="node")]),
                graph(
                    "File names in use",
                    units.PercentUnit,
                    Query(
                        f"1 - node_filesystem_files_free{{{HOST}}} / (node_filesystem_files{{{HOST}}} > 0)",
                        "{{node}} {{mountpoint}}",
                    ),
                ).description("A file system may run out of names (inodes) before it is full."),
                graph(
                    "Read and written",
                    units.BytesPerSecondIEC,
                    Query(
                        f"rate(node_disk_read_bytes_total{{{DISK}}}[$__rate_interval])",
                        "{{node}} {{device}} read",
                    ),
                    Query(
                        f"rate(node_disk_written_bytes_total{{{DISK}}}[$__rate_interval])",
                        "{{node}} {{device}} written",
                    ),
                ),
                graph(
                    "Disks busy",
                    units.PercentUnit,
                    Query(
                        f"rate(node_disk_io_time_seconds_total{{{DISK}}}[$__rate_interval])",
                        "{{node}} {{device}}",
                    ),
                ).description("The share of time in which a disk had something to do."),
            ],
            "Network": [
                graph(
                    "Received and sent",
                    units.BitsPerSecondSI,
                    Query(
                        f"8 * rate(node_network_receive_bytes_total{{{CARD}}}[$__rate_interval])",
                        "{{node}} {{device}} received",
                    ),
                    Query(
                        f"8 * rate(node_network_transmit_bytes_total{{{CARD}}}[$__rate_interval])",
                        "{{node}} {{device}} sent",
                    ),
                ),
                graph(
                    "Lost packets",
                    units.PacketsPerSecond,
                    Query(
                        f"sum by (node, device) ({' + '.join(LOST)})",
                        "{{node}} {{device}}",
                    ),
                ),
            ],
            "Hardware": [
                graph(
                    "Temperature",
                    units.Celsius,
                    Query(f"node:temperature_max:celsius{{{HOST}}}", "{{node}}"),
                    limit=threshold("temperature_celsius"),
                )
                .span(24)
                .description("Of the hottest sensor. A virtual machine has none."),
            ],
        },
        [variables.host()],
    )
