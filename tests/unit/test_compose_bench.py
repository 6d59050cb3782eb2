"""The benchmark counts the compose files that the importer translates, by collection and reason."""

from pathlib import Path

import pytest

from bench import compose

GOOD = "services: {{web: {{image: 'registry.example.org/{name}:1', {keys}}}}}"
FILES = {
    "good": "volumes: ['$DATA:/data']",
    "remark": "stop_signal: SIGINT",
    "two-reasons": "privileged: true, pid: host",
    "one-reason": "privileged: true",
    "missing": "env_file: none.env",
}


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
    }
    file = tmp_path / "shelf/apps/good/docker-compose.yml"
    assert compose.variables(file, tmp_path / "shelf") == {"DATA": f"{file.parent}/good"}


def test_without_a_directory_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(compose.VARIABLE, raising=False)
    said: list[str] = []

    assert list(compose.rows(said.append)) == []
    assert compose.VARIABLE in said[0]
