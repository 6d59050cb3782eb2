"""Alertmanager's configuration and objects, rendered as the role renders them but without a cluster."""

from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parent.parent.parent
ROLE = ROOT / "roles/alertmanager"
VARIABLES = [
    ROOT / "roles/common/defaults/main.yml",
    ROOT / "inventory/group_vars/all/versions.yml",
    ROLE / "defaults/main.yml",
    ROLE / "vars/main.yml",
]

# One of each kind, as an owner would write them.
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

Object = dict[str, Any]


class Role:
    """The role's variables, for a home that sets some."""

    def __init__(self, **variables: Any) -> None:
        loader = DataLoader()
        known: dict[str, Any] = {
            "ansible_search_path": [str(ROLE)],
            "groups": {"control_plane": ["home"], "home_servers": ["home"]},
        }
        for path in VARIABLES:
            known |= loader.load_from_file(str(path), trusted_as_template=True)
        known["homeserver_state_dir"] = "/nowhere"
        self._templar = Templar(loader=loader, variables=known | variables)

    def files(self) -> dict[str, str]:
        """What the Secret holds."""
        found: dict[str, str] = self._templar.template(trust_as_template("{{ _alertmanager_files }}"))
        return found

    def configuration(self, directory: Path) -> Path:
        """Write what the Secret holds, and return the path of the configuration among it."""
        for name, content in self.files().items():
            (directory / name).write_text(content)
        return directory / "alertmanager.yml"

    def objects(self) -> list[Object]:
        """All objects."""
        texts = [
            self._templar.template(trust_as_template(path.read_text()), escape_backslashes=False)
            for path in sorted((ROLE / "templates").glob("*.yaml.j2"))
        ]
        return [document for text in texts for document in yaml.safe_load_all(text) if document]
