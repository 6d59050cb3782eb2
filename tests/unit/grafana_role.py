"""Grafana's objects, rendered as the role renders them but without a cluster."""

from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).parent.parent.parent
ROLE = ROOT / "roles/grafana"
VARIABLES = [
    ROOT / "roles/common/defaults/main.yml",
    ROOT / "inventory/group_vars/all/versions.yml",
    ROLE / "defaults/main.yml",
    ROLE / "vars/main.yml",
]

Object = dict[str, Any]


def render(state: Path, **variables: Any) -> list[Object]:
    """Render all templates for a home that sets these variables; what is generated goes below `state`."""
    loader = DataLoader()
    known: dict[str, Any] = {
        "ansible_check_mode": False,
        "ansible_search_path": [str(ROLE)],
        "role_path": str(ROLE),
        "groups": {"control_plane": ["home"], "home_servers": ["home"]},
    }
    for path in VARIABLES:
        known |= loader.load_from_file(str(path), trusted_as_template=True)
    templar = Templar(loader=loader, variables=known | {"homeserver_state_dir": str(state)} | variables)
    objects: list[Object] = []
    for name in templar.template(trust_as_template("{{ _grafana_templates }}")):
        source = trust_as_template((ROLE / "templates" / name).read_text())
        text = templar.template(source, escape_backslashes=False) or ""
        objects += [document for document in yaml.safe_load_all(text) if document]
    return objects


def find(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found
