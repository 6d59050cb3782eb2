"""The metrics of backups, as Prometheus reads them."""

from collections.abc import Iterator, Mapping
from typing import Any

_METRICS = {
    "configured_timestamp_seconds": ("configured", "When the repository was first configured."),
    "last_success_timestamp_seconds": ("success", "When everything was last saved."),
    "duration_seconds": ("duration", "How long the last save took."),
    "size_bytes": ("size", "The size of the repository."),
    "last_drill_timestamp_seconds": ("drill", "When the newest copy was last restored and compared."),
    "last_check_timestamp_seconds": ("check", "When the repository was last found intact."),
}


def metrics(repositories: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Return the state of the repositories in Prometheus' text format."""
    for metric, (key, meaning) in _METRICS.items():
        known = {name: about[key] for name, about in repositories.items() if key in about}
        if known:
            yield f"# HELP homeserver_backup_{metric} {meaning}\n# TYPE homeserver_backup_{metric} gauge\n"
        for name, value in known.items():
            yield f'homeserver_backup_{metric}{{repository="{name}"}} {value}\n'
    yield "# HELP homeserver_backup_failed How many of its jobs failed in their last run.\n"
    yield "# TYPE homeserver_backup_failed gauge\n"
    for name, about in repositories.items():
        yield f'homeserver_backup_failed{{repository="{name}"}} {len(about["failures"])}\n'
