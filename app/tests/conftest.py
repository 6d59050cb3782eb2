import pytest
from flask import Flask
from flask.testing import FlaskClient

from homeserver_app import create_app
from homeserver_app.settings import Settings


@pytest.fixture
def app() -> Flask:
    return create_app(Settings())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
