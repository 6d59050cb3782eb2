"""Makes apps and Elasticsearch write their data into volumes before a save."""

import json
from collections.abc import Iterator

from .cluster import kubectl
from .errors import BackupError
from .settings import Settings

HOOKS = "homeserver.stack/backup"
HOOK_SECONDS = 3600
SNAPSHOT_SECONDS = 1200


def snapshot_logs(settings: Settings) -> None:
    """Make Elasticsearch write a snapshot into a volume that is then saved."""
    namespace, _, name = settings.snapshot_job.partition("/")
    if not name or not kubectl(
        settings, "-n", namespace, "get", "cronjob", name, "--ignore-not-found", "--output=name"
    ):
        return
    job = f"job/{name}-backup"
    kubectl(settings, "-n", namespace, "delete", job, "--ignore-not-found", "--wait=true")
    kubectl(settings, "-n", namespace, "create", "job", f"--from=cronjob/{name}", f"{name}-backup")
    wait = ("wait", job, "--for=condition=complete", f"--timeout={SNAPSHOT_SECONDS}s")
    try:
        kubectl(settings, "-n", namespace, *wait, seconds=SNAPSHOT_SECONDS + 60)
    except BackupError:
        said = kubectl(settings, "-n", namespace, "logs", job, "--tail=3")
        raise BackupError(f"the {job} in {namespace} has not succeeded: {said.strip()}") from None
    kubectl(settings, "-n", namespace, "delete", job, "--ignore-not-found")


class Hooks:
    """The commands of apps that run in their pods before and after a save."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: list[tuple[str, str, dict[str, list[list[str]]]]] = []

    def before(self) -> list[str]:
        """Run the commands before a save."""
        if not self._settings.founder:
            return []
        try:
            listed = kubectl(self._settings, "get", "deployments", "--all-namespaces", "--output=json")
        except BackupError as error:
            return [f"no app has run its commands before a save: {error}"]
        self._found = [
            (each["metadata"]["namespace"], each["metadata"]["name"], json.loads(hooks))
            for each in json.loads(listed)["items"]
            if (hooks := (each["metadata"].get("annotations") or {}).get(HOOKS))
            and each["spec"].get("replicas", 1)
        ]
        return list(self._run("before"))

    def after(self) -> list[str]:
        """Run the commands after a save."""
        return list(self._run("after"))

    def _run(self, when: str) -> Iterator[str]:
        for namespace, app, hooks in self._found:
            for command in hooks.get(when, []):
                try:
                    kubectl(
                        self._settings,
                        *("-n", namespace, "exec", f"deployment/{app}", "--", *command),
                        seconds=HOOK_SECONDS,
                    )
                except BackupError as error:
                    wrong = f"the command {when} a save failed in the app {app}"
                    yield f"{wrong} -> correct its backup.{when}: {error}"
                    break
