"""One command replaces a password: the old one opens nothing any more, and what does not use it runs on."""

import json
from collections.abc import Callable, Set

import pytest
import requests
from testinfra.host import Host

from harness.home import Home, Kubectl, ask_from, eventually
from harness.logs import Logs
from harness.prometheus import Prometheus
from plugins.module_utils.components import secrets
from plugins.module_utils.nodes.secrets_encryption import key_of

Opens = Callable[[str], bool]


@pytest.fixture
def opens_prometheus(home: Home) -> Opens:
    """Whether a password of `admin` opens Prometheus' page."""

    def opens(password: str) -> bool:
        url = f"https://prometheus.{home.domain}/"
        status = requests.get(url, auth=("admin", password), verify=home.ca, timeout=10).status_code
        assert status in (200, 401)
        return status == 200

    return opens


@pytest.fixture
def opens_elasticsearch(host: Host, kubectl: Kubectl) -> Opens:
    """Whether a password of `admin` opens Elasticsearch, where Kibana asks."""

    def opens(password: str) -> bool:
        address = kubectl.get("-n logging service elasticsearch")["spec"]["clusterIP"]
        status, _ = ask_from(host, f"https://{address}:9200/", "--user", f"admin:{password}")
        assert status in (200, 401)
        return status == 200

    return opens


@pytest.fixture
def opens_node_exporter(home: Home, host: Host) -> Opens:
    """Whether a password of `prometheus` opens node-exporter."""

    def opens(password: str) -> bool:
        url = f"https://{home.address}:9101/metrics"
        status, _ = ask_from(host, url, "--user", f"prometheus:{password}")
        assert status in (200, 401)
        return status == 200

    return opens


# The file of each secret, what it opens, and the pods that have to know it from their start.
ROTATED: dict[str, tuple[str, str, Set[str]]] = {
    "traefik_dashboard": ("traefik_dashboard.password", "opens_prometheus", set()),
    "kibana_admin": ("kibana_admin.password", "opens_elasticsearch", {"elasticsearch"}),
    "node_exporter": ("node_exporter.password", "opens_node_exporter", {"node-exporter"}),
}


@pytest.mark.parametrize("name", ROTATED)
def test_only_the_new_password_opens(
    request: pytest.FixtureRequest, home: Home, kubectl: Kubectl, name: str
) -> None:
    file, opened, restarted = ROTATED[name]
    opens: Opens = request.getfixturevalue(opened)
    old = (home.secrets / file).read_text().strip()
    others = _files(home)
    del others[file]
    before = _pods(kubectl)
    assert opens(old)

    run = home.play("playbooks/rotate.yml", "--diff", "-e", f"secret={name}")
    assert run.returncode == 0, run.stdout + run.stderr

    new = (home.secrets / file).read_text().strip()
    assert (opens(old), opens(new)) == (False, True)
    assert [secret for secret in (old, new) if secret in run.stdout + run.stderr] == []
    assert {name: text for name, text in _files(home).items() if name != file} == others
    assert {before[uid] for uid in before.keys() - _pods(kubectl).keys()} == restarted


@pytest.mark.usefixtures("kubectl")  # on which those depend that are asked for by name
def test_all_are_replaced_at_once(request: pytest.FixtureRequest, home: Home, host: Host) -> None:
    old = _files(home)
    replaced = {file for secret in secrets().values() for file in secret["files"]} & old.keys()

    run = home.play("playbooks/rotate.yml", "--diff", "-e", "secret=all")
    assert run.returncode == 0, run.stdout + run.stderr

    new = _files(home)
    assert {file for file in old if new[file] != old[file]} == replaced
    for file, opened, _ in ROTATED.values():
        opens: Opens = request.getfixturevalue(opened)
        assert (opens(old[file]), opens(new[file])) == (False, True), file
    # Nothing but the new key reads Secrets from now on.
    written = json.loads(host.file("/etc/homeserver/encryption.yaml").content_string)["resources"]
    key = key_of(new["kubernetes_encryption.key"])._asdict()
    assert written == [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": [key]}}]}]
    told = run.stdout + run.stderr
    assert [file for file in replaced if not file.endswith(".crt") and new[file] in told] == []


def _files(home: Home) -> dict[str, str]:
    """Return the content of each file of the home's secrets, those of apps included."""
    files = (path for path in home.secrets.rglob("*") if path.is_file())
    return {str(path.relative_to(home.secrets)): path.read_text().strip() for path in files}


def _pods(kubectl: Kubectl) -> dict[str, str]:
    """Return the app of each pod that is not of a Job, by the pod's uid."""
    return {
        pod["metadata"]["uid"]: pod["metadata"]["labels"].get("app.kubernetes.io/name", "")
        for pod in kubectl.get("pods -A")["items"]
        if not any(owner["kind"] == "Job" for owner in pod["metadata"].get("ownerReferences", []))
    }


def test_nobody_notices(logs: Logs, prometheus: Prometheus) -> None:
    assert logs.ask("_cluster/health")["status"] == "green"
    assert eventually(lambda: not prometheus.query('up{job="node"} == 0'), 60)


def test_nothing_is_left_to_do(home: Home) -> None:
    run = home.play("site.yml", "--check")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "changed=0" in run.stdout
