"""A fault on purpose, for a drill: one route fails for one family of browsers, as after a bad release."""

from flask import Flask, request

from homeserver_app import browsers
from homeserver_app.access import route


class DrillError(RuntimeError):
    """What the faulty route fails with."""


def install(app: Flask, fault: str) -> None:
    """Let requests fail as `<browser>:<route>` says; without a fault nothing is installed."""
    if not fault:
        return
    family, _, faulty = fault.partition(":")

    @app.before_request
    def fail() -> None:
        if route() == faulty and browsers.family(request.user_agent.string) == family:
            raise DrillError(f"{faulty} fails for {family}: HOMESERVER_APP_FAULT says so")
