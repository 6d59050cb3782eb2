"""Requests as clients of a home server make them."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import requests


@contextmanager
def steady_traffic(url: str, ca: str) -> Iterator[Counter[str]]:
    """Send requests one after the other from several clients, each on a new connection, until left.

    Yields a tally of the answers, by status or, where there was no answer, by the error. It is
    complete when the context is left.
    """
    answers: Counter[str] = Counter()
    enough = threading.Event()

    def send() -> None:
        while not enough.is_set():
            try:
                answers[str(requests.get(url, verify=ca, timeout=10).status_code)] += 1
            except requests.RequestException as error:
                answers[repr(error)] += 1
            time.sleep(0.02)

    clients = [threading.Thread(target=send) for _ in range(4)]
    for thread in clients:
        thread.start()
    try:
        yield answers
    finally:
        enough.set()
        for thread in clients:
            thread.join()
