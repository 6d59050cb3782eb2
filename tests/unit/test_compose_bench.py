"""The benchmark counts the compose files that the importer translates, and Kubernetes accepts, by reason."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench import compose
from harness.acceptance import Acceptance, acceptance

GOOD = "services: {{web: {{image: 'registry.example.org/{name}:1', {keys}}}}}"
FILES = {
    "good": "volumes: ['$DATA:/data']",
    "remark": "stop_signal: SIGINT",
    "two-reasons": "privileged: true, pid: host",
    "one-reason": "privileged: true",
    "missing": "env_file: none.env",
}


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Acceptance]:
    with acceptance(tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


def imported(name: str, **keys: object) -> compose.Result:
    entry = {"name": name, "image": "registry.example.org/blog:1", **keys}
    return compose.Result(clean=True, reasons=frozenset(), stack=name, text=yaml.safe_dump({"apps": [entry]}))


def test_what_kubernetes_refuses_is_counted_by_its_kind(kubernetes: Acceptance, tmp_path: Path) -> None:
    results = [
        imported("good"),
        imported("far", port=99999, probe="none"),
        imported("further", port=77777, probe="none"),
        imported("broken", resources={"limits": {"memory": "{{ nothing }}"}}),
    ]
    said: list[str] = []
    found = compose.refusals(results, kubernetes, tmp_path, said.append)

    assert [bool(each) for each in found] == [False, True, True, True]
    assert said[0].startswith('far: Deployment apps/far: Deployment.apps "far" is invalid: ')
    counted = {each.what: (*each.values, each.unit) for each in compose.judged("shelf", found)}
    what = "imported compose files of shelf"
    assert counted[f"{what} accepted by Kubernetes"] == (25, "%")
    assert counted[
        f"{what} refused: Service: spec.ports.port: Invalid value: : must be between and , inclusive"
    ]
    assert any("nothing" in line for line in said)


def test_files_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, keys in FILES.items():
        (tmp_path / "shelf/apps" / name).mkdir(parents=True)
        text = GOOD.format(name=name, keys=keys)
        (tmp_path / "shelf/apps" / name / "docker-compose.yml").write_text(text)
    (tmp_path / "shelf/variables.env").write_text("# note\nDATA={directory}/{name}\n")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv(compose.VARIABLE, str(tmp_path))
    rows = list(compose.rows(print))

    what = "compose files of shelf"
    assert {each.what: (*each.values, each.unit) for each in rows} == {
        f"{what} imported without a remark": (1, "files"),
        f"{what} imported with remarks": (1, "files"),
        f"{what} not imported": (3, "files"),
        f"{what} not imported: privileged": (2, "files"),
        f"{what} not imported: a file that it names is missing": (1, "files"),
        f"{what} not imported: pid": (1, "files"),
        f"imported {what} accepted by Kubernetes": (100, "%"),
    }
    file = tmp_path / "shelf/apps/good/docker-compose.yml"
    assert compose.variables(file, tmp_path / "shelf") == {"DATA": f"{file.parent}/good"}


def test_without_a_directory_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compose.VARIABLE, raising=False)
    said: list[str] = []

    assert list(compose.rows(said.append)) == []
    assert compose.VARIABLE in said[0]
