"""Starting and stopping all of this node."""

from . import containers, kubernetes, paths, services

START_TIMEOUT = 60


def start() -> None:
    """Start all services, also at each boot, and wait a minute at most for a node that is ready."""
    paths.lock("stopped.lock").unlink(missing_ok=True)
    services.start(*services.ALL)
    kubernetes.wait_until_ready(START_TIMEOUT)


def stop() -> None:
    """Stop all services, also at each boot, and kill the containers."""
    services.stop(*services.ALL)
    containers.kill_all()
    paths.lock("stopped.lock").touch()
