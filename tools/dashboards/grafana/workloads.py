"""The workloads in Kubernetes: their state, their requests and their usage."""

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from tools.dashboards.grafana import variables
from tools.dashboards.grafana.page import page
from tools.dashboards.grafana.panels import (
    ANY_IS_BAD,
    ANY_IS_DOUBTFUL,
    HOST_COLUMN,
    Column,
    Query,
    Scale,
    graph,
    number,
    row_link,
    rows,
    threshold,
)

IN = 'namespace=~"$namespace"'
# What is wanted, and how much of it there is, is of no host.
POD = f'{IN}, node=~"$host"'
CONTAINER = f'{POD}, container!=""'
CPU = f"sum by (namespace, pod, node) (namespace_pod:container_cpu_usage_seconds:rate5m{{{POD}}})"
MEMORY = f"sum by (namespace, pod, node) (container_memory_working_set_bytes{{{CONTAINER}}})"
LIMIT = f"sum by (namespace, pod, node) (k8s_container_memory_limit_bytes{{{POD}}})"
WRITES = f"rate(container_fs_writes_bytes_total{{{CONTAINER}}}[$__rate_interval])"
# By kind of workload; a kind without any workload has none missing.
MISSING = " + ".join(
    f"(sum(k8s_{wanted}{{{IN}}} - k8s_{ready}{{{IN}}}) or vector(0))"
    for wanted, ready in (
        ("deployment_desired", "deployment_available"),
        ("statefulset_desired_pods", "statefulset_ready_pods"),
        ("daemonset_desired_scheduled_nodes", "daemonset_ready_nodes"),
    )
)


def build() -> Dashboard:
    """Build the dashboard."""
    return page(
        "workloads",
        "Kubernetes workloads",
        "Pods and what keeps them: whether they run, what they use of what they asked for.",
        {
            "Is it all there?": [
                number("Pods that run", units.Short, f"count(k8s_pod_phase{{{POD}}} == 2)"),
                number(
                    "Pods that wait",
                    units.Short,
                    f"count(k8s_pod_phase{{{POD}}} == 1) or vector(0)",
                    scale=ANY_IS_DOUBTFUL,
                ),
                number(
                    "Pods that failed",
                    units.Short,
                    f"count(k8s_pod_phase{{{POD}}} == 4) or vector(0)",
                    scale=ANY_IS_BAD,
                ),
                number(
                    "Containers not ready",
                    units.Short,
                    f"count(k8s_container_ready{{{POD}}} == 0) or vector(0)",
                    scale=ANY_IS_DOUBTFUL,
                ).description("Those of a job that is done are among them."),
                number(
                    "Missing pods",
                    units.Short,
                    MISSING,
                    scale=ANY_IS_DOUBTFUL,
                ).description("Of Deployments, StatefulSets and DaemonSets: wanted, and not ready."),
                number(
                    "Restarts in an hour",
                    units.Short,
                    f"round(sum(increase(k8s_container_restarts{{{POD}}}[1h])))",
                    scale=Scale(doubtful=1, bad=5),
                ),
            ],
            "Pods": [
                rows(
                    "Pods and what they use",
                    Column(
                        "Namespace",
                        label="namespace",
                        link=row_link("Namespace", "workloads", namespace="Namespace"),
                    ),
                    Column("Pod", label="pod"),
                    HOST_COLUMN,
                    Column(
                        "Processor",
                        expr=CPU,
                        unit=units.Short,
                    ),
                    Column(
                        "Memory",
                        expr=MEMORY,
                        unit=units.BytesIEC,
                    ),
                    Column(
                        "Memory of its limit",
                        expr=f"{MEMORY} / {LIMIT}",
                        unit=units.PercentUnit,
                        scale=Scale(doubtful=0.8, bad=0.9),
                    ),
                    Column(
                        "Restarts",
                        expr=f"sum by (namespace, pod, node) (k8s_container_restarts{{{POD}}})",
                        unit=units.Short,
                        scale=ANY_IS_DOUBTFUL,
                    ),
                    sort_by="Memory",
                ).height(12),
            ],
            "Processor and memory": [
                graph(
                    "Processor",
                    units.Short,
                    Query(
                        CPU,
                        "{{namespace}}/{{pod}}",
                    ),
                    stacked=True,
                ).description("In cores."),
                graph(
                    "Memory",
                    units.BytesIEC,
                    Query(
                        MEMORY,
                        "{{namespace}}/{{pod}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Memory by namespace",
                    units.BytesIEC,
                    Query(f"sum by (namespace) ({MEMORY})", "{{namespace}}"),
                    stacked=True,
                ),
                graph(
                    "Processor by namespace",
                    units.Short,
                    Query(
                        f"sum by (namespace) (namespace_pod:container_cpu_usage_seconds:rate5m{{{POD}}})",
                        "{{namespace}}",
                    ),
                    stacked=True,
                ).description("In cores."),
                graph(
                    "Slowed down by their own limit",
                    units.PercentUnit,
                    Query(
                        "sum by (namespace, pod)"
                        f" (rate(container_cpu_cfs_throttled_periods_total{{{CONTAINER}}}[$__rate_interval]))"
                        " / sum by (namespace, pod)"
                        f" (rate(container_cpu_cfs_periods_total{{{CONTAINER}}}[$__rate_interval]))",
                        "{{namespace}}/{{pod}}",
                    ),
                    limit=f"{threshold('cpu_throttled_percent')} / 100",
                ).description("The share of time in which a container had used up its limit."),
                graph(
                    "Asked for, of what the hosts have",
                    units.PercentUnit,
                    Query(
                        "sum(k8s_container_cpu_request)"
                        ' / count(count by (node, cpu) (node_cpu_seconds_total{mode="idle"}))',
                        "processor",
                    ),
                    Query(
                        "sum(k8s_container_memory_request_bytes) / sum(node_memory_MemTotal_bytes)", "memory"
                    ),
                ).description("At 100 % no further pod is started. Of all namespaces."),
            ],
            "Network and disk": [
                graph(
                    "Received and sent",
                    units.BytesPerSecondIEC,
                    Query(
                        "sum by (namespace, pod)"
                        f" (rate(container_network_receive_bytes_total{{{POD}}}[$__rate_interval]))",
                        "{{namespace}}/{{pod}} received",
                    ),
                    Query(
                        "sum by (namespace, pod)"
                        f" (rate(container_network_transmit_bytes_total{{{POD}}}[$__rate_interval]))",
                        "{{namespace}}/{{pod}} sent",
                    ),
                ),
                graph(
                    "Written to disk",
                    units.BytesPerSecondIEC,
                    Query(
                        f"sum by (namespace, pod) ({WRITES})",
                        "{{namespace}}/{{pod}}",
                    ),
                ),
            ],
        },
        [variables.namespace(), variables.host()],
    )
