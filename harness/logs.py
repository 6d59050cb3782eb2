"""The home's Elasticsearch, queried from the machine, because it has no route."""

import base64
import json
import shlex
from dataclasses import dataclass
from typing import Any

from testinfra.host import Host

from harness.home import Home, Kubectl, eventually

_ASK = """
import base64, json, ssl, sys, urllib.error, urllib.request
url, credentials, body, certificate, method = sys.argv[1:]
context = ssl.create_default_context(cadata=base64.b64decode(certificate).decode())
context.check_hostname = False
headers = {"Authorization": "Basic " + credentials, "Content-Type": "application/json"}
request = urllib.request.Request(url, base64.b64decode(body) or None, headers, method=method or None)
try:
    print(urllib.request.urlopen(request, timeout=30, context=context).read().decode())
except urllib.error.HTTPError as error:
    sys.exit(f"{error}: {error.read().decode()}")
"""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Logs:
    """All logs of the home."""

    host: Host
    home: Home
    kubectl: Kubectl

    def ask(self, path: str, body: object = None, method: str = "") -> Any:
        """Return a response of Elasticsearch's API as the owner; with a body, the default method is POST."""
        address = self.kubectl.get("-n logging service elasticsearch")["spec"]["clusterIP"]
        if address == "None":
            pods = self.kubectl.get("-n logging pods -l app.kubernetes.io/name=elasticsearch")["items"]
            address = pods[0]["status"]["podIP"]
        password = (self.home.secrets / "kibana_admin.password").read_text().strip()
        certificate = (self.home.secrets / "ca.crt").read_text()
        arguments = [f"https://{address}:9200/{path}", _encoded(f"admin:{password}")]
        arguments += [_encoded(json.dumps(body)) if body else "", _encoded(certificate), method]
        command = " ".join(map(shlex.quote, ["python3", "-c", _ASK, *arguments]))
        return json.loads(self.host.check_output(command))

    def found(self, query: str, index: str = "logs-*") -> list[dict[str, Any]]:
        """Return the lines, newest first, that match a query in Lucene's syntax, like Kibana's search."""
        body = {
            "query": {"query_string": {"query": query}},
            "sort": [{"@timestamp": "desc"}],
            "size": 100,
        }
        return [hit["_source"] for hit in self.ask(f"{index}/_search", body)["hits"]["hits"]]

    def wait(self, query: str, index: str = "logs-*", seconds: float = 60) -> list[dict[str, Any]]:
        """Return the result of a search once there is one."""
        lines: list[dict[str, Any]] = []

        def there() -> bool:
            lines[:] = self.found(query, index)
            return bool(lines)

        assert eventually(there, seconds), f"{query} finds nothing in {index} after {seconds:g} s"
        return lines


def field(line: dict[str, Any], name: str) -> Any:
    """Return a field by its dotted name, nested or not; None if it does not exist."""
    if name in line:
        return line[name]
    value: Any = line
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
