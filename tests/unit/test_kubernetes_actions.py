"""The actions on the cluster when there is no cluster, in a dry run and in a real one."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.homeserver.stack.plugins.action.component import rollout_timeout
from ansible_collections.homeserver.stack.plugins.plugin_utils.declarations import evaluator

from harness.roles import ROOT

CONTAINERS = [{"name": "a", "image": "a"}]
JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "a", "namespace": "default"},
    "spec": {"template": {"spec": {"containers": CONTAINERS}}},
}
TASKS: dict[str, dict[str, Any]] = {
    "kubernetes_apply": {"application": "a", "definitions": [JOB]},
    "run_job": {"application": "a", "definition": JOB},
    "summary": {"address": "192.0.2.1", "secrets_dir": "/nowhere"},
}


def run(directory: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """Run every action, and return their results by name."""
    tasks = [
        {f"homeserver.stack.{name}": arguments | {"kubeconfig": f"{directory}/none"}, "name": name}
        for name, arguments in TASKS.items()
    ]
    play = {"hosts": "localhost", "gather_facts": False, "ignore_errors": True, "tasks": tasks}
    (directory / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        ["ansible-playbook", "--inventory", "localhost,", *flags, f"{directory}/play.yml"],
        cwd=ROOT,
        env=os.environ | {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    play = json.loads(done.stdout[done.stdout.index("{\n") :])["plays"][0]
    return {task["task"]["name"]: task["hosts"]["localhost"] for task in play["tasks"]}


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return run(tmp_path_factory.mktemp("dry"), "--check", "--diff")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return run(tmp_path_factory.mktemp("real"))


@pytest.mark.parametrize("action", TASKS)
def test_a_missing_kubeconfig_fails_the_task_with_its_path(
    real: dict[str, dict[str, Any]], action: str
) -> None:
    assert real[action]["failed"]
    assert re.match(r"the kubeconfig \S+/none does not exist: ", real[action]["msg"])


def test_a_dry_run_runs_no_job(dry: dict[str, dict[str, Any]]) -> None:
    assert not dry["run_job"].get("failed")
    assert not dry["run_job"]["changed"]


def test_a_dry_run_shows_what_would_be_applied(dry: dict[str, dict[str, Any]]) -> None:
    applied = dry["kubernetes_apply"]
    assert applied["created"] == ["Job default/a"]
    assert "app.kubernetes.io/part-of: a\n" in applied["diff"][0]["after"]
    assert "/none does not exist" in applied["warnings"][0]


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[list[str]]:
    """The requests to an API server that knows Jobs and Secrets, has one Secret and accepts everything."""
    asked: list[str] = []
    verbs = ["get", "list", "patch", "delete"]

    def served(group: str, plural: str, kind: str) -> dict[str, Any]:
        resource = {"resource": plural, "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": verbs}
        return {"metadata": {"name": group}, "versions": [{"version": "v1", "resources": [resource]}]}

    labels = {"app.kubernetes.io/managed-by": "homeserver", "app.kubernetes.io/part-of": "a"}
    ours = [{"manager": "homeserver", "operation": "Apply"}]
    old = {"metadata": {"name": "old", "namespace": "default", "labels": labels, "managedFields": ours}}

    class Api(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append(f"{self.command} {self.path}")
            path = self.path.partition("?")[0]
            known: dict[str, Any] = {
                "/api": {"items": [served("", "secrets", "Secret")]},
                "/apis": {"items": [served("batch", "jobs", "Job")]},
                "/api/v1/secrets": {"items": [old]},
                "/apis/batch/v1/jobs": {"items": []},
            }
            found = known.get(path) or (json.loads(body) if body.startswith(b"{") else None)
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(found or {"reason": "NotFound"}).encode())

        do_GET = do_PATCH = do_DELETE = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cluster = {"name": "a", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
        kubeconfig = {"clusters": [cluster], "contexts": [context], "users": [{"name": "a", "user": {}}]}
        (tmp_path / "none").write_text(yaml.safe_dump(kubeconfig | {"current-context": "a"}))
        yield asked
        server.shutdown()


def test_a_dry_run_queries_the_cluster_and_changes_nothing(requests: list[str], tmp_path: Path) -> None:
    applied = run(tmp_path, "--check", "--diff")["kubernetes_apply"]

    assert applied["changed"]
    assert applied["created"] == ["Job default/a"]
    assert applied["updated"] == []
    assert applied["deleted"] == ["Secret default/old"]
    changing = [request for request in requests if not request.startswith("GET ")]
    assert changing
    assert [request for request in changing if "dryRun=All" not in request] == []


def test_a_dry_run_removes_nothing(
    requests: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "kubernetes_apply", {"application": "a", "state": "absent"})

    assert run(tmp_path, "--check")["kubernetes_apply"]["deleted"] == ["Secret default/old"]
    assert {request.split()[0] for request in requests} == {"GET"}


@pytest.mark.parametrize(("variables", "seconds"), [({}, 300), ({"echo_rollout_timeout_seconds": "60"}, 60)])
def test_a_component_needs_no_option_for_its_rollout(variables: dict[str, Any], seconds: int) -> None:
    value = evaluator(Templar(loader=DataLoader()), variables)

    assert rollout_timeout("echo", value) == seconds


def test_a_component_that_is_off_is_removed_with_its_secrets(requests: list[str], tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("grafana_admin.password", "grafana_encryption.key", "kibana_admin.password"):
        (secrets / name).touch()
    variables = {
        "grafana_state": "absent",
        "homeserver_kubeconfig": f"{tmp_path}/none",
        "homeserver_secrets_dir": str(secrets),
    }

    def removed(*flags: str) -> list[str]:
        play = {"hosts": "localhost", "gather_facts": False, "roles": ["homeserver.stack.grafana"]}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play | {"vars": variables}]))
        inventory = "[control_plane]\nlocalhost ansible_connection=local\n[home_servers]\nlocalhost\n"
        (tmp_path / "hosts").write_text(inventory)
        command = ["ansible-playbook", "-i", f"{tmp_path}/hosts", *flags, f"{tmp_path}/play.yml"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "changed=1 " in done.stdout
        return [request for request in requests if request.startswith("DELETE ")]

    assert not removed("--check")
    assert len(list(secrets.iterdir())) == 3
    assert removed()
    assert [file.name for file in secrets.iterdir()] == ["kibana_admin.password"]


def test_a_summary_needs_a_cluster_in_a_dry_run_too(dry: dict[str, dict[str, Any]]) -> None:
    assert dry["summary"]["failed"]


def _status(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask a home that has no cluster how it is."""
    hosts = tmp_path / "home/hosts.yml"
    hosts.parent.mkdir()
    groups: dict[str, Any] = {"home_servers": {"children": {"control_plane": {"hosts": {"home": {}}}}}}
    hosts.write_text(yaml.safe_dump({"all": {"children": groups}}))
    return subprocess.run(
        ["ansible-playbook", "--inventory", str(hosts), "playbooks/status.yml", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_dry_run_asks_no_cluster_that_is_not_there(tmp_path: Path) -> None:
    done = _status(tmp_path, "--check")

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_status_for_a_program_is_told_when_the_cluster_does_not_answer(tmp_path: Path) -> None:
    done = _status(tmp_path, "-e", "format=json")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("{"))

    assert done.returncode != 0
    assert json.loads(line)["healthy"] is False
    assert "kubeconfig" in json.loads(line)["unhealthy"][0]
