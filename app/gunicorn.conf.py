"""gunicorn's configuration: a master process serves the metrics, forked workers serve the app."""

import os
import sys
import tempfile
from pathlib import Path

# prometheus_client reads this variable once, at import.
metrics_directory = Path(
    os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix="homeserver-app-")
)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_directory)

# Import before the fork, so that the workers share the memory of the code. Each worker creates the app after
# the fork (no preload_app), because threads do not survive a fork.
from homeserver_app import cpu, logs, server  # noqa: E402
from homeserver_app.settings import Settings, SettingsError  # noqa: E402

try:
    settings = Settings.from_environment(os.environ)
except SettingsError as error:
    sys.exit(f"homeserver_app cannot start:\n{error}")

wsgi_app = "homeserver_app:create_app()"
# The last one is that of the probes.
bind = [f"{settings.host}:{port}" for port in (settings.port, settings.probe_port)]
worker_class = "homeserver_app.worker.Worker"
workers = settings.workers or cpu.worker_count(cpu.cpu_limit())
threads = settings.threads
worker_tmp_dir = "/dev/shm"  # noqa: S108 -- a heartbeat file on a disk can block
graceful_timeout = settings.graceful_seconds
# Seconds. Longer than Traefik keeps an idle connection (90), so that the app never closes a connection as
# a request arrives on it.
keepalive = 100
control_socket_disable = True
logconfig_dict = logs.config(settings)

hooks = server.Hooks(settings, metrics_directory)
when_ready = hooks.when_ready
child_exit = hooks.child_exit
on_exit = hooks.on_exit
