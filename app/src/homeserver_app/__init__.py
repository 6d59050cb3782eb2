"""The home server's own app: says hello, and is an example of how to use the server's features."""

import os

from flask import Flask
from prometheus_client import CollectorRegistry
from werkzeug.middleware.proxy_fix import ProxyFix

from homeserver_app import access, faults, greeting, health, problems, security, tracing
from homeserver_app.metrics import Metrics
from homeserver_app.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Create the WSGI application.

    gunicorn calls this in each worker, after the fork. Threads started here, such as the trace exporter,
    therefore belong to the worker.

    Args:
        settings: The settings; None reads them from the environment.

    Raises:
        SettingsError: The environment is invalid.
    """
    settings = settings or Settings.from_environment(os.environ)
    metrics = Metrics(CollectorRegistry(), settings.revision)
    app = Flask(__name__)
    access.install(app, metrics, log_usual=settings.access_log == "all")
    tracing.install(app, settings)
    problems.install(app)
    faults.install(app, settings.fault)
    security.install(app)
    app.register_blueprint(greeting.blueprint(settings.greeting, metrics.greetings))
    app.register_blueprint(health.blueprint)
    if settings.trusted_proxies:
        proxies = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    return app
