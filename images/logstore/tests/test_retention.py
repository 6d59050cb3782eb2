"""What is deleted first, and what is never deleted."""

from homeserver_logstore.retention import DAY, Index, _in_series, to_delete
from homeserver_logstore.snapshots import chosen

NOW = 100 * DAY


def _index(name: str, days_ago: float, size: int = 10, *, is_current: bool = False) -> Index:
    newest = NOW - days_ago * DAY
    return Index(name, name[:-7], size, newest - DAY, newest, is_current)


def _row(name: str, day: float, size: str | None = "5") -> dict[str, str | None]:
    return {"index": name, "health": "green", "creation.date": str(int(day * DAY * 1000)), "store.size": size}


def test_a_line_is_kept_for_the_retention_days() -> None:
    found = [_index("logs-app-000001", 31), _index("logs-app-000002", 29)]

    assert to_delete(found, NOW, 30, 1000) == [(found[0], "age")]


def test_the_oldest_indices_are_deleted_until_the_rest_fits() -> None:
    found = [
        _index("logs-app-000001", 3),
        _index("logs-host-000001", 5),
        _index("jaeger-span-000001", 4),
        _index("logs-app-000002", 0, is_current=True),
    ]

    assert [index.name for index, _ in to_delete(found, NOW, 30, 25)] == [
        "logs-host-000001",
        "jaeger-span-000001",
    ]
    assert to_delete(found, NOW, 30, 40) == []


def test_the_write_index_is_never_deleted() -> None:
    assert to_delete([_index("logs-app-000001", 99, 1000, is_current=True)], NOW, 30, 10) == []


def test_deletions_by_age_count_for_the_budget() -> None:
    found = [_index("logs-app-000001", 31, 90), _index("logs-app-000002", 1, 10)]

    assert [reason for _, reason in to_delete(found, NOW, 30, 10)] == ["age"]


def test_the_newest_line_is_as_old_as_the_next_index() -> None:
    rows = [_row("logs-app-000002", 4), _row("logs-app-000001", 1), _row("logs-app-000003", 9, None)]
    first, second, third = _in_series(rows, {"logs-app-000003"}, NOW)

    assert [(each.newest / DAY, each.is_current) for each in (first, second)] == [(4, False), (9, False)]
    assert (third.newest, third.is_current, third.size) == (NOW, True, 0)


def test_dated_indices_are_a_series_too() -> None:
    rows = [_row("jaeger-span-2026-11-23", 1), _row("jaeger-span-2026-11-24", 2), _row("jaeger-sampling", 1)]

    assert {(each.series, each.is_current) for each in _in_series(rows, set(), NOW)} == {
        ("jaeger-span", False),
        ("jaeger-span", True),
        ("jaeger-sampling", True),
    }


def test_the_newest_indices_that_fit_are_copied() -> None:
    found = [_index("logs-app-000001", 3), _index("logs-app-000002", 2), _index("logs-app-000003", 1)]

    assert chosen(found, 25) == ["logs-app-000003", "logs-app-000002"]
    assert chosen(found, 5) == []
