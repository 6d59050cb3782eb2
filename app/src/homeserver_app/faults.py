"""Fault injection for drills: one route fails for one browser family, like after a bad release."""

from flask import Flask, request

from homeserver_app import browsers
from homeserver_app.access import route


class DrillError(RuntimeError):
    """The error that the faulty route raises."""


def install(app: Flask, fault: str) -> None:
    """Make requests fail as `<browser>:<route>` specifies; install nothing if it is empty."""
    if not fault:
        return
    family, _, faulty = fault.partition(":")

    @app.before_request
    def fail() -> None:
        if route() == faulty and browsers.family(request.user_agent.string) == family:
            raise DrillError(f"{faulty} fails for {family}: set by HOMESERVER_APP_FAULT")
