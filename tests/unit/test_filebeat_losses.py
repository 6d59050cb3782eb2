"""No line is lost or duplicated when Elasticsearch, Filebeat or a pod fails."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.bulk import Elasticsearch, elasticsearch
from harness.filebeat import Role, Running, cri, log_file, running, stubbed
from harness.waiting import wait_until


@pytest.fixture
def elastic() -> Iterator[Elasticsearch]:
    """The part of Elasticsearch that Filebeat uses."""
    with elasticsearch() as started:
        yield started


def _configuration(directory: Path, elastic: Elasticsearch) -> dict[str, Any]:
    """Return the role's configuration with another address and shorter retry intervals."""
    configuration = stubbed(Role(directory).configuration())
    output = configuration["output.elasticsearch"] | {"hosts": [f"http://127.0.0.1:{elastic.port}"]}
    output["backoff"] = {"init": "100ms", "max": "500ms"}
    del output["ssl.certificate_authorities"]
    return configuration | {"output.elasticsearch": output}


def _numbered(first: int, last: int) -> bytes:
    return b"".join(cri(f"line {number}", number=number) for number in range(first, last))


def _all_there(elastic: Elasticsearch, count: int) -> None:
    wait_until(lambda: len(elastic.messages()) >= count)
    # However often they were sent.
    assert Counter(elastic.messages()) == Counter(f"line {number}" for number in range(count))


def _reads(filebeat: Running, log: Path) -> bool:
    """Whether Filebeat has this file open."""
    held = Path(f"/proc/{filebeat.process.pid}/fd").iterdir()
    return any(file.exists() and file.samefile(log) for file in held)


def test_nothing_is_lost_while_elasticsearch_is_down(tmp_path: Path, elastic: Elasticsearch) -> None:
    log = log_file(tmp_path, "web")
    log.write_bytes(_numbered(0, 1000))
    with running(tmp_path, _configuration(tmp_path, elastic)) as filebeat:
        wait_until(lambda: len(elastic.messages()) == 1000)
        elastic.up = False
        with log.open("ab") as file:
            file.write(_numbered(1000, 15_000))
        # The kubelet rotates it.
        log.rename(log.with_name("0.log.20261124-213000"))
        log.write_bytes(_numbered(15_000, 29_000))
        wait_until(lambda: _reads(filebeat, log))
        # The pod is deleted with its files before any of these lines could be sent.
        for path in log.parent.iterdir():
            path.unlink()
        time.sleep(3)
        assert len(elastic.messages()) == 1000
        elastic.up = True
        _all_there(elastic, 29_000)


def test_nothing_is_lost_when_filebeat_is_killed(tmp_path: Path, elastic: Elasticsearch) -> None:
    log_file(tmp_path, "web").write_bytes(_numbered(0, 20_000))
    configuration = _configuration(tmp_path, elastic)
    for enough in (1, 5_000, 10_000):
        with running(tmp_path, configuration) as filebeat:
            wait_until(lambda enough=enough: len(elastic.messages()) >= enough)  # type: ignore[misc]
            filebeat.process.kill()
    with running(tmp_path, configuration):
        _all_there(elastic, 20_000)

    # Lines in flight were sent again and refused: at most the size of its queue for each kill.
    queue = Role(tmp_path).value("_elk_filebeat_queue")
    assert 0 <= elastic.duplicates <= 3 * (queue + 2 * queue // 2)


def test_a_line_that_arrived_without_an_answer_is_kept_once(tmp_path: Path, elastic: Elasticsearch) -> None:
    log_file(tmp_path, "web").write_bytes(_numbered(0, 3000))
    with running(tmp_path, _configuration(tmp_path, elastic)):
        wait_until(lambda: len(elastic.messages()) > 0)
        elastic.forgets = True
        with log_file(tmp_path, "web").open("ab") as file:
            file.write(_numbered(3000, 5000))
        wait_until(lambda: elastic.duplicates > 0)
        elastic.forgets = False
        _all_there(elastic, 5000)


def test_lines_that_elasticsearch_refuses_are_kept_in_another_index(
    tmp_path: Path, elastic: Elasticsearch
) -> None:
    elastic.refuse = lambda index, document: (
        400 if index != "logs-invalid" and document["message"] == "line 7" else 201
    )
    log_file(tmp_path, "web").write_bytes(_numbered(0, 20))
    with running(tmp_path, _configuration(tmp_path, elastic)):
        wait_until(lambda: len(elastic.messages()) == 19 and len(elastic.messages("logs-invalid")) == 1)

    ((_, invalid),) = [item for item in elastic.documents.items() if item[0][0] == "logs-invalid"]
    assert '"message":"line 7"' in invalid["message"]
    assert '"namespace":"apps"' in invalid["message"]
    assert invalid["error.type"] == 400
    assert "document_parsing_exception" in invalid["error.message"]
    assert elastic.refused == {400: 1}


def test_requests_to_an_overloaded_elasticsearch_are_retried(tmp_path: Path, elastic: Elasticsearch) -> None:
    elastic.refuse = lambda _index, _document: 429 if sum(elastic.refused.values()) < 100 else 201
    log_file(tmp_path, "web").write_bytes(_numbered(0, 500))
    with running(tmp_path, _configuration(tmp_path, elastic)):
        _all_there(elastic, 500)

    assert elastic.messages("logs-invalid") == []
