"""Requests from clients of a home server."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import requests


@contextmanager
def steady_traffic(
    url: str, ca: str, agent: str = "steady-traffic/1", clients: int = 4
) -> Iterator[Counter[str]]:
    """Send requests one after another from several clients, each on a new connection, until the block ends.

    Yields a tally of the responses, by status or, without a response, by the error. It is
    complete when the block ends. The clients have the user agent `agent`.
    """
    answers: Counter[str] = Counter()
    enough = threading.Event()

    def send() -> None:
        while not enough.is_set():
            try:
                answer = requests.get(url, headers={"User-Agent": agent}, verify=ca, timeout=10)
                answers[str(answer.status_code)] += 1
            except requests.RequestException as error:
                answers[repr(error)] += 1
            time.sleep(0.02)

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def durations(url: str, ca: str, count: int) -> list[float]:
    """Send requests one after another on one connection; return the seconds of each, in ascending order.

    Raises:
        requests.HTTPError: A response is an error.
    """
    seconds = []
    with requests.Session() as session:
        for _ in range(count):
            started = time.perf_counter()
            session.get(url, verify=ca, timeout=10).raise_for_status()
            seconds.append(time.perf_counter() - started)
    return sorted(seconds)
