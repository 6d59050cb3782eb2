"""A role's variables and manifests, rendered like the role does but without a cluster."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.homeserver.stack.plugins.module_utils.components import components
from ansible_collections.homeserver.stack.plugins.module_utils.namespaces import namespaces
from ansible_collections.homeserver.stack.plugins.plugin_utils.role_defaults import role_defaults

ROOT = Path(__file__).parents[1]

Object = dict[str, Any]
# Of a home whose machine is the one that runs the tests.
INVENTORY = """
all:
  vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  children:
    home_servers:
      children:
        control_plane: {hosts: {home: {ansible_host: 192.0.2.1}}}
        workers: {}
"""


class Role:
    """A role's variables, for a home with one server; generated files are stored below `state`."""

    def __init__(self, role: str, state: Path, **variables: Any) -> None:
        self._path = ROOT / "roles" / role
        loader = DataLoader()
        known: dict[str, Any] = {
            "ansible_check_mode": False,
            "ansible_search_path": [str(self._path)],
            "groups": {"control_plane": ["home"], "home_servers": ["home"]},
            "hostvars": {"home": {"ansible_host": "192.0.2.1"}},
        }
        known |= role_defaults(role)
        for path in (
            *sorted((ROOT / "roles/common/vars/main").glob("*.yml")),
            *sorted((self._path / "vars").rglob("*.yml")),
        ):
            known |= loader.load_from_file(str(path), trusted_as_template=True)
        known |= {"homeserver_state_dir": str(state)} | variables
        self._templar = Templar(loader=loader, variables=known)

    def value(self, name: str) -> Any:
        """Return the value of a variable."""
        return self.evaluated(f"{{{{ {name} }}}}")

    def evaluated(self, argument: Any) -> Any:
        """Return the value of a task's argument, with its variables replaced."""
        if isinstance(argument, list):
            return [self.evaluated(item) for item in argument]
        if not isinstance(argument, str):
            return argument
        return self._templar.template(trust_as_template(argument))

    def objects(self, templates: Iterable[str] = ()) -> list[Object]:
        """Render some of its templates; all that it applies, if none is named."""
        objects: list[Object] = []
        applied = (path.name for path in (self._path / "templates").glob("*.yaml.j2"))
        for name in templates or sorted(applied):
            source = trust_as_template((self._path / "templates" / name).read_text())
            text = self._templar.template(source, escape_backslashes=False) or ""
            # The parser in C takes a tenth of the time, and only plain strings.
            documents = yaml.load_all(str(text), yaml.CSafeLoader)
            objects += [document for document in documents if document]
        return objects if templates else objects + self.namespaces() + self.policies()

    def namespaces(self) -> list[Object]:
        """Return the Namespaces that it creates."""
        return namespaces(self._path.name, self._value) if self._path.name in components() else []

    def _value(self, part: Any) -> Any:
        """Return a part of its declaration, in which only a whole may be an expression."""
        return self.evaluated(part) if isinstance(part, str) else part

    def policies(self) -> list[Object]:
        """Return the network policies that follow from the declarations of components."""
        if "namespace" not in components().get(self._path.name, {}):
            return []
        query = f"query('homeserver.stack.network_policies', '{self._path.name}')"
        policies: list[Object] = self.evaluated(f"{{{{ {query} }}}}")
        return policies


def find(objects: list[Object], kind: str, name: str) -> Object:
    """Return the only object of that kind and name."""
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found
