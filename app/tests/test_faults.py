import pytest
from flask.testing import FlaskClient

from homeserver_app import create_app
from homeserver_app.settings import Settings

from .agents import AGENTS


@pytest.fixture
def faulty() -> FlaskClient:
    return create_app(Settings(fault="safari:/")).test_client()


def test_only_that_route_fails_and_only_for_that_browser(faulty: FlaskClient) -> None:
    statuses = {
        name: faulty.get("/", headers={"User-Agent": agent}).status_code for name, agent in AGENTS.items()
    }
    assert statuses == {name: 500 if name == "safari" else 200 for name in AGENTS}
    assert faulty.get("/nowhere", headers={"User-Agent": AGENTS["safari"]}).status_code == 404
    assert faulty.get("/readyz", headers={"User-Agent": AGENTS["safari"]}).status_code == 200
