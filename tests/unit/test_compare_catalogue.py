"""The catalogue is compared with the compose files of the apps' own projects."""

from pathlib import Path

import pytest
import yaml

from tools import compare_catalogue

COMPOSE = """services:
  web:
    image: example/news:2
    ports: ["8080:80"]
    environment: {TITLE: a, DEBUG: "1"}
    volumes: ["./data:/data", "./more:/more"]
    cap_add: [NET_ADMIN]
    shm_size: 128mb
  cache:
    image: redis:8
"""
APP = {
    "name": "news",
    "image": "registry.example.org/example/news:1",
    "port": 8080,
    "env": {"TITLE": "b", "COLOUR": "red"},
    "volumes": [{"name": "data", "path": "/data"}, {"name": "own", "path": "/own"}],
}
DIFFERENCES = [
    "no port 80 in news",
    "no privilege NET_ADMIN in news",
    "no redis",
    "no shared memory of 128 MiB in news",
    "no variable DEBUG in news",
    "no volume /more in news",
    "own volume /own in news",
]


@pytest.fixture
def compose(tmp_path: Path) -> Path:
    file = tmp_path / "news.yml"
    file.write_text(COMPOSE)
    return file


def test_all_that_differs_is_told(compose: Path) -> None:
    assert list(compare_catalogue.unexplained({"apps": [APP]}, compose)) == DIFFERENCES


def test_a_page_is_compared_by_its_block_with_services(tmp_path: Path) -> None:
    page = tmp_path / "news.md"
    page.write_text(f"# News\n\n```sh\nmake\n```\n\n```yaml\n{COMPOSE}```\n")

    assert list(compare_catalogue.unexplained({"apps": [APP]}, page)) == DIFFERENCES


def test_what_is_explained_is_not_told_but_what_no_longer_differs_is(compose: Path) -> None:
    differs = {"no * in news": "a reason", "no redis": "another", "no mariadb": "an old one"}
    about = {"apps": [APP], "compared": {"differs": differs}}

    assert list(compare_catalogue.unexplained(about, compose)) == [
        "own volume /own in news",
        "no mariadb: explained, and not different",
    ]


def test_the_same_app_has_no_differences(compose: Path) -> None:
    given = compare_catalogue.services(compose)

    assert list(compare_catalogue.differences(given, given)) == []


def test_the_files_of_a_directory_are_compared_with_the_catalogue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare_catalogue.main([str(tmp_path)]) == 0
    other = {"services": {"web": {"image": "miniflux/miniflux:2", "environment": {"POLLING": "1"}}}}
    (tmp_path / "miniflux.yml").write_text(yaml.safe_dump(other))

    assert compare_catalogue.main([str(tmp_path)]) == 1
    assert "miniflux: no variable POLLING in miniflux\n" in capsys.readouterr().out
