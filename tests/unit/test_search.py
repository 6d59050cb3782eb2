"""OpenSearch, in which other tests run ingest pipelines, has the required processors."""

from pathlib import Path

from tests.support.search import opensearch_running

SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.0 Safari/605.1.15"
)


def test_opensearch_has_the_processor_for_user_agents(tmp_path: Path) -> None:
    simulation = {
        "pipeline": {"processors": [{"user_agent": {"field": "agent"}}]},
        "docs": [{"_source": {"agent": SAFARI}}],
    }
    with opensearch_running(tmp_path) as engine:
        (answer,) = engine.ask("_ingest/pipeline/_simulate", simulation, method="POST")["docs"]
        assert answer["doc"]["_source"]["user_agent"]["name"] == "Safari"
