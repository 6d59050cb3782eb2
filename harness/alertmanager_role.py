"""Alertmanager's configuration and objects, rendered like the role does but without a cluster."""

from pathlib import Path
from typing import Any

from harness import rendering
from harness.rendering import ROOT

ROLE = ROOT / "roles/alertmanager"

# One receiver of each kind, as an owner would write it.
EVERYBODY: dict[str, Any] = {
    "alertmanager_ntfy": [{"url": "https://ntfy.example/home", "token": "ntfy-secret"}],
    "alertmanager_pushover": [{"user_key": "pushover-secret", "token": "pushover-secret"}],
    "alertmanager_telegram": [{"token": "telegram-secret", "chat_id": -100123}],
    "alertmanager_email": [
        {
            "to": "owner@example.org",
            "smarthost": "smtp.example.org:587",
            "username": "owner@example.org",
            "password": "email-secret",
        }
    ],
    "alertmanager_slack": [{"url": "https://slack.example/slack-secret"}],
    "alertmanager_discord": [{"url": "https://discord.example/discord-secret"}],
    "alertmanager_msteams": [{"url": "https://teams.example/msteams-secret"}],
    "alertmanager_webhook": [{"url": "http://robot.apps:8080/", "token": "webhook-secret"}],
    "alertmanager_deadman_url": "https://deadman.example/deadman-secret",
}


class Role(rendering.Role):
    """The role, for a home with some variables."""

    def __init__(self, **variables: Any) -> None:
        super().__init__("alertmanager", Path("/nowhere"), **variables)

    def files(self) -> dict[str, str]:
        """Return the files in the Secret."""
        found: dict[str, str] = self.value("_alertmanager_files")
        return found

    def configuration(self, directory: Path) -> Path:
        """Write the files in the Secret, and return the path of the configuration."""
        for name, content in self.files().items():
            (directory / name).write_text(content)
        return directory / "alertmanager.yml"
