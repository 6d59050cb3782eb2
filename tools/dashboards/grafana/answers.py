"""Shared panels for HTTP servers: rate, errors and duration of requests."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import units

from tools.dashboards.grafana.panels import Query, graph, number


def answered_within(percent: int, durations: str, *by: str) -> str:
    """Return PromQL for a percentile of response times, grouped by these labels.

    `durations` selects a histogram's buckets over a range of time.
    """
    return f"histogram_quantile({percent / 100}, sum by ({', '.join([*by, 'le'])}) (rate({durations})))"


def at_a_glance(
    requests: str, failed: str, durations: str, limit: str
) -> tuple[stat.Panel, stat.Panel, stat.Panel]:
    """Show the request rate, the failed share, red at or above `limit`, and the response time.

    All arguments except `limit`, an expression, are selectors over a range of time.
    """
    return (
        number("Requests", units.RequestsPerSecond, f"sum(rate({requests}))"),
        number(
            "Errors",
            units.PercentUnit,
            f"(sum(rate({failed})) or vector(0)) / sum(rate({requests}))",
            limit=limit,
        ),
        number("95 of 100 answered within", units.Seconds, answered_within(95, durations)),
    )


def time_to_answer(durations: str, *, exemplars: bool = False) -> timeseries.Panel:
    """Show the 50th, 95th and 99th percentile of response times."""
    return graph(
        "Time to answer",
        units.Seconds,
        *(
            Query(answered_within(percent, durations), f"{percent} of 100", exemplars)
            for percent in (50, 95, 99)
        ),
    )
