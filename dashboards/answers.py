"""What every server of requests is asked, by the rate, errors and duration of its answers."""

from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import units

from dashboards.panels import Query, graph, number


def answered_within(percent: int, durations: str, *by: str) -> str:
    """PromQL for the time within which so many of 100 are answered, for each value of these labels.

    `durations` selects a histogram's buckets over a range of time.
    """
    return f"histogram_quantile({percent / 100}, sum by ({', '.join([*by, 'le'])}) (rate({durations})))"


def at_a_glance(
    requests: str, failed: str, durations: str, limit: str
) -> tuple[stat.Panel, stat.Panel, stat.Panel]:
    """Show how many requests there are, the share that fails, red from `limit` on, and how long they take.

    All but `limit`, an expression, are selectors over a range of time.
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
    """Show within which times half, most and nearly all requests are answered."""
    return graph(
        "Time to answer",
        units.Seconds,
        *(
            Query(answered_within(percent, durations), f"{percent} of 100", exemplars)
            for percent in (50, 95, 99)
        ),
    )
