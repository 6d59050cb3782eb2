"""How gunicorn runs the app: a master process that serves the metrics, and the workers it forks."""

import os
import sys
import tempfile
from pathlib import Path

# prometheus_client looks for this once, when it is imported.
metrics_directory = Path(
    os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix="homeserver-app-")
)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_directory)

# Importing the app here, before the fork, lets the workers share the memory of its code. They make the app
# itself after the fork (no preload_app): threads do not survive one.
from homeserver_app import cpu, logs, server  # noqa: E402
from homeserver_app.settings import Settings, SettingsError  # noqa: E402

try:
    settings = Settings.from_environment(os.environ)
except SettingsError as error:
    sys.exit(f"homeserver_app cannot start:\n{error}")

wsgi_app = "homeserver_app:create_app()"
bind = f"{settings.host}:{settings.port}"
worker_class = "gthread"
workers = settings.workers or cpu.worker_count(cpu.cpu_limit())
threads = settings.threads
worker_tmp_dir = "/dev/shm"  # noqa: S108 -- a heartbeat file on a disk can block
graceful_timeout = settings.graceful_seconds
# Seconds; longer than Traefik keeps an idle connection (90), so that it is never the app that closes one just
# as a request arrives on it.
keepalive = 100
control_socket_disable = True
logconfig_dict = logs.config(settings)

hooks = server.Hooks(settings, metrics_directory)
when_ready = hooks.when_ready
child_exit = hooks.child_exit
on_exit = hooks.on_exit
