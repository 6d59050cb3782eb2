"""The app with additional routes that are slow, fail, or collect garbage, for tests."""

import gc
import time

from flask import Flask

import homeserver_app


def create_app() -> Flask:
    app = homeserver_app.create_app()

    @app.get("/slow/<float:seconds>")
    def slow(seconds: float) -> str:
        time.sleep(seconds)
        return "done"

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("it broke\nin two lines")

    @app.get("/collect")
    def collect() -> str:
        gc.collect()
        return "done"

    return app
