"""gunicorn's worker with threads, which only requests occupy."""

from functools import partial
from selectors import EVENT_READ

from gunicorn.workers.gthread import TConn, ThreadWorker


class Worker(ThreadWorker):
    """gthread, but a new connection waits for its first byte in the poller.

    gthread has a thread wait for it, for up to five seconds. Traefik opens connections for requests whose
    clients have already left, and a few dozen of these would keep all threads busy. The app has the same.
    """

    def enqueue_req(self, conn: TConn) -> None:
        """Hand a connection that has data to a thread, and any other to the poller."""
        if conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.data_ready = True  # once the poller returns it
        conn.sock.setblocking(False)
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))
