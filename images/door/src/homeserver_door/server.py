"""gunicorn's configuration: one process, because rate limits and counts are in its memory, and threads."""

import os

bind = [f"0.0.0.0:{os.environ.get('HOMESERVER_DOOR_PORT', '8080')}"]
wsgi_app = "homeserver_door.wsgi:application"
worker_class = "homeserver_door.worker.Worker"
workers = 1
threads = 8
timeout = 30
graceful_timeout = 20
# Seconds. Longer than Traefik keeps an idle connection (90).
keepalive = 100
worker_tmp_dir = "/dev/shm"  # noqa: S108 -- a heartbeat file on a disk can block
control_socket_disable = True
# Traefik writes the access log.
accesslog = None
loglevel = "warning"


def post_worker_init(_worker: object) -> None:
    """Serve metrics, and apply the configuration whenever it changes."""
    from prometheus_client import start_http_server

    from homeserver_door import home, metrics, sync

    home.watched.then(sync.apply)
    metrics.CONFIGURED.set_function(lambda: float(not home.watched.problem))
    start_http_server(int(os.environ.get("HOMESERVER_DOOR_METRICS_PORT", "9090")))
