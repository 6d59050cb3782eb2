"""Finds which apps could be updated."""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone

from .cluster import Cluster
from .errors import UpdateError
from .image_reference import parse
from .journal import log
from .kubectl import KubectlError
from .registry import Registries
from .settings import App, Object, Settings
from .state import State
from .versions import newer, version

_TRIED = 20
"""How many versions of an image are asked for their age."""


def check(settings: Settings, cluster: Cluster, state: State, only: str = "") -> list[str]:
    """Ask registries for newer versions, and record them; return which groups can be updated now.

    Args:
        settings: the settings.
        cluster: the cluster.
        state: where the result goes.
        only: the group to check; empty for all.

    Raises:
        UpdateError: there is no such group.
        KubectlError: the cluster does not answer.
    """
    groups = settings.groups()
    names = {app.name: app.group for app in settings.apps}
    only = names.get(only, only)
    if only and only not in groups:
        raise UpdateError(
            f"there is no app {only} -> one of {', '.join(sorted(names)) or 'those of a home with apps'}"
        )
    records = current(settings, cluster.records())
    found = {}
    for group, apps in groups.items():
        if only in ("", group) and (about := _waiting(settings, cluster, state, apps, records)):
            found[group] = about
    others = {
        name: about for name, about in state.waiting.items() if only and name != only and name in groups
    }
    state.waiting = others | found
    state.taken_back = {
        name: about for name, about in state.taken_back.items() if _still_skipped(groups.get(name, []), about)
    }
    state.checked = time.time()
    state.write()
    cluster.write_records(records, told(state))
    for name in sorted(found):
        log(f"{name}: {sentence(found[name])}")
    return [name for name, about in sorted(found.items()) if not about["reason"]]


def current(settings: Settings, records: Mapping[str, Object]) -> dict[str, Object]:
    """Return the records of updates without those whose entry names another image since."""
    images = {app.name: app.image for app in settings.apps}
    return {name: each for name, each in records.items() if images.get(name, each["from"]) == each["from"]}


def told(state: State) -> Object:
    """Return what status.yml tells."""
    return {
        "checked": state.checked,
        "waiting": {name: sentence(about) for name, about in state.waiting.items()},
        "taken_back": {name: about["message"] for name, about in state.taken_back.items()},
    }


def sentence(about: Object) -> str:
    """Describe an update that waits."""
    images = ", ".join(
        f"{parse(each['now']).tagged} -> {parse(each['to']).tag}" for each in about["images"].values()
    )
    return f"{images}, not by itself: {about['reason']}" if about["reason"] else images


def _still_skipped(apps: Iterable[App], about: Object) -> bool:
    """Return whether an app still has the image whose update was taken back."""
    return bool({app.name: app.image for app in apps} == about["entries"])


def _waiting(
    settings: Settings, cluster: Cluster, state: State, apps: list[App], records: Mapping[str, Object]
) -> Object | None:
    """Return the images that a group would have, and why it is not updated by itself."""
    images, reasons = {}, []
    for app in apps:
        now = records.get(app.name, {}).get("to", app.image)
        if not version(parse(now).tag) or app.policy == "none":
            continue
        try:
            registries = Registries(settings.mirrors)
            registries.logins = cluster.logins(app)
            if to := _newest(settings, registries, state, now, app.policy):
                images[app.name] = {"now": now, "to": to}
        except (UpdateError, KubectlError) as error:
            log(f"{app.name}: it is not known whether there is a newer version: {error}")
    if not images:
        return None
    try:
        if needed := sorted({name for app in apps for name in app.needs}):
            fix = "give them the same stack, or set update.policy in its entry"
            raise UpdateError(f"its data may be in {', '.join(needed)} -> {fix}")
        cluster.volumes(apps)
    except UpdateError as error:
        reasons.append(str(error))
    return {"images": images, "reason": "; ".join(reasons)}


def _newest(settings: Settings, registries: Registries, state: State, now: str, policy: str) -> str:
    """Return the newest image that may be installed, with its digest; empty if there is none."""
    image = parse(now)
    name = settings.prefix + image.name
    skipped = state.skipped.get(image.name, [])
    youngest = datetime.now(timezone.utc) - timedelta(days=settings.minimum_age_days)  # noqa: UP017 (Python 3.10)
    for tag in newer(image.tag, registries.tags(name), policy)[:_TRIED]:
        if tag in skipped:
            continue
        digest = registries.digest(f"{name}:{tag}")
        created = registries.created(name, digest) if settings.minimum_age_days else None
        if created is None or created <= youngest:
            return f"{image.name}:{tag}@{digest}"
    return ""
