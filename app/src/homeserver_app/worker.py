"""gunicorn's worker with threads, which only requests occupy."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from selectors import EVENT_READ

from gunicorn.workers.gthread import TConn, ThreadWorker


class Worker(ThreadWorker):
    """gunicorn's gthread worker, with three differences.

    A new connection waits for its first byte in the poller. gthread has a thread wait for it, for up to five
    seconds, and Traefik opens connections for requests whose clients have already left: a few dozen of these
    kept all threads busy for half a minute.

    Probes, which come to the last listener, have a thread of their own, so that a busy app is not restarted.

    A worker whose threads are all stuck, which probes no longer notice, ends its heartbeat. gunicorn then
    replaces it.
    """

    def init_process(self) -> None:
        """Prepare, and serve until the worker stops."""
        self._probe_address = self.sockets[-1].getsockname()
        self._probe_thread = ThreadPoolExecutor(1)
        self._in_threads = 0
        self._last_progress = time.monotonic()
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Hand a connection that has data to a thread, and any other to the poller."""
        if not conn.data_ready:
            self._await_data(conn)
        elif self._is_probe(conn):
            future = self._probe_thread.submit(self.handle, conn)
            future.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))
        else:
            self._in_threads += 1
            super().enqueue_req(conn)

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Keep the connection for its next request, or close it."""
        if not self._is_probe(conn):
            self._in_threads -= 1
            self._last_progress = time.monotonic()
        super().finish_request(conn, fs)

    def notify(self) -> None:
        """Tell gunicorn that the worker is alive, unless all threads are stuck."""
        now = time.monotonic()
        if self._in_threads < self.cfg.threads:
            self._last_progress = now
        if now - self._last_progress < self.cfg.timeout:
            super().notify()

    def _await_data(self, conn: TConn) -> None:
        """Treat a new connection like one between two requests."""
        conn.data_ready = True  # once the poller returns it
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))

    def _is_probe(self, conn: TConn) -> bool:
        return bool(conn.server == self._probe_address)
