"""The variables at the top of a dashboard. All values are selected initially."""

from grafana_foundation_sdk.builders.dashboard import QueryVariable
from grafana_foundation_sdk.models.dashboard import VariableOption, VariableRefresh, VariableSort

from tools.dashboards.grafana.panels import PROMETHEUS


def host() -> QueryVariable:
    """The home servers, for `node=~"$host"`."""
    return _choice("host", "Host", "label_values(node_uname_info, node)")


def namespace() -> QueryVariable:
    """The namespaces of the cluster, for `namespace=~"$namespace"`."""
    return _choice("namespace", "Namespace", "label_values(k8s_pod_phase, namespace)")


def service() -> QueryVariable:
    """The services behind Traefik, for `service=~"$service"`."""
    return _choice("service", "Service", "label_values(traefik_service_requests_total, service)")


def app() -> QueryVariable:
    """The apps that export request metrics, for `app=~"$app"`."""
    return _choice("app", "App", 'label_values(http_requests_total{job="apps"}, app)')


def traced() -> QueryVariable:
    """The services that have spans, for `service_name=~"$traced"`."""
    return _choice("traced", "Service", "label_values(traces_span_metrics_calls_total, service_name)")


def _choice(name: str, label: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )
